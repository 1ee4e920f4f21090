/**
 * B4: a primary that asks first and fences later is overtaken by the last lock of the one before. So the epoch is held before any
 * storage hears of it, and durable there before it answers anything; from then on older primaries are nobody.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FAILOVER_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, PuppetPrimary, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

/** Has session 1 vote for its first transaction. */
async function vote(stage: Stage): Promise<void> {
  const { puppet, conn } = await puppetClient(stage);
  const store = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  puppet.ask(conn, "store", store);
  const voted = puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  assert.ok(voted.answer);
}

test("B4: no storage hears from a primary whose epoch isn't held", async () => {
  const stage = new Stage();
  stage.startMaster({ lags: true });
  for (const name of stage.names) stage.startStorage(name);
  await stage.run();
  for (const name of stage.names) {
    assert.ok(hasHeard(stage.storage(name), "identified"));
    assert.deepEqual(bodiesOf(stage.storage(name), "fence"), []);
  }
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  for (const name of stage.names) {
    assert.deepEqual(bodiesOf(stage.storage(name), "fence").map(({ epoch }) => epoch), [1]);
  }
});

test("B4: a storage answers a fence once the epoch survives a crash", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const { store } = stage.storage("s1");
  store.holdsSaves = true;
  const fenced = primary.fence({ epoch: 5 }); // the table is the same, so that nothing else is flushed
  await stage.run();
  assert.deepEqual(fenced, {});
  store.free();
  await stage.run();
  assert.ok(fenced.answer);
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.run();
  const [older, same] = [primary.fence({ epoch: 4 }), primary.fence({ epoch: 5 })];
  await stage.run();
  assert.equal(older.error?.code, "staleEpoch");
  assert.ok(same.answer);
});

test("B4: behind a fence, what the older epoch says has no effect", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  await vote(stage);
  const ttid = ttidAt(1, 1);
  const fenced = primary.fence({ epoch: 2 });
  const late = [
    primary.lock(ttid, tidAt(100)), // of epoch 1: the last one of the primary before
    primary.start(),
    primary.ask(primary.conn, "fate", { epoch: 1, ttid }),
  ];
  primary.unlock(ttid, tidAt(100));
  primary.tell(primary.conn, "abort", { epoch: 1, ttid, nodes: [] });
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 1 });
  await stage.run();
  assert.deepEqual(fenced.answer?.votes.map((vote) => vote.ttid), [ttid]);
  assert.deepEqual(fenced.answer?.locks, []);
  assert.deepEqual(late.map(({ error }) => error?.code), ["staleEpoch", "staleEpoch", "staleEpoch"]);
  assert.equal(stage.storage("s1").machine.load.transactions, 1, "neither locked nor aborted");
  primary.epoch = 2;
  const decided = primary.lock(ttid, tidAt(200));
  await stage.run();
  assert.ok(decided.answer);
});

test("B4: a lock that overtook the fence is in its report", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  await vote(stage);
  primary.lock(ttidAt(1, 1), tidAt(100));
  const fenced = primary.fence({ epoch: 2 });
  await stage.run();
  assert.deepEqual(fenced.answer?.locks, [{ ttid: ttidAt(1, 1), tid: 100n }]);
});

test("B4: a storage that comes back to a deposed primary refuses it", async () => {
  const stage = new Stage(SOLO);
  const old = new PuppetPrimary(stage, "m1");
  stage.startStorage("s1", { masters: ["m1:1", "m2:1"] });
  await stage.run();
  old.fence();
  old.start();
  await stage.run();
  await vote(stage);
  const next = new PuppetPrimary(stage, "m2");
  old.close(old.conn);
  await stage.pass(1_000);
  const fenced = next.fence({ epoch: 2 });
  await stage.run();
  assert.equal(fenced.answer?.votes.length, 1);
  next.close(next.conn);
  await stage.pass(1_000);
  assert.equal(old.peers.length, 2, "it seeks a primary, and the old one is the next address");
  assert.equal(old.peers[1]!.hello.epoch, 2, "and says what it has seen");
  const [again, lock] = [old.fence(), old.lock(ttidAt(1, 1), tidAt(100))];
  await stage.run();
  assert.deepEqual([again.error?.code, lock.error?.code], ["staleEpoch", "staleEpoch"]);
});

test("B4: every recovery has its own epoch, also that of the same primary, and answers of the one before count no more", async () => {
  const stage = await new Stage({ storages: 2, replicas: 0, partitions: 2 }).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit({ withinMs: 60_000 });
  await stage.until(() => bodiesOf(stage.storage("s1"), "lock").length === 2);
  stage.wires.hold("s1", "m1"); // s1 has it locked; s2 goes before it hears of it
  stage.wires.lose("m1", "s2");
  stage.storage("s2").kill();
  await stage.run();
  assert.deepEqual([stage.master.machine.view.epoch, stage.master.machine.view.phase], [2, "recovering"]);
  stage.wires.free("s1", "m1");
  await stage.pass(FAILOVER_GRACE_MS);
  const { heard } = stage.master;
  const fenced = heard.findLastIndex(({ what }) => what === "answered fence");
  assert.ok(heard.findLastIndex(({ what }) => what === "answered lock") < fenced, "the late answer is there");
  assert.equal(stage.master.machine.view.pending, 0, "verification decides, and not the queue of epoch 1");
  stage.startStorage("s2");
  await stage.pass(5_000);
  assert.ok(await stage.finish(commit) > 0n, "s1 is home and has it locked, s2 has voted: it is committed");
  const snapshot = await stage.finish(client.snapshot());
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(5))))?.data), "object 5");
});
