/**
 * A16: a transaction's own row stands in its home partition, which is one that it writes. Its tid has the residue of home, its
 * vote keeps home, and its outcome is found there by its ttid.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Partition, Tid } from "../../core/ids.ts";
import { partitionOf, ZERO_TID } from "../../core/ids.ts";
import type { Client } from "../../roles/client/library.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, serving } from "./puppet.ts";
import { bytesOf, finishOf, oidAt, storeOf, ttidAt, voteOf } from "./words.ts";

async function commitOf(
  stage: Stage,
  client: Client,
  { writes = [], checks = [] }: { writes?: readonly number[]; checks?: readonly number[] },
): Promise<Tid> {
  const tx = await stage.finish(client.begin());
  for (const oid of checks) tx.check(oidAt(oid));
  for (const oid of writes) tx.store(oidAt(oid), bytesOf("x"), { base: ZERO_TID });
  return await stage.finish(tx.commit());
}

test("A16: home is a partition that is written, and the tid has its residue", async () => {
  const stage = await new Stage({ storages: 3, replicas: 1, partitions: 6 }).open();
  const client = await stage.connect("c1");
  const homes = new Set<Partition>();
  for (let oid = 0; oid < 12; oid++) {
    const tid = await commitOf(stage, client, { writes: [oid] });
    assert.equal(partitionOf(tid, 6), oid % 6);
    homes.add(partitionOf(tid, 6));
  }
  assert.equal(homes.size, 6, "the rows of one client are spread over all partitions");
  const mixed = await commitOf(stage, client, { writes: [20, 21], checks: [100] });
  assert.ok([20 % 6, 21 % 6].includes(partitionOf(mixed, 6)), "a partition that is only read isn't home");
  const checked = await commitOf(stage, client, { checks: [101] });
  assert.equal(partitionOf(checked, 6), 101 % 6);
  assert.ok(await commitOf(stage, client, {}) > checked, "a transaction without objects has a home too");
});

test("A16: every transaction is found in the partition of its tid, and nowhere else", async () => {
  const stage = await new Stage({ partitions: 4 }).open();
  const client = await stage.connect("c1");
  const tids: Tid[] = [];
  for (let oid = 0; oid < 8; oid++) tids.push(await commitOf(stage, client, { writes: [oid, oid + 41] }));
  const { store } = stage.storage("s1");
  for (let partition = 0; partition < 4; partition++) {
    const upTo = tids.at(-1)!;
    const page = store.read({ read: "transactions", partitions: [partition], after: 0n, upTo, count: 100 });
    const found = (page as { transactions: { tid: Tid }[] }).transactions.map(({ tid }) => tid);
    assert.deepEqual(found, tids.filter((tid) => partitionOf(tid, 4) === partition));
  }
});

test("A16: a lost answer is found by ttid on the home cells, under the next session", async () => {
  const stage = await new Stage({ storages: 3, replicas: 0, partitions: 3 }).open();
  const client = await stage.warm("c1");
  for (const oid of [1, 4, 7]) await commitOf(stage, client, { writes: [oid] });
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(10), bytesOf("x"));
  const commit = tx.commit();
  await stage.until(() => hasHeard(stage.master, "asked finish"));
  stage.wires.hold("m1", "c1");
  await stage.run();
  stage.wires.lose("m1", "c1"); // it is published, and nobody heard of it
  stage.master.kill();
  const isKnown = (name: string) => bodiesOf(stage.storage(name), "fate").length > 0;
  stage.wires.free("m1", "c1");
  stage.startMaster();
  await stage.pass(5_000);
  const tid = await stage.finish(commit);
  assert.equal(partitionOf(tid, 3), 1);
  assert.deepEqual(stage.names.map(isKnown), [false, true, false], "only home is asked");
  assert.equal((await stage.finish((await stage.finish(client.snapshot())).load(oidAt(10))))?.tid, tid);
});

test("A16: a vote keeps its home over a crash", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 4 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const stores = [5, 6].map((oid) => storeOf({ ttid: ttidAt(1, 1), oid }));
  for (const store of stores) puppet.ask(conn, "store", store);
  puppet.ask(conn, "vote", voteOf(stores, { home: 2 as Partition }));
  await stage.run();
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.run();
  primary.epoch = 2;
  const fenced = primary.fence();
  await stage.run();
  assert.deepEqual(fenced.answer?.votes, [{ ttid: ttidAt(1, 1), home: 2, partitions: [1, 2] }]);
});

test("A16: a given tid that isn't of its home is refused", async () => {
  const stage = await new Stage({ partitions: 2 }).open();
  const puppet = new Puppet(stage, "c1", stage.hello("client", { name: "c1" }), []);
  const { conn } = await puppet.dial("m1:1");
  const { session, lastTid } = bodiesOf(puppet.actor, "welcome")[0]!;
  const staged = puppet.ask(conn, "stage", { importing: true, origin: "test" });
  await stage.run();
  assert.ok(staged.answer);
  const store = storeOf({ ttid: ttidAt(session, 1), oid: 4 });
  const finish = (tid: bigint) =>
    puppet.ask(conn, "finish", finishOf([store], [], { explicit: tid as Tid, sent: [] }));
  const [odd, even] = [finish(lastTid + 101n), finish(lastTid + 102n)];
  await stage.run();
  assert.equal(odd.error?.code, "wrongPartition");
  assert.equal(even.error?.code, "missing", "this one is only not voted");
});
