/** `neo check` on a cluster of real processes, well and ill. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid } from "../../mod.ts";
import { CliCluster } from "./kit.ts";

test("neo check: exit codes and words for monitors, of a cluster that loses a storage, then everything (N13)", async () => {
  await using cluster = await CliCluster.init({ storages: 2, replicas: 1, partitions: 12 });
  await cluster.start();
  // disks are left out: how full this machine's is, is its own affair
  const wanted = ["connection", "cluster", "replication", "clock"];
  const check = (...args: string[]) => cluster.neo("check", ...args, ...wanted);

  const well = await check("--format", "nagios");
  assert.deepEqual([well.exitCode, well.stdout], [0, "NEO OK - shop: all is well\n"]);
  assert.deepEqual((await check("--json")).json, { cluster: "shop", severity: "ok", findings: [] });

  await cluster.kill9("s2");
  const client = await cluster.connect();
  await client.transact((tx) => tx.store(toOid(1), new Uint8Array(1))); // the loss is held before it commits
  const ill = await check("--format", "nagios");
  assert.equal(ill.exitCode, 2);
  assert.match(ill.stdout, /^NEO CRITICAL - shop: storage s2 is unavailable; [^\n]+\n$/);
  const text = await check();
  assert.match(text.stdout, /^shop: problem\n {2}problem: storage s2 is unavailable\n {2}warning: /);
  const figures = await check("--format", "prometheus");
  assert.match(figures.stdout, /^neo_severity\{cluster="shop"\} 2$/m);
  assert.match(figures.stdout, /^neo_check_severity\{check="connection"\} 0$/m);
  const part = await cluster.neo("check", "--json", "replication");
  assert.equal(part.exitCode, 1);
  assert.deepEqual(part.json.findings.map(({ severity }: { severity: string }) => severity), ["warning"]);

  await cluster.kill9();
  const gone = await check("--wait", "1", "--json");
  assert.deepEqual([gone.exitCode, gone.json.findings[0].check], [2, "connection"]);
});

test("neo check: what can't be looked at is unknown, and a wrong word is a wrong command line", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const nowhere = await cluster.neo("check", "--format", "nagios", "-C", cluster.beside("nowhere"));
  assert.equal(nowhere.exitCode, 3);
  assert.match(nowhere.stdout, /^NEO UNKNOWN - Cannot [^\n]+\n$/);
  assert.equal((await cluster.neo("check", "disks")).exitCode, 2);
  assert.equal((await cluster.neo("check", "--format", "xml")).exitCode, 2);
  for (const uri of ["neo://", "neo://shop@nowhere:port"]) {
    const wrong = await cluster.neo("check", "--format", "nagios", "-C", uri);
    assert.deepEqual([wrong.exitCode, wrong.stdout], [2, ""], uri);
    assert.match(wrong.stderr, /^Error: Cannot /, uri);
  }
});
