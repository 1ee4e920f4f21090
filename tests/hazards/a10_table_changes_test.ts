/**
 * A10: whoever refuses a transaction because the table has changed since it began aborts everything that is under way at each step
 * of a tweak, and a large one never passes. So a finish that lacks cells is answered `missing`: its client stores and votes
 * there and finishes again, or names them failed. Here a primary in the test's hand changes tables as it likes;
 * `a10_losses_test.ts` has a real one.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tid, Ttid } from "../../core/ids.ts";
import { bodiesOf } from "./actors.ts";
import { HandPrimary } from "./hand_primary.ts";
import type { Move } from "./hand_primary.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

const OIDS = [4, 5, 6].map(oidAt);

/** How many stores of it each storage was asked for. */
function storesOn(stage: Stage): number[] {
  return stage.names.map((name) => bodiesOf(stage.storage(name), "store").length);
}

/** Transactions that storages and primary have heard of. */
function ttidsOf(stage: Stage): Set<Ttid> {
  const stores = stage.names.flatMap((name) => bodiesOf(stage.storage(name), "store"));
  return new Set([...stores, ...bodiesOf(stage.actor("m1"), "finish")].map(({ ttid }) => ttid));
}

/** Three storages, of which two are in the table, and a transaction of c1 over three objects that isn't committed yet. */
async function scene() {
  const stage = new Stage({ storages: 3, partitions: 1 });
  const { primary, client } = await HandPrimary.open(stage, 2);
  const tx = await stage.finish(client.begin());
  for (const oid of OIDS) tx.store(oid, bytesOf(`object ${oid}`));
  const begin = (): Promise<Tid> => {
    const commit = tx.commit();
    commit.catch(() => undefined); // the test looks at it when it is over
    return commit;
  };
  return { stage, primary, begin };
}

test("A10: a finish that lacks a new copy is answered missing; its client brings it there, and finishes again", async () => {
  const { stage, primary, begin } = await scene();
  const commit = begin();
  await stage.run();
  primary.change([0, 3, "outOfDate"]);
  primary.change([0, 3, "upToDate"]);
  await stage.run();
  const early = primary.question("finish");
  assert.deepEqual(early.body.evidence.map(({ node }) => node), [2, 3]);
  primary.missing(early, [0, 3]);
  await stage.run();
  const late = primary.question("finish");
  assert.deepEqual(new Set(late.body.evidence.map(({ node }) => node)), new Set([2, 3, 4]));
  assert.deepEqual(new Set(late.body.sent), new Set([2, 3, 4]));
  assert.deepEqual(storesOn(stage), [3, 3, 3], "who has voted isn't asked again");
  await primary.commit(late, 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.equal(ttidsOf(stage).size, 1, "it was never begun again");
});

test("A10: a transaction in flight during nine table changes in a row commits", async () => {
  const { stage, primary, begin } = await scene();
  const commit = begin();
  await stage.run();
  const steps: { readonly moves: readonly Move[]; readonly lacks: number }[] = [
    { moves: [[0, 3, "outOfDate"], [0, 3, "upToDate"]], lacks: 3 }, // a new copy
    { moves: [[0, 3, "outOfDate"], [0, 3, "upToDate"]], lacks: 3 }, // what it had of it is gone
    { moves: [[0, 2, "outOfDate"], [0, 2, "upToDate"]], lacks: 2 }, // and at an old one
    { moves: [[0, 1, "discarded"], [0, 3, "outOfDate"], [0, 3, "upToDate"]], lacks: 3 }, // and the first one moves
  ];
  for (const { moves, lacks } of steps) {
    const finish = primary.question("finish");
    for (const move of moves) primary.change(move);
    primary.missing(finish, [0, lacks]);
    await stage.run();
  }
  const last = primary.question("finish");
  const counted = last.body.evidence.filter(({ node }) => primary.table.cell(0 as never, node));
  assert.deepEqual(counted.map(({ node }) => node).sort(), [3, 4]);
  assert.equal(primary.table.version, 10);
  await primary.commit({ ...last, body: { ...last.body, evidence: counted } }, 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.equal(ttidsOf(stage).size, 1);
});

test("A10: a change between missing and what the client does about it costs nothing more", async () => {
  const { stage, primary, begin } = await scene();
  const commit = begin();
  await stage.run();
  primary.change([0, 3, "upToDate"]);
  stage.wires.hold("c1", "s3");
  primary.missing(primary.question("finish"), [0, 3]);
  await stage.run();
  primary.change([0, 3, "outOfDate"]); // its stores are on the way, made with the table before
  primary.change([0, 3, "upToDate"]);
  await stage.run();
  stage.wires.free("c1", "s3");
  await stage.run();
  const late = primary.question("finish");
  await primary.commit(late, 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.equal(ttidsOf(stage).size, 1);
});

test("A10: a client that lacks the newest table is sent where the copy is now, and waits for nothing else", async () => {
  const { stage, primary, begin } = await scene();
  stage.wires.hold("m1", "c1");
  primary.change([0, 2, "discarded"], [0, 3, "upToDate"]);
  await stage.run();
  const commit = begin();
  await stage.run();
  assert.deepEqual(storesOn(stage), [3, 3, 0]);
  stage.wires.free("m1", "c1");
  await stage.run();
  const finish = primary.question("finish");
  const counted = finish.body.evidence.filter(({ node }) => primary.table.cell(0 as never, node));
  assert.deepEqual(counted.map(({ node }) => node).sort(), [2, 4]);
  await primary.commit({ ...finish, body: { ...finish.body, evidence: counted } }, 100);
  assert.equal(await stage.finish(commit), 100n);
});

test("A10: a storage that lacks the newest table keeps what was made with it until it is there", async () => {
  const { stage, primary, begin } = await scene();
  stage.wires.hold("m1", "s1");
  for (const state of ["outOfDate", "upToDate"] as const) primary.change([0, 3, state]);
  await stage.run();
  const commit = begin();
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.parked, OIDS.length + 1, "stores and vote wait");
  stage.wires.free("m1", "s1");
  await stage.run();
  assert.ok(stage.actor("c1").heard.every(({ error }) => error === undefined), "nothing was refused");
  await primary.commit(primary.question("finish"), 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.deepEqual(storesOn(stage), [3, 3, 3]);
});

test("A10: a copy that was outdated between store and vote takes all of it again, and the vote of the other one counts", async () => {
  const { stage, primary, begin } = await scene();
  stage.wires.hold("c1", "s1");
  const commit = begin();
  await stage.run();
  primary.change([0, 2, "outOfDate"]); // it has voted
  await stage.run();
  stage.wires.free("c1", "s1");
  await stage.run();
  const finish = primary.question("finish");
  primary.change([0, 2, "upToDate"]);
  primary.missing(finish, [0, 2]);
  await stage.run();
  await primary.commit(primary.question("finish"), 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.deepEqual(storesOn(stage), [3, 6, 0]);
  assert.equal(ttidsOf(stage).size, 1);
});
