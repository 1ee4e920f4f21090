/**
 * A6: votes are sent behind the stores, so two transactions may each have voted where the other one waits. "A voted holder
 * isn't disturbed" would then be for ever: a deadlock notice is sent whether or not the younger has voted, and its client
 * gives the lock up there unless its `finish` is out.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Client } from "../../roles/client/library.ts";
import type { Resolver } from "../../roles/client/resolving.ts";
import { Stage } from "./kit.ts";

const PAIR = { storages: 2, replicas: 1, partitions: 1 };
const [A, B] = [11n as Oid, 12n as Oid];

/** Counters in one byte: what both have added counts. */
const sum: Resolver = ({ base, saved, mine }) => Uint8Array.of(saved[0]! + mine[0]! - (base?.[0] ?? 0));

/** A transaction that adds `by` to objects in this order, begun and not committed. */
async function adding(stage: Stage, client: Client, oids: readonly Oid[], by: number) {
  const tx = await stage.finish(client.begin({ resolve: sum }));
  for (const oid of oids) {
    const found = await stage.finish(tx.load(oid));
    tx.store(oid, Uint8Array.of((found?.data[0] ?? 0) + by));
  }
  return tx;
}

/** Two clients whose connections are there. The first transaction of `older` is the older one. */
async function scene(): Promise<{ stage: Stage; older: Client; younger: Client }> {
  const stage = await new Stage(PAIR).open();
  const older = await stage.warm("c1");
  const younger = await stage.warm("c2");
  return { stage, older, younger };
}

function heardBy(stage: Stage, name: string, what: string): number {
  return stage.actor(name).heard.filter((heard) => heard.what === what).length;
}

async function valueOf(stage: Stage, client: Client, oid: Oid): Promise<number | undefined> {
  const snapshot = await stage.finish(client.snapshot());
  return (await stage.finish(snapshot.load(oid)))?.data[0];
}

test("A6: two transactions that have voted where the other one waits both commit (N1)", async () => {
  const { stage, older, younger } = await scene();
  const first = await adding(stage, older, [A, B], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [B, A], 10);
  stage.wires.hold("c1", "s2");
  stage.wires.hold("c2", "s1");
  const commits = [first.commit(), second.commit()];
  await stage.run();
  assert.deepEqual(
    [heardBy(stage, "s1", "asked vote"), heardBy(stage, "s2", "asked vote")].map((n) => n > 0),
    [
      true,
      true,
    ],
  );
  const beforeMs = stage.time.nowMs;
  stage.wires.free("c1", "s2");
  stage.wires.free("c2", "s1");
  const tids = await stage.finish(Promise.all(commits));
  assert.ok(tids[0]! < tids[1]!, "the older goes first");
  assert.equal(stage.time.nowMs, beforeMs, "nobody waits for a deadline");
  assert.equal(heardBy(stage, "c1", "told deadlock"), 0);
  assert.equal(heardBy(stage, "c2", "told deadlock"), 2, "once for each object");
  assert.equal(heardBy(stage, "s2", "told relock"), 2);
  assert.deepEqual([await valueOf(stage, older, A), await valueOf(stage, older, B)], [11, 11]);
});

test("A6: a client whose finish is out doesn't give its locks up", async () => {
  const { stage, older, younger } = await scene();
  const first = await adding(stage, older, [A], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [A], 10);
  stage.wires.hold("c2", "m1");
  const late = second.commit();
  await stage.run();
  const early = first.commit();
  await stage.run();
  assert.equal(heardBy(stage, "c2", "told deadlock"), 2, "one from each storage");
  assert.equal(heardBy(stage, "s1", "told relock") + heardBy(stage, "s2", "told relock"), 0);
  stage.wires.free("c2", "m1");
  const [one, two] = await stage.finish(Promise.all([early, late]));
  assert.ok(two! < one!, "what was finished goes first");
  assert.equal(await valueOf(stage, older, A), 11);
});

test("A6: a relock voids the vote of its node, and of no other", async () => {
  const { stage, older, younger } = await scene();
  const first = await adding(stage, older, [A], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [A], 10);
  stage.wires.hold("c2", "s1"); // its finish waits for this vote
  const late = second.commit();
  await stage.run();
  const early = first.commit();
  await stage.run();
  assert.equal(heardBy(stage, "s2", "told relock"), 1);
  await stage.finish(early);
  const votes = stage.actor("s2").heard.filter(({ what }) => what === "asked vote").length;
  assert.ok(votes >= 3, "the younger voted there again");
  stage.wires.free("c2", "s1");
  await stage.finish(late);
  assert.equal(await valueOf(stage, older, A), 11);
});

test("A6: who waits for an older one isn't told anything", async () => {
  const { stage, older, younger } = await scene();
  const first = await adding(stage, older, [A], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [A], 10);
  stage.wires.hold("c1", "m1");
  const early = first.commit();
  await stage.run();
  const late = second.commit();
  await stage.run();
  assert.equal(heardBy(stage, "c1", "told deadlock") + heardBy(stage, "c2", "told deadlock"), 0);
  stage.wires.free("c1", "m1");
  const [one, two] = await stage.finish(Promise.all([early, late]));
  assert.ok(one! < two!);
  const found = await stage.finish(older.loadExact(A, two as Tid));
  assert.ok(found && found.data?.[0] === 11 && found.tid !== ZERO_TID);
});
