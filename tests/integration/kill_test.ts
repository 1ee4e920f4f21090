/** kill -9 under load: what was acknowledged is there, of everything else all or nothing. */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { seededRandom, systemRandom } from "../../adapters/system.ts";
import { CliCluster, turns } from "./kit.ts";
import { Load } from "./load.ts";

const POINTS = 20;
/** Acknowledged commits before a kill, at most. */
const COMMITS_MAX = 30;
/** Turns of the event loop between the last of them and the kill, at most. */
const TURNS_MAX = 40;

const SEED = Number(process.env["NEO_SEED"] ?? Math.floor(systemRandom().next() * 2 ** 31));
process.stderr.write(`kill_test: NEO_SEED=${SEED}\n`);

test(`kill -9 of every process at ${POINTS} random points under load loses no acknowledged commit (T24, T26)`, async () => {
  const random = seededRandom(SEED);
  const below = (bound: number) => Math.floor(random.next() * bound);
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const load = await Load.on(cluster);
  const names = cluster.nodes().map(({ name }) => name);
  let caught = 0;

  for (let point = 0; point < POINTS; point++) {
    const order = names.map((name) => ({ name, at: random.next() })).sort((a, b) => a.at - b.at);
    load.run();
    await load.acknowledge(1 + below(COMMITS_MAX));
    await turns(below(TURNS_MAX));
    caught += load.inFlight;
    await cluster.kill9(...order.map(({ name }) => name));
    await cluster.start();
    await load.rest();

    const client = await cluster.connect();
    await load.check(client);
    await client.close();
  }
  process.stderr.write(`${load.acknowledged} commits acknowledged, ${caught} were under way at a kill\n`);
  assert.ok(caught >= POINTS, "kills catch commits under way");
});

test("commits go on when a storage is killed and the other has a copy of everything (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);

  await cluster.kill9("s2");
  await load.acknowledge(50);
  await cluster.start("s2");
  await load.acknowledge(50);
  await load.rest();

  assert.deepEqual(load.failures, []);
  await load.check(await cluster.connect());
});

test("clients go on when the master was killed and has been started again (T24)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);
  const storages = ["s1", "s2"].map((name) => cluster.pid(name));

  await cluster.kill9("m1");
  await cluster.start("m1");
  await load.acknowledge(50);
  await load.rest();

  assert.deepEqual(["s1", "s2"].map((name) => cluster.pid(name)), storages);
  await load.check(await cluster.connect());
});
