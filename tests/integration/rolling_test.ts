/** A rolling restart under load (T24): clients go on, nothing fails, nothing is lost. */
import assert from "node:assert/strict";
import { once } from "node:events";
import process from "node:process";
import { test } from "node:test";
import { spawnNeo } from "../cli_world.ts";
import { CliCluster } from "./kit.ts";
import { Load } from "./load.ts";

test("restart of a whole cluster, one node after another, under load: no commit fails (T24, P10)", async () => {
  await using cluster = await CliCluster.started({ masters: 3, storages: 3, replicas: 1, partitions: 6 });
  const before = new Map(cluster.config.nodes.map(({ name }) => [name, cluster.process(name).pid]));
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);
  const restarted = await cluster.ok("restart", "--json");
  assert.equal(restarted.json.started.length, 7);
  assert.deepEqual(restarted.json.started.slice(0, 4), ["s1", "s2", "s3", "a1"], "masters come last");
  for (const [name, pid] of before) {
    assert.notEqual(cluster.process(name).pid, pid, `${name} is another process`);
  }
  await load.acknowledge(20);
  await load.rest();
  assert.deepEqual(load.failures.map(({ message }) => message), []);
  assert.deepEqual(load.readFailures.map(({ message }) => message), []);
  await load.check(await cluster.connect());
  assert.equal((await cluster.ok("status", "--json")).json.healthy, true);
});

test("restart of a cluster that is stopped starts it, and --at-once restarts all of it together (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 1, replicas: 0, partitions: 6 });
  assert.equal((await cluster.ok("restart", "--at-once", "--json")).json.started.length, 3);
  await cluster.stop();
  assert.equal((await cluster.ok("restart", "--json")).json.started.length, 3);
  for (const { name } of cluster.config.nodes) cluster.process(name);
});

test("restart that is ended by Ctrl-C starts what it has stopped, and leaves the rest as it is (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 6 });
  const before = new Map(cluster.config.nodes.map(({ name }) => [name, cluster.process(name).pid]));
  const child = spawnNeo(["restart"], cluster.around);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (!said.includes("Stopping s1") && (said + text).includes("Stopping s1")) {
      process.kill(child.pid!, "SIGINT");
    }
    said += text;
  });
  const [exitCode, signal] = await once(child, "close");
  assert.ok(exitCode === 130 || signal === "SIGINT", `${exitCode} ${signal}: ${said}`);
  assert.match(said, /Restarting was ended between two nodes\nHint: not restarted yet: s2, a1, m1/);
  for (const [name, pid] of before) {
    assert.equal(cluster.process(name).pid !== pid, name === "s1", `${name} was restarted, or it wasn't`);
  }
  assert.equal((await cluster.ok("status", "--json")).json.state, "running");
});
