/**
 * B2: verification that commits node by node, and stops half way: the next primary finds no lock on home and drops what one data
 * node has applied. So all that report a vote are locked again first, and only then unlocked, in tid order.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { MasterMachine } from "../../roles/master/master.ts";
import { bodiesOf } from "./actors.ts";
import type { Actor } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt, textOf, tidAt } from "./words.ts";

/** Partition 0 on s1 and s2, partition 1 on s3 and s1. */
const SPREAD = { storages: 3, replicas: 1, partitions: 2 };

/** Transactions over both partitions, home 0, locked on s1 alone when primary and client die; gives the next primary. */
async function lockedOnOne(stage: Stage, count: number = 1): Promise<Actor<MasterMachine>> {
  const client = await stage.warm("c1");
  stage.wires.hold("m1", "s2");
  stage.wires.hold("m1", "s3");
  for (let nr = 0; nr < count; nr++) {
    const tx = await stage.finish(client.begin());
    for (const oid of [10 * nr, 10 * nr + 1]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
    void tx.commit().catch(() => undefined);
    await stage.run();
  }
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, count + 1, "and the one that warmed up");
  for (const name of ["s2", "s3"]) stage.wires.lose("m1", name);
  stage.actor("c1").kill();
  stage.master.kill();
  for (const name of ["s2", "s3"]) stage.wires.free("m1", name);
  return stage.startMaster();
}

/** Object `oid` as the database of a storage has it. */
function finalOn(stage: Stage, name: string, oid: number): string | undefined {
  const query = { read: "load", oid: oidAt(oid), at: tidAt(2 ** 62) };
  const { revision } = stage.storage(name).store.read(query) as {
    revision: { stored: { data: Uint8Array } } | null;
  };
  return textOf(revision?.stored.data);
}

test("B2: what is in doubt is locked on every copy before it is unlocked on any", async () => {
  const stage = await new Stage(SPREAD).open();
  const primary = await lockedOnOne(stage);
  await stage.until(() => primary.heard.filter(({ what }) => what === "answered fence").length === 3);
  stage.wires.hold("m1", "s2"); // the lock for the other home cell is on its way
  await stage.run();
  assert.equal(bodiesOf(stage.storage("s3"), "lock").length, 2, "s3 has its lock");
  assert.equal(bodiesOf(stage.storage("s3"), "unlock").length, 1, "and no word more");
  stage.wires.lose("m1", "s2");
  primary.kill();
  stage.wires.free("m1", "s2");
  stage.storage("s1").kill();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  assert.deepEqual(
    [finalOn(stage, "s2", 0), finalOn(stage, "s3", 1)],
    [undefined, undefined],
    "all or nothing",
  );
});

test("B2: once all have it, it is final everywhere, in tid order, and its client's successor sees it", async () => {
  const stage = await new Stage(SPREAD).open();
  await lockedOnOne(stage, 3);
  await stage.run();
  for (const name of stage.names) {
    const tids = bodiesOf(stage.storage(name), "unlock").map(({ tid }) => tid);
    assert.equal(tids.length, 4);
    assert.deepEqual(tids, tids.toSorted((a, b) => (a < b ? -1 : 1)));
  }
  const client = await stage.connect("c2");
  const snapshot = await stage.finish(client.snapshot());
  for (const oid of [0, 1, 10, 11, 20, 21]) {
    const found = await stage.finish(snapshot.load(oidAt(oid)));
    assert.equal(textOf(found?.data), `object ${oid}`);
  }
  assert.deepEqual(["s1", "s2"].map((name) => finalOn(stage, name, 20)), ["object 20", "object 20"]);
  assert.deepEqual(["s1", "s3"].map((name) => finalOn(stage, name, 21)), ["object 21", "object 21"]);
});

test("B2: a primary that dies between its unlocks leaves what the next one completes", async () => {
  const stage = await new Stage(SPREAD).open();
  const primary = await lockedOnOne(stage);
  await stage.until(() => primary.heard.filter(({ what }) => what === "answered lock").length === 3);
  for (const name of ["s1", "s2"]) stage.wires.lose("m1", name); // s3 alone gets its unlock
  await stage.until(() => bodiesOf(stage.storage("s3"), "unlock").length === 2);
  primary.kill();
  stage.storage("s1").kill();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.deepEqual([finalOn(stage, "s2", 0), finalOn(stage, "s3", 1)], ["object 0", "object 1"]);
});

test("B2: what home has made final is completed where the unlock didn't arrive", async () => {
  const stage = await new Stage(SPREAD).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [0, 1]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit();
  await stage.until(() => bodiesOf(stage.storage("s3"), "lock").length === 2);
  stage.wires.hold("m1", "s3");
  assert.ok(await stage.finish(commit) > 0n);
  stage.wires.lose("m1", "s3");
  stage.master.kill();
  stage.wires.free("m1", "s3");
  assert.equal(finalOn(stage, "s3", 1), undefined);
  stage.startMaster();
  await stage.run();
  assert.equal(finalOn(stage, "s3", 1), "object 1");
});
