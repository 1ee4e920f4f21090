import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { neo, neoProcess, spawnNeo, temporaryFolder } from "../cli_world.ts";
import type { CommandResult } from "../cli_world.ts";

const VECTORS = fileURLToPath(new URL("../vectors/", import.meta.url));
const HISTORY = join(VECTORS, "history.zdump");

/** Runs `neo` on a cluster that runs in one process and may hold the small history. */
type Neo = (...args: string[]) => Promise<CommandResult>;

async function withCluster(
  options: { readonly filled: boolean },
  work: (
    neo: Neo,
    around: { readonly env: { [name: string]: string }; readonly cwd: string },
  ) => Promise<void>,
): Promise<void> {
  const folder = temporaryFolder();
  const around = { env: { ...folder.env, NEO_CLUSTER: "db" }, cwd: folder.path };
  const here: Neo = (...args) => neo(args, around);
  try {
    await here("init", "db", "--single", "--partitions", "5");
    const started = await here("start");
    assert.equal(started.exitCode, 0, started.stderr);
    if (options.filled) assert.equal((await here("import", HISTORY)).exitCode, 0);
    await work(here, around);
  } finally {
    await here("stop", "--wait", "5");
    folder.remove();
  }
}

test("neo import and export carry a text dump, whose links have no data of their own (T60)", () =>
  withCluster({ filled: false }, async (neo, around) => {
    const imported = await neo("import", HISTORY, "--json");
    const exported = await neoProcess(["export", "-", "--format", "zodbdump"], around);

    assert.equal(imported.exitCode, 0, imported.stderr);
    const { format, transactions, objects, lastTid, damages } = imported.json;
    assert.deepEqual([format, transactions, objects, lastTid, damages], [
      "zodbdump",
      11,
      14,
      "03e0000900000000",
      0,
    ]);
    assert.equal(exported.exitCode, 0, exported.stderr);
    assert.equal(exported.stdout, readFileSync(HISTORY, "utf8"));
  }));

test("neo import says why it can't: 6 for transactions that are too old, 7 for no file, 1 for a wrong one", () =>
  withCluster({ filled: true }, async (neo) => {
    const again = await neo("import", HISTORY, "--json");
    const nothing = await neo("import", "nothing.fs");
    const foreign = await neo("import", fileURLToPath(import.meta.url));

    assert.deepEqual([again.exitCode, JSON.parse(again.stderr).code], [6, "tidTaken"]);
    assert.equal(nothing.exitCode, 7);
    assert.match(nothing.stderr, /^Error: Cannot open .*nothing\.fs: there is no such file or folder\n$/);
    assert.equal(foreign.exitCode, 1);
    assert.match(foreign.stderr, /neither a Data.fs nor a zodbdump \(byte 0\); name one of these\n$/);
    assert.equal((await neo("status")).exitCode, 0);
  }));

test("neo import --salvage goes on behind damage and counts it", () =>
  withCluster({ filled: false }, async (neo, { cwd }) => {
    const bytes = readFileSync(join(VECTORS, "history.fs"));
    bytes.fill(0xff, 60, 64);
    writeFileSync(join(cwd, "torn.fs"), bytes);

    const strict = await neo("import", "torn.fs");
    const salvaged = await neo("import", "torn.fs", "--salvage", "--json");

    assert.equal(strict.exitCode, 1);
    assert.equal(salvaged.exitCode, 0, salvaged.stderr);
    assert.ok(salvaged.json.damages > 0);
    assert.match(salvaged.stderr, /Warning: .*; reading goes on at byte \d+/);
  }));

test("neo export replaces a file only when it is told to, and leaves no part of one", () =>
  withCluster({ filled: true }, async (neo, { cwd }) => {
    const out = join(cwd, "out.fs");
    writeFileSync(out, "a thesis");

    const refused = await neo("export", "out.fs");
    assert.equal(refused.exitCode, 6);
    assert.match(refused.stderr, /it exists\nHint: replace it with --force\n$/);
    assert.equal(readFileSync(out, "utf8"), "a thesis");
    const forced = await neo("export", "out.fs", "--force", "--json");

    assert.equal(forced.exitCode, 0, forced.stderr);
    assert.deepEqual([forced.json.transactions, forced.json.records], [11, 14]);
    assert.equal(readFileSync(out).length, forced.json.bytes);
    assert.deepEqual(readdirSync(cwd).filter((name) => name.includes("partial")), []);
  }));

test("neo obj get shows an object now and then; 7 when it isn't there", () =>
  withCluster({ filled: true }, async (neo, around) => {
    const now = await neo("obj", "get", "0", "--json");
    const before = await neo("obj", "get", "0x0", "--at", "2021-05-12T00:32:30Z", "--json");
    const raw = await neoProcess(["obj", "get", "0000000000000000"], around);
    const deleted = await neo("obj", "get", "1", "--json");
    const unknown = await neo("obj", "get", "77");

    assert.deepEqual([now.json.oid, now.json.tid, now.json.next], [
      "0000000000000000",
      "03e0000100000000",
      null,
    ]);
    assert.deepEqual([before.json.tid, before.json.next], ["03e0000000000000", "03e0000100000000"]);
    assert.equal(now.json.time, "2021-05-12T00:33:00.000Z");
    assert.equal(raw.stdout, atob(now.json.data));
    assert.deepEqual([deleted.exitCode, unknown.exitCode], [7, 7]);
    const { code, hint } = JSON.parse(deleted.stderr);
    assert.equal(code, "notFound");
    assert.equal((await neo("obj", "get", "1", "--at", hint.split(" ").at(-1))).exitCode, 0);
  }));

test("neo tx list shows the newest transactions, the newest last, and obeys no escape codes in them", () =>
  withCluster({ filled: true }, async (neo) => {
    const few = await neo("tx", "list", "--limit", "2", "--json");
    const text = await neo("tx", "list");

    assert.deepEqual(few.json.transactions.map(({ tid }: { tid: string }) => tid), [
      "03e0000800000000",
      "03e0000900000000",
    ]);
    assert.deepEqual(few.json.transactions[1].oids, ["0000000000000001", "0102030405060708"]);
    const lines = text.stdout.trimEnd().split("\n");
    assert.match(lines[0]!, /^TID +TIME +OBJECTS +USER +DESCRIPTION$/);
    assert.equal(lines.length, 12);
    assert.match(lines[1]!, /^03e0000000000000 {2}2021-05-12T00:32:00\.000Z {2}1 +eva +root$/);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  }));

test("neo ends with 0 and in silence when its reader has read enough", () =>
  withCluster({ filled: true }, async (_neo, around) => {
    for (const args of [["export", "-", "--format", "zodbdump"], ["tx", "list", "--json"], ["--help"]]) {
      const child = spawnNeo(args, around);
      let complaints = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => complaints += text);
      child.stdout.destroy();

      assert.deepEqual(await once(child, "close"), [0, null], `${args.join(" ")}: ${complaints}`);
      assert.equal(complaints, "");
    }
  }));

test("neo data commands on a cluster that is stopped end with 3 at once, and say how to start it", () =>
  withCluster({ filled: false }, async (neo) => {
    await neo("stop");

    for (const command of ["tx list", "obj get 0", "export out.fs", `import ${HISTORY}`]) {
      const { exitCode, stderr } = await neo(...command.split(" "));
      assert.equal(exitCode, 3, command);
      assert.match(stderr, /it isn't running\nHint: start it: neo start -C /);
    }
  }));
