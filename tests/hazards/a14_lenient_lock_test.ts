/**
 * A14: a storage that says `locked` without having the transaction turns a lost node into lost data. It says so only for a whole
 * vote, or for what is final under this tid; the primary takes anything else as the loss of that storage.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import type { Body } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { bodiesOf, hasHeard, placeOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, type PuppetPrimary, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

/** A storage that has voted for transaction 1 of session 1. */
async function voted(stage: Stage): Promise<PuppetPrimary> {
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const store = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  puppet.ask(conn, "store", store);
  const vote = puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  assert.ok(vote.answer);
  return primary;
}

/** A storage in the test's hand, known to the master as s2, that takes every store and vote. */
function agreeable(stage: Stage): Puppet {
  const hello = stage.hello("storage", { name: "s2", diskId: "disk-s2", address: "s2:1" });
  const puppet = new Puppet(stage, "s2", hello);
  let session = 0;
  puppet.auto.set("fence", (body: Body<"fence">) => {
    session = body.session;
    const { generation, version } = PartitionTable.ofImage(body.image);
    return { generation, version, votes: [], locks: [], lastTids: [], lastOid: null, lastTtid: null };
  });
  puppet.auto.set("start", () => ({}));
  puppet.auto.set("store", () => ({ lockless: false }));
  puppet.auto.set("vote", () => {
    const cells = [0, 1].map((partition) => ({ partition: partition as Partition, since: 1, locked: true }));
    return { evidence: { node: 3 as NodeIndex, session, cells } };
  });
  return puppet;
}

test("A14: no vote, no `locked`: unknown, stored only, or taken back", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  puppet.ask(conn, "store", storeOf({ ttid: ttidAt(1, 2), oid: 4 }));
  await stage.run();
  const replies = [1, 2].map((counter) => primary.lock(ttidAt(1, counter), tidAt(100)));
  await stage.run();
  assert.deepEqual(replies.map(({ error }) => error?.code), ["unknownTransaction", "unknownTransaction"]);
});

test("A14: a vote, also of an earlier process, is locked under one tid and no other", async () => {
  const stage = new Stage(SOLO);
  const before = await voted(stage);
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.run();
  before.epoch = 2;
  const fenced = before.fence();
  const locks = [before.lock(ttidAt(1, 1), tidAt(100)), before.lock(ttidAt(1, 1), tidAt(100))];
  const other = before.lock(ttidAt(1, 1), tidAt(200));
  await stage.run();
  assert.equal(fenced.answer?.votes.length, 1);
  assert.ok(locks.every(({ answer }) => answer));
  assert.equal(other.error?.code, "unknownTransaction");
});

test("A14: what is final is `locked` under its own tid, and under no other", async () => {
  const stage = new Stage(SOLO);
  const primary = await voted(stage);
  primary.lock(ttidAt(1, 1), tidAt(100));
  primary.unlock(ttidAt(1, 1), tidAt(100));
  const [same, other] = [primary.lock(ttidAt(1, 1), tidAt(100)), primary.lock(ttidAt(1, 1), tidAt(200))];
  await stage.run();
  assert.ok(same.answer);
  assert.equal(other.error?.code, "unknownTransaction");
});

test("A14: writes that went with their cell aren't locked, and the rest of the vote is", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 2 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const stores = [4, 5].map((oid) => storeOf({ ttid: ttidAt(1, 1), oid }));
  for (const store of stores) puppet.ask(conn, "store", store);
  puppet.ask(conn, "vote", voteOf(stores, { home: 1 as Partition }));
  await stage.run();
  primary.table.apply(2, [{ partition: 0 as Partition, node: 2 as NodeIndex, state: "outOfDate", since: 2 }]);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  primary.lock(ttidAt(1, 1), tidAt(101));
  primary.unlock(ttidAt(1, 1), tidAt(101));
  await stage.run();
  const [gone, kept] = [4, 5].map((oid) =>
    stage.storage("s1").store.read({ read: "load", oid: oidAt(oid), at: tidAt(200) })
  );
  assert.deepEqual(gone, { read: "load", known: false, revision: null });
  assert.equal((kept as { revision: { tid: bigint } }).revision.tid, 101n);
});

test("A14: the primary gives a storage up that lost what it voted for, and publishes behind its outdating", async () => {
  const stage = new Stage();
  stage.startMaster();
  const liar = agreeable(stage);
  await liar.dial("m1:1");
  stage.startStorage("s1");
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "running");
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit();
  await stage.run();
  const lock = liar.question("lock");
  assert.ok(hasHeard(stage.storage("s1"), "asked lock") && !hasHeard(stage.actor("c1"), "answered finish"));
  liar.refuse(lock, { code: "unknownTransaction", message: "its rows are gone" });
  assert.ok(await stage.finish(commit) > 0n);
  assert.ok(hasHeard(liar.actor, "lost"));
  assert.equal(stage.master.machine.view.table, "0: 2U 3O\n1: 2U 3O");
  const heard = stage.actor("c1");
  assert.ok(placeOf(heard, "told tableChange") < placeOf(heard, "answered finish"));
  const after = await stage.finish(client.snapshot());
  assert.equal(textOf((await stage.finish(after.load(oidAt(4))))?.data), "object 4");
  await liar.dial("m1:1");
  const cells = PartitionTable.ofImage(bodiesOf(liar.actor, "fence").at(-1)!.image).cellsOf(3 as NodeIndex);
  assert.deepEqual(cells.map(({ cell }) => cell.state), ["outOfDate", "outOfDate"]);
});

test("A14: with no other copy the cluster recovers, and a client isn't told of a commit", async () => {
  const stage = new Stage({ storages: 2, replicas: 0, partitions: 2 });
  stage.startMaster();
  const liar = agreeable(stage);
  await liar.dial("m1:1");
  stage.startStorage("s1");
  await stage.run();
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit({ withinMs: 1_000 });
  commit.catch(() => undefined);
  await stage.run();
  liar.refuse(liar.question("lock"), { code: "unknownTransaction", message: "its rows are gone" });
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "recovering");
  assert.equal(stage.master.machine.view.epoch, 2);
  assert.ok(!hasHeard(stage.actor("c1"), "answered finish"));
});
