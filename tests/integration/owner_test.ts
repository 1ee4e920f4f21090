/** Who runs a node: one process, known by its pid file whatever became of that, ended in order (T24). */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { Oid } from "../../mod.ts";
import { spawnNeo } from "../cli_world.ts";
import { CliCluster, eventually, within } from "./kit.ts";
import { Load } from "./load.ts";

async function commitOne(cluster: CliCluster): Promise<Oid> {
  const client = await cluster.connect();
  const oid = await client.newOid();
  const tx = await client.begin();
  tx.store(oid, new Uint8Array([42]));
  await tx.commit();
  await client.close();
  return oid;
}

test("run refuses a node that runs, with 1 and the other's process, and the other serves on (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });

  for (const name of ["m1", "s1", "a1"]) {
    const second = await cluster.neo("run", name);
    assert.equal(second.exitCode, 1, name);
    assert.match(
      second.stderr,
      new RegExp(`Cannot run ${name}: process ${cluster.pid(name)} runs it already`),
    );
  }

  await commitOne(cluster);
  await cluster.ok("status");
});

test("start is idempotent, also for two at the same moment: one process a node (T24)", async () => {
  await using cluster = await CliCluster.init({ storages: 2, replicas: 1 });

  await Promise.all([cluster.start(), cluster.start()]);
  const pids = cluster.nodes().map(({ name }) => cluster.pid(name));
  await commitOne(cluster);
  await cluster.start();

  assert.deepEqual(cluster.nodes().map(({ name }) => cluster.pid(name)), pids);
  await cluster.stop();
  assert.equal((await cluster.neo("status")).exitCode, 3);
});

test("a pid file of another process, or with nothing in it, neither keeps a node from starting nor a stranger from living (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const oid = await commitOne(cluster);
  const fileOf = (name: string) => join(cluster.node(name).data, "neo.pid");
  await cluster.kill9();
  const stranger = spawnNeo(["run", "nobody"], cluster.around); // an id that was in use, of a process that has ended
  await once(stranger, "exit");

  // the id of this test, whose process began at another time; one of nobody; half a file; none of ours
  const left = JSON.parse(readFileSync(fileOf("m1"), "utf8"));
  writeFileSync(fileOf("m1"), JSON.stringify({ ...left, pid: process.pid }));
  writeFileSync(fileOf("s1"), JSON.stringify({ ...left, pid: stranger.pid }));
  writeFileSync(fileOf("s2"), '{"pid":');
  writeFileSync(fileOf("a1"), '{"pid":"1"}');
  const status = await cluster.neo("status", "--json");
  await cluster.neo("stop");
  await cluster.start();

  assert.equal(status.exitCode, 3);
  assert.deepEqual(
    status.json.nodes.map((node: { state: string }) => node.state),
    ["crashed", "crashed", "stopped", "stopped"],
  );
  const client = await cluster.connect();
  assert.deepEqual((await (await client.snapshot()).load(oid))?.data, new Uint8Array([42]));
});

test("Ctrl-C ends run in order: with 0, without a pid file, and with everything kept (T24)", async () => {
  await using cluster = await CliCluster.init({ single: true });
  const child = spawnNeo(["run", "s1"], cluster.around);
  const exit = once(child, "exit");
  await eventually("a pid file", () => existsSync(join(cluster.node("s1").data, "neo.pid")));
  const oid = await commitOne(cluster);

  process.kill(child.pid!, "SIGINT"); // child.kill() makes Deno report the signal, however the process ended

  assert.deepEqual(await within("the end of run", exit), [0, null]);
  for (const { data } of cluster.nodes()) assert.equal(existsSync(join(data, "neo.pid")), false);
  await cluster.start();
  const client = await cluster.connect();
  assert.deepEqual((await (await client.snapshot()).load(oid))?.data, new Uint8Array([42]));
});

test("stop lets commits end that have begun: nobody is killed, and what was acknowledged is kept (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);

  await cluster.stop();
  for (const { data } of cluster.nodes()) assert.equal(existsSync(join(data, "neo.pid")), false);
  await cluster.start();
  await load.rest();

  await load.check(await cluster.connect());
});
