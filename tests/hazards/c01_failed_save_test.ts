/**
 * C1: a save fails after the machine has stepped: its state is ahead of its disk, and the next round would promise what isn't there.
 * A failed save is a crash: nothing is said, everything is closed, the machine is thrown away. And a reserve of space is kept for
 * what must never fail.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreFailedError } from "../../adapters/store_errors.ts";
import { RESERVE_BYTES, SPACE_CHECK_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

for (const when of ["at once", "late"] as const) {
  test(`C1: a vote whose save fails ${when} is never answered, and the node is over`, async () => {
    const stage = new Stage(SOLO);
    const primary = await serving(stage);
    const { puppet, conn } = await puppetClient(stage);
    const store = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
    puppet.ask(conn, "store", store);
    await stage.run();
    const before = stage.storage("s1");
    before.store.holdsSaves = when === "late";
    before.store.failure = new StoreFailedError("write", "s1", { full: true, errcode: 13, cause: "full" });
    const vote = puppet.ask(conn, "vote", voteOf([store]));
    await stage.run();
    const steps = before.heard.length;
    before.store.free();
    const lock = primary.lock(ttidAt(1, 1), tidAt(100)); // the master takes the vote for given
    await stage.run();
    assert.equal(vote.error?.code, "lost", "no word of it");
    assert.equal(lock.error?.code, "lost");
    assert.equal(before.heard.length, steps, "the machine is stepped no more");
    assert.equal(before.ended?.error?.code, "noSpace");
    stage.startStorage("s1");
    await stage.run();
    const fenced = primary.fence({ epoch: 2 });
    primary.epoch = 2;
    const again = primary.lock(ttidAt(1, 1), tidAt(100));
    await stage.run();
    assert.deepEqual(fenced.answer?.votes, [], "it is rebuilt from what is on disk");
    assert.equal(again.error?.code, "unknownTransaction");
  });
}

test("C1: a commit under way when a copy's disk fails is whole on the others", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("x"));
  const commit = tx.commit();
  await stage.until(() => hasHeard(stage.storage("s2"), "asked vote") || stage.wires.waiting("c1", "s2") > 0);
  stage.storage("s2").store.failure = new Error("input/output error");
  assert.ok(await stage.finish(commit) > 0n);
  assert.equal(stage.storage("s2").ended?.error?.code, "ioError");
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
});

test("C1: a master whose log can't be written says nothing of what it decided", async () => {
  const stage = new Stage();
  const master = stage.startMaster();
  master.store.failure = new Error("input/output error");
  for (const name of stage.names) stage.startStorage(name);
  await stage.run();
  assert.equal(master.ended?.error?.code, "ioError");
  for (const name of stage.names) assert.deepEqual(bodiesOf(stage.storage(name), "fence"), []);
});

test("C1: short of space, first stores are refused, and what was promised has room", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const promised = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  puppet.ask(conn, "store", promised);
  await stage.run();
  stage.disk("s1").freeBytes = RESERVE_BYTES - 1;
  await stage.pass(10 * SPACE_CHECK_MS); // a heartbeat makes a round
  const vote = puppet.ask(conn, "vote", voteOf([promised]));
  await stage.run();
  assert.deepEqual(bodiesOf(primary.actor, "space"), [{ low: true, freeBytes: RESERVE_BYTES - 1 }]);
  const refused = puppet.ask(conn, "store", storeOf({ ttid: ttidAt(1, 2), oid: 5 }));
  const locked = primary.lock(ttidAt(1, 1), tidAt(100));
  primary.unlock(ttidAt(1, 1), tidAt(100));
  primary.table.apply(2, []);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  await stage.run();
  assert.ok(vote.answer && locked.answer);
  assert.equal(refused.error?.code, "noSpace");
  const load = puppet.ask(conn, "load", { oid: oidAt(4), at: tidAt(100), version: 2 });
  await stage.run();
  const fenced = primary.fence({ epoch: 2 });
  await stage.run();
  assert.equal(textOf(load.answer?.revision.data), "x");
  assert.ok(fenced.answer, "epoch and table too");
});

test("C1: a storage takes stores again once there is room", async () => {
  const stage = await new Stage(SOLO).open();
  const client = await stage.connect("c1");
  const commitOne = async (): Promise<unknown> => {
    const tx = await stage.finish(client.begin());
    tx.store(await stage.finish(client.newOid()), bytesOf("x"));
    return await stage.finish(tx.commit());
  };
  const space = async (bytes: number): Promise<void> => {
    stage.disk("s1").freeBytes = bytes;
    await stage.pass(10 * SPACE_CHECK_MS);
  };
  await space(RESERVE_BYTES - 1);
  await assert.rejects(commitOne(), { code: "noSpace" });
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
  await space(RESERVE_BYTES + 1);
  assert.ok(await commitOne());
});
