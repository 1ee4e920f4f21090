/** The configuration service with real processes and its commands (T51, X3). */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readPidFile } from "../../cli/pid_file.ts";
import { CliCluster, eventually } from "./kit.ts";

interface Status {
  readonly revision: number;
  readonly nodes: readonly {
    readonly name: string;
    readonly revision: number;
    readonly overrides: readonly string[];
  }[];
}

function logOf(cluster: CliCluster, name: string): string {
  return readFileSync(join(cluster.folder, "log", `${name}.log`), "utf8");
}

/** Who runs which revision, once everybody who is there runs the newest. */
async function settled(cluster: CliCluster): Promise<Status> {
  for (;;) {
    const { json, exitCode } = await cluster.neo("config", "status", "--json");
    if (exitCode === 0) return json;
    assert.equal(exitCode, 4);
  }
}

test("config set, history, diff, rollback, export and apply: every node runs what was set (T51, X3)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 6 });
  const set = await cluster.ok(
    "config",
    "set",
    "storage.copyBytesPerS=1000000",
    "log.level=debug",
    "--reason",
    "slow",
    "--json",
  );
  assert.deepEqual([set.json.revision, set.json.changes.length], [1, 2]);
  const { revision, nodes } = await settled(cluster);
  assert.deepEqual([revision, nodes.map(({ name }) => name).sort()], [1, ["a1", "m1", "s1", "s2"]]);

  const { keys } = (await cluster.ok("config", "list", "--json")).json;
  const names = ["key", "type", "value", "default", "scope", "live", "description"];
  for (const key of keys) for (const name of names) assert.ok(name in key, `${key.key} has ${name}`);
  assert.equal(keys.find(({ key }: { key: string }) => key === "storage.copyBytesPerS").value, "1000000");

  await cluster.ok("config", "unset", "log.level");
  const [last] = (await cluster.ok("config", "history", "--json")).json.revisions;
  assert.deepEqual([last.revision, last.changes], [2, [{
    scope: "cluster",
    key: "log.level",
    before: "debug",
    after: null,
  }]]);
  const diff = (await cluster.ok("config", "diff", "0", "2", "--json")).json.changes;
  assert.deepEqual(diff, [{
    scope: "cluster",
    key: "storage.copyBytesPerS",
    before: null,
    after: "1000000",
  }]);

  const exported = cluster.beside("config.toml");
  writeFileSync(exported, (await cluster.ok("config", "export")).stdout);
  assert.equal((await cluster.ok("config", "rollback", "1", "--json")).json.revision, 3);
  const plan = (await cluster.ok("config", "apply", exported, "--dry-run", "--json")).json;
  assert.deepEqual([plan.applied, plan.changes.length], [false, 1]);
  assert.deepEqual((await cluster.ok("config", "apply", exported, "--json")).json.revision, 4);
  assert.equal((await cluster.ok("config", "apply", exported, "--json")).json.applied, false);

  // neither a file nor an earlier revision makes anybody believe a certificate again
  const print = "a".repeat(64);
  await cluster.ok("config", "set", `tls.revoked=${print}`);
  const applied = await cluster.ok("config", "apply", exported, "--json");
  const back = await cluster.ok("config", "rollback", "4", "--json");
  assert.deepEqual([applied.json.applied, applied.json.changes, back.json.changes], [false, [], []]);
  assert.match(back.stderr, /what is revoked stays so/);
  assert.deepEqual((await cluster.ok("config", "diff", "5", "4", "--json")).json.changes.length, 1);
  await cluster.ok("config", "unset", "tls.revoked");

  const refused = await cluster.neo("config", "set", "log.level=info", "--if-revision", "1");
  assert.deepEqual([refused.exitCode, /it is at revision 6, not 1/.test(refused.stderr)], [6, true]);
  const wrong = await cluster.neo("config", "set", "client.oidBatch=0");
  assert.deepEqual([wrong.exitCode, /client\.oidBatch: expected a whole number from 1/.test(wrong.stderr)], [
    2,
    true,
  ]);
});

test("a node that was down has the change when it returns; with all masters down it starts with what it had last (T51)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 6 });
  await cluster.stop("s2");
  await cluster.ok("config", "set", "storage.reserveBytes=1000", "storage.sqliteCacheBytes=5000000");
  await cluster.start("s2");
  const { nodes } = (await cluster.neo("config", "status", "--json")).json;
  const s1 = nodes.find(({ name }: { name: string }) => name === "s1");
  assert.deepEqual([s1.revision, s1.pending], [1, ["storage.sqliteCacheBytes"]]);
  await eventually(
    "s2 has taken revision 1",
    () => logOf(cluster, "s2").includes("Configuration revision 1"),
  );

  await cluster.stop();
  await cluster.neo("start", "s1", "--wait", "1");
  cluster.process("s1");
  await eventually(
    "s1 says with what it starts",
    () => logOf(cluster, "s1").includes("Starts with configuration revision 1, as it was last"),
  );
  assert.ok(readPidFile(cluster.node("s1")));
  await cluster.stop();
});

test("log.levels: a node logs more of one module from config set on, until it is taken back (T51)", async () => {
  await using cluster = await CliCluster.started({ storages: 1, partitions: 6 });
  const set = async (...words: readonly string[]): Promise<number> => {
    const { revision } = (await cluster.ok("config", ...words, "--json")).json;
    const said = `"text":"Configuration revision ${revision}"`;
    const others = ["s1", "m1"]; // a master that follows or leads, and a storage
    await eventually(said, () => others.every((name) => logOf(cluster, name).includes(said)));
    return revision;
  };
  const modulesAfter = (name: string, revision: number): unknown[] => {
    const lines = cluster.log(name);
    const at = lines.findIndex(({ text }) => text === `Configuration revision ${revision}`);
    return lines.slice(at).filter(({ level }) => level === "debug").map(({ module }) => module);
  };
  const noisy = await set("set", "log.levels=messages=debug,watch=error");
  await set("set", "storage.reserveBytes=1000");
  for (const name of ["s1", "m1"]) {
    assert.ok(modulesAfter(name, noisy).length > 0, name);
    assert.deepEqual(new Set(modulesAfter(name, noisy)), new Set(["messages"]));
  }
  const quiet = await set("unset", "log.levels");
  await set("set", "storage.reserveBytes=2000");
  for (const name of ["s1", "m1"]) assert.deepEqual(modulesAfter(name, quiet), [], name);
});

test("what neo.toml overrides on a node counts there, and is shown as such (T51)", async () => {
  await using cluster = await CliCluster.init({ storages: 1, partitions: 6 });
  const file = join(cluster.folder, "neo.toml");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace('name = "s1"', 'name = "s1"\noverride = { "log.level" = "debug" }'));
  cluster.reload();
  await cluster.start();
  await cluster.ok("config", "set", "log.level=error");
  const { nodes } = await settled(cluster);
  assert.deepEqual(nodes.find(({ name }) => name === "s1")?.overrides, ["log.level"]);
  writeFileSync(file, text.replace('name = "s1"', 'name = "s1"\noverride = { "log.level" = "loud" }'));
  const wrong = await cluster.neo("status");
  assert.deepEqual([wrong.exitCode, /log\.level: expected one of/.test(wrong.stderr)], [2, true]);
  writeFileSync(file, text);
});

test("config set --node says when no node has that name, and sets it all the same (T51)", async () => {
  await using cluster = await CliCluster.started({ storages: 1, partitions: 2 });
  const ghost = await cluster.ok("config", "set", "log.level=info", "--node", "s9");
  assert.match(ghost.stderr, /no node is called s9: it counts when one comes that is. There are m1, s1/);
  const known = await cluster.ok("config", "set", "log.level=info", "--node", "s1");
  assert.doesNotMatch(known.stderr, /no node/);
});
