import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { neo } from "../tests/cli_world.ts";
import { VERSION } from "./version.ts";

// deno-lint-ignore no-control-regex
const ESCAPE = /\u001b/;

const COMMANDS = [
  ["demo"],
  ["init", "."],
  ["start"],
  ["stop"],
  ["restart"],
  ["status"],
  ["logs"],
  ["run", "s1"],
  ["import", "f"],
  ["export", "f"],
  ["obj", "get", "1"],
  ["tx", "list"],
  ["node", "list"],
  ["node", "add"],
  ["node", "drain", "s1"],
  ["node", "drop", "s1"],
  ["node", "kill", "s1"],
  ["table", "show"],
  ["table", "tweak"],
  ["cluster", "show"],
  ["cluster", "replicas", "1"],
  ["version"],
];

for (const command of COMMANDS) {
  const name = command.join(" ");

  test(`neo ${name} ends with 2 for a flag that it doesn't know, in text and in JSON`, async () => {
    const text = await neo([...command, "--jsno"]);
    const json = await neo([...command, "--json", "--wat"]);

    assert.equal(text.exitCode, 2);
    assert.equal(text.stdout, "");
    assert.match(text.stderr, /^Error: .*--jsno.*\nHint: see: neo .*--help\n$/);
    assert.equal(json.exitCode, 2);
    assert.equal(json.stdout, "");
    const { code, message, hint, exitCode, ...rest } = JSON.parse(json.stderr);
    assert.deepEqual([code, exitCode, rest], ["usage", 2, {}]);
    assert.match(message, /--wat/);
    assert.match(hint, /--help/);
  });

  test(`neo ${name} --help explains it on stdout and ends with 0`, async () => {
    const { exitCode, stdout, stderr } = await neo([...command, "--help"]);

    assert.equal(exitCode, 0);
    assert.match(stdout, /USAGE[^]*--json/);
    assert.equal(stderr, "");
  });
}

const misuses: readonly { args: readonly string[]; says: RegExp }[] = [
  { args: ["statsu"], says: /No command registered for `statsu`, did you mean `status`\?/ },
  { args: ["obj", "gte", "1"], says: /did you mean `get`/ },
  { args: ["status", "--jsn"], says: /did you mean --json/ },
  { args: ["init"], says: /Expected argument for DIR/ },
  { args: ["run"], says: /Expected argument for NODE/ },
  { args: ["run", "s1", "s2"], says: /Too many arguments/ },
  { args: ["start", "--wait", "soon"], says: /"soon" for wait: expected seconds/ },
  { args: ["init", "x", "--storages", "-1"], says: /storages|-1/ },
  { args: ["init", "x", "--storages", "two"], says: /"two" for storages: expected a whole number/ },
  { args: ["obj", "get", "seven"], says: /"seven" for OID: expected an oid/ },
  { args: ["obj", "get", "1", "--at", "yesterday"], says: /"yesterday"/ },
  { args: ["export", "f", "--format", "sql"], says: /Expected "sql" to be one of \(filestorage\|zodbdump\)/ },
  { args: ["tx", "list", "--limit", "0"], says: /"0" for limit/ },
  { args: ["status", "-C"], says: /Expected input for flag --cluster/ },
  { args: ["status", "-C", "neo://shop"], says: /Cannot read cluster URI: expected "@"/ },
  { args: ["start", "-C", "neo://shop@localhost"], says: /this command works on a folder/ },
  {
    args: ["stop", "s1", "-C", "neo://shop@localhost"],
    says: /Cannot stop single nodes of a cluster elsewhere/,
  },
  { args: ["node", "add", "a b"], says: /"a b" for NAME: expected 1 to 63 letters/ },
  { args: ["node", "add", "s3", "--path", "east//h"], says: /"east\/\/h" for path: expected 1 to 8 names/ },
  {
    args: ["node", "add", "s3", "--weight", "0"],
    says: /"0" for weight: expected a whole number from 1 to 1000/,
  },
  {
    args: ["node", "add", "-C", "neo://shop@localhost"],
    says: /a storage of a cluster elsewhere without its name/,
  },
  { args: ["cluster", "replicas", "two"], says: /"two" for N: expected a whole number/ },
  { args: ["export", "-", "--json", "-C", "neo://shop@localhost"], says: /stdout is the export itself/ },
];
for (const { args, says } of misuses) {
  test(`neo ${args.join(" ")} ends with 2 and says what is wrong`, async () => {
    const { exitCode, stdout, stderr } = await neo(args, { cwd: "/" });

    assert.equal(exitCode, 2);
    assert.equal(stdout, "");
    assert.match(stderr, says);
  });
}

test("neo says which cluster it lacks, and how to name one", async () => {
  const { exitCode, stderr } = await neo(["status"], { cwd: "/" });

  assert.equal(exitCode, 2);
  assert.match(stderr, /Cannot tell which cluster is meant.*\nHint: name one with -C/);
});

test("neo takes -C and --json before the command, too", async () => {
  const { exitCode, stderr } = await neo(["-C", "nobody", "--json", "status"]);

  assert.equal(exitCode, 7);
  assert.equal(JSON.parse(stderr).code, "notFound");
});

test("neo without arguments, and a noun without verb, print help", async () => {
  const all = await neo([]);
  const noun = await neo(["obj"]);

  assert.equal(all.exitCode, 0);
  for (const command of COMMANDS) assert.match(all.stdout, new RegExp(`^  ${command[0]}\\b`, "m"));
  assert.equal(noun.exitCode, 0);
  assert.match(noun.stdout, /neo obj get/);
});

test("neo version is that of the package", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../deno.json", import.meta.url), "utf8"));

  assert.equal(VERSION, version);
  assert.match(
    (await neo(["version"])).stdout,
    new RegExp(`^neo ${version} \\(protocol 1, (deno|node) [\\d.]+\\)\n$`),
  );
  assert.equal((await neo(["version", "--json"])).json.version, version);
  assert.equal((await neo(["--version"])).stdout, `${version}\n`);
});

const colours: readonly { env: { [name: string]: string }; isTTY: boolean; expected: boolean }[] = [
  { env: {}, isTTY: true, expected: true },
  { env: {}, isTTY: false, expected: false },
  { env: { NO_COLOR: "1" }, isTTY: true, expected: false },
  { env: { TERM: "dumb" }, isTTY: true, expected: false },
  { env: { FORCE_COLOR: "1" }, isTTY: false, expected: true },
  { env: { FORCE_COLOR: "0" }, isTTY: true, expected: false },
];
for (const { env, isTTY, expected } of colours) {
  const where = isTTY ? "a terminal" : "no terminal";
  test(`neo writes ${expected ? "" : "no "}escape codes on ${where} with ${JSON.stringify(env)}`, async () => {
    const error = await neo(["status", "-C", "nobody"], { env, isTTY });
    const help = await neo(["--help"], { env, isTTY });
    const json = await neo(["status", "-C", "nobody", "--json"], { env, isTTY });

    assert.equal(ESCAPE.test(error.stderr), expected);
    assert.equal(ESCAPE.test(help.stdout), expected);
    assert.equal(ESCAPE.test(json.stderr), false);
  });
}

test("neo ends with 130 at Ctrl-C, in order at the first and at once at the second", async () => {
  const args = ["tx", "list", "--json", "-C", "neo://shop@127.0.0.1:1"]; // nobody listens there
  for (const times of [1, 2]) {
    const onSignal = (listener: (signal: "SIGINT") => void) => {
      queueMicrotask(() => {
        for (let left = times; left > 0; left--) listener("SIGINT");
      });
      return () => {};
    };

    const { exitCode, stdout, stderr } = await neo(args, { onSignal });

    assert.equal(exitCode, 130);
    assert.equal(stdout, "");
    assert.equal(JSON.parse(stderr).code, "interrupted");
  }
});
