import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { neo } from "../tests/cli_world.ts";
import { root } from "./app.ts";
import { exitCodes } from "./exit.ts";
import { HELP_COLUMNS } from "./help_text.ts";
import { manual } from "./manual.ts";
import { routes } from "./routes.ts";

const golden = new URL("../tests/golden/help.txt", import.meta.url);
/** `NEO_UPDATE=1` writes what is said instead of comparing it: read the difference before you keep it. */
const updates = process.env["NEO_UPDATE"] === "1";
// deno-lint-ignore no-control-regex
const ESCAPE = /\u001b/;

/** All that has a help: neo, its nouns, its commands. */
const nouns = routes(root).map(({ path }) => path.slice(0, -1).join(" "));
const helps = [...new Set([...nouns, ...routes(root).map(({ path }) => path.join(" "))])].sort();

test("the help of everything fits in 80 columns, without escape codes in a pipe", async () => {
  for (const name of helps) {
    const { exitCode, stdout, stderr } = await neo([...name.split(" ").filter(Boolean), "--help"]);
    assert.equal(exitCode, 0, name);
    assert.equal(stderr, "", name);
    assert.doesNotMatch(stdout, ESCAPE);
    for (const line of stdout.split("\n")) {
      assert.ok(line.length <= HELP_COLUMNS, `neo ${name} --help: ${line}`);
      assert.equal(line, line.trimEnd(), `neo ${name} --help`);
    }
  }
});

test("the help of everything is as it is written down", async () => {
  const texts: string[] = [];
  for (const name of helps) {
    const args = [...name.split(" ").filter(Boolean), "--help"];
    texts.push(`$ neo ${args.join(" ")}\n${(await neo(args)).stdout}`);
  }
  const now = texts.join("\n");
  if (updates) writeFileSync(golden, now);
  else {assert.deepEqual(
      now.split("\n"),
      readFileSync(golden, "utf8").split("\n"),
      "read it, then NEO_UPDATE=1",
    );}
});

/** What makes a command's line whole, as its manual says. */
const GOOD: { readonly [placeholder: string]: string } = {
  OID: "1",
  N: "1",
  FROM: "0",
  TO: "0",
  REVISION: "0",
  KEY: "storage.copyBytesPerS",
  "KEY=VALUE": "storage.copyBytesPerS=5000000",
};

for (const { command, arguments: args, flags } of await manual(root)) {
  const words = command.split(" ");
  const needed = args.filter(({ required }) => required).map(({ name }) => GOOD[name] ?? "x");
  const given = flags.filter(({ required }) => required)
    .flatMap(({ name }) => [name, name === "--to" ? "2026-01-01T00:00Z" : "x"]);
  const takesAll = args.some(({ repeated }) => repeated);
  const misuses: readonly (readonly [what: string, line: readonly string[]])[] = [
    ["an unknown flag", [...words, ...needed, ...given, "--no-such-flag"]],
    ...needed.map((_, at) => [`no ${args[at]!.name}`, [...words, ...needed.slice(0, at), ...given]] as const),
    ...given.length > 0 ? [["no " + given[0], [...words, ...needed]] as const] : [],
    ...takesAll
      ? []
      : [
        ["one argument too many", [
          ...words,
          ...args.map(({ name }) => GOOD[name] ?? "x"),
          ...given,
          "y",
        ]] as const,
      ],
    ...flags.filter(({ accepts }) => accepts?.maximum !== undefined).flatMap(({ name, accepts }) => [
      [`${name} above its bound`, [
        ...words,
        ...needed,
        ...given,
        name,
        String(accepts!.maximum! + 1),
      ]] as const,
      [`${name} without a number`, [...words, ...needed, ...given, name, "many"]] as const,
    ]),
    ...flags.filter(({ accepts }) => accepts?.enum !== undefined).map(({ name }) =>
      [`a word that ${name} doesn't know`, [...words, ...needed, ...given, name, "no-such-word"]] as const
    ),
    ...flags.some(({ name }) => name === "--cluster")
      ? ["neo://", "neo://shop@h:0", "neo://shop@h:1,,"].map((uri) =>
        [`the cluster ${uri}`, [...words, ...needed, ...given, "-C", uri]] as const
      )
      : [],
  ];

  test(`neo ${command} ends with 2 for wrong usage, says so in JSON, and prints nothing else`, async () => {
    for (const [what, line] of misuses) {
      const { exitCode, stdout, stderr } = await neo([...line, "--json"], { cwd: "/" });
      if (command === "check" && what.startsWith("the cluster")) continue; // 3 and 2 mean something else to monitors
      assert.equal(exitCode, exitCodes.usage, `${line.join(" ")}: ${what}: ${stderr}`);
      assert.equal(stdout, "", `${line.join(" ")}: ${what}`);
      const report = JSON.parse(stderr);
      assert.deepEqual(
        [report.code, report.exitCode],
        ["usage", exitCodes.usage],
        `${line.join(" ")}: ${what}`,
      );
      assert.ok(!ESCAPE.test(stderr) && report.message.length > 0, what);
    }
  });
}
