/** Packs of a cluster and of its backup (N5, T13). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PackedError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { FOLLOW_AGAIN_MS, FOLLOW_HOLDS_MS, FOLLOW_TRANSACTIONS_AHEAD } from "../../core/limits.ts";
import type { Stage } from "../hazards/kit.ts";
import { oidAt, textOf } from "../hazards/words.ts";
import { Pair } from "./backup_kit.ts";
import { OperatorHand } from "./damage_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";
import type { Scene } from "./kit.ts";

const [X, Y] = [oidAt(1), oidAt(2)];
/** Long enough for a pack of what a test has. */
const PACKED_MS = 2_000;

/** A pair whose source has a text of X in each of some transactions, and of Y in the first. */
async function written(count: number): Promise<{ pair: Pair; writer: Scene; tids: Tid[] }> {
  const pair = await new Pair().open();
  const writer = await connectCaching(pair.source, "c1", 0);
  const tids = [await commitTexts(pair.source, writer, [[X, "x1"], [Y, "y1"]])];
  for (let at = 2; at <= count; at++) tids.push(await commitTexts(pair.source, writer, [[X, `x${at}`]]));
  return { pair, writer, tids };
}

let hands = 0;
async function pack(pair: Pair, stage: Stage, tid: Tid): Promise<string> {
  // a name of its own: each hand has a connection
  const reply = await new OperatorHand(stage, `packer${++hands}`).begin("pack", { tid, dryRun: false });
  await pair.settle();
  return reply.answer ? "packed" : reply.error?.message ?? "no answer";
}

async function textAt(stage: Stage, { client }: Pick<Scene, "client">, at: Tid): Promise<string | undefined> {
  const found = client.snapshot({ at }).then((snapshot) => snapshot.load(X));
  return await stage.finish(found.then((one) => textOf(one?.data), (error) => `${error.code}`));
}

test("16.5/149 the source and its backup are packed while what is new is copied: both are right, and the same (T13, N5)", async () => {
  const { pair, writer, tids } = await written(4);
  await pair.startFollower();
  await pair.caughtUp();
  const copying = commitTexts(pair.source, writer, [[X, "x5"], [Y, "y5"]]);
  assert.equal(await pack(pair, pair.source, tids[2]!), "packed");
  assert.equal(await pack(pair, pair.backup, tids[2]!), "packed");
  tids.push(await pair.source.finish(copying));
  await pair.caughtUp();
  await pair.pass(PACKED_MS);
  const reader = await connectCaching(pair.backup, "r1", 0);
  for (const [stage, scene] of [[pair.source, writer], [pair.backup, reader]] as const) {
    const texts = [];
    for (const at of tids) texts.push(await textAt(stage, scene, at));
    assert.deepEqual(texts, ["packed", "packed", "x3", "x4", "x5"]);
  }
  await pair.assertEqual();
});

test("J1 what a follower hasn't copied yet isn't packed in the source", async () => {
  const { pair, writer, tids } = await written(2);
  await pair.startFollower();
  await pair.caughtUp();
  pair.backup.wires.hold("f1", "m1"); // its commits don't get there
  const late = await commitTexts(pair.source, writer, [[X, "x3"]]);
  await commitTexts(pair.source, writer, [[X, "x4"]]);
  assert.match(await pack(pair, pair.source, late), /client f1 \(session \d+\) reads a snapshot/);
  assert.equal(await pack(pair, pair.source, tids[1]!), "packed");
  pair.backup.wires.free("f1", "m1");
  await pair.caughtUp();
  assert.equal(await pack(pair, pair.source, late), "packed");
});

test("J2 what its source packs in the middle of a page counts as packed in the backup, before what is behind it comes (T13, N5)", async () => {
  const { pair, tids } = await written(FOLLOW_TRANSACTIONS_AHEAD + 20);
  for (const name of pair.backup.names) pair.backup.wires.hold("f1", name); // it reads, and can't write
  await pair.startFollower();
  await pair.settle();
  pair.source.wires.bar("f1", "m1"); // whoever is away isn't asked
  pair.source.wires.cut("f1", "m1");
  await pair.settle();
  const bound = tids.at(-2)!;
  assert.equal(await pack(pair, pair.source, bound), "packed");
  await pair.source.pass(PACKED_MS);
  pair.source.wires.unbar("f1", "m1");
  await pair.source.pass(PACKED_MS);
  for (const name of pair.backup.names) pair.backup.wires.free("f1", name);
  await pair.caughtUp();
  const reader = await connectCaching(pair.backup, "r1", 0);
  for (const [at, tid] of tids.entries()) {
    const text = await textAt(pair.backup, reader, tid);
    assert.equal(text, tid < bound ? "packed" : `x${at + 1}`, `transaction ${at + 1}`);
  }
  assert.equal((await pair.order("status", {})).answer?.pack?.bound, bound);
  await pair.pass(PACKED_MS);
  await pair.assertEqual();
});

test("T13 no backup is promoted while it is being told what its source packed (N5)", async () => {
  const { pair, writer, tids } = await written(6);
  await pair.startFollower();
  await pair.caughtUp();
  pair.source.wires.bar("f1", "m1"); // what it misses is packed
  pair.source.wires.cut("f1", "m1");
  for (const text of ["x7", "x8", "x9"]) tids.push(await commitTexts(pair.source, writer, [[X, text]]));
  assert.equal(await pack(pair, pair.source, tids[7]!), "packed");
  pair.backup.consensus.lags = true;
  pair.source.wires.unbar("f1", "m1");
  await pair.pass(2 * FOLLOW_AGAIN_MS);
  const told = await pair.order("setBackup", { of: "" });
  pair.backup.consensus.lags = false;
  pair.backup.master.post({ type: "saved" });
  await pair.settle();
  assert.match(told.error?.message ?? "it was promoted", /its source was packed up to .* it isn't whole yet/);
  await pair.caughtUp();
  await pair.setBackup("");
});

test("T13 a follower that another one has replaced holds no packs up, once it has waited for a while (N5)", async () => {
  const { pair, writer, tids } = await written(2);
  await pair.startFollower("f1");
  await pair.caughtUp();
  await pair.startFollower("f2");
  await pair.settle();
  pair.backup.wires.bar("f1", "m1"); // f2 copies from now on
  pair.backup.wires.cut("f1", "m1");
  await pair.pass(FOLLOW_AGAIN_MS);
  pair.backup.wires.unbar("f1", "m1");
  await pair.pass(FOLLOW_AGAIN_MS);
  tids.push(await commitTexts(pair.source, writer, [[X, "x3"]]));
  await pair.caughtUp();
  assert.match(await pack(pair, pair.source, tids[2]!), /client f1 .* reads a snapshot/, "it may go on yet");
  await pair.pass(FOLLOW_HOLDS_MS);
  assert.equal(await pack(pair, pair.source, tids[2]!), "packed");
});

test("T13 a follower that fails again and again holds no packs up, once that has lasted for a while (N5)", async () => {
  const { pair, tids } = await written(2);
  await pair.startFollower("f1", "another");
  await pair.settle();
  assert.match(await pack(pair, pair.source, tids[1]!), /client f1 .* reads a snapshot/, "it may go on yet");
  await pair.pass(FOLLOW_HOLDS_MS);
  assert.equal(await pack(pair, pair.source, tids[1]!), "packed");
});

test("J2 a backup takes over what its source packed before it was copied; it isn't whole, nor promoted, until it is there (T13, N5)", async () => {
  const { pair, writer, tids } = await written(6);
  const bound = tids[4]!;
  assert.equal(await pack(pair, pair.source, bound), "packed");
  await pair.source.pass(PACKED_MS);
  for (const name of pair.backup.names) pair.backup.wires.hold("f1", name);
  await pair.startFollower();
  await pair.settle();
  const { answer: early } = await pair.order("status", {});
  assert.deepEqual([early?.pack?.bound, early?.lastTid], [bound, 0n], "before anything else");
  const { error } = await pair.order("setBackup", { of: "" });
  assert.match(error!.message, /its source was packed up to .* it isn't whole yet/);
  const reader = await connectCaching(pair.backup, "r1", 0);
  const fresh = pair.backup.finish(reader.client.snapshot());
  await assert.rejects(
    fresh,
    (error) => error instanceof PackedError && /this backup has come to/.test(error.message),
  );

  for (const name of pair.backup.names) pair.backup.wires.free("f1", name);
  await pair.caughtUp();
  assert.deepEqual((await pair.order("status", {})).answer?.pack?.bound, bound);
  assert.equal(await textAt(pair.backup, reader, tids[1]!), "packed");
  assert.equal(await textAt(pair.backup, reader, bound), "x5");
  await commitTexts(pair.source, writer, [[X, "x7"]]);
  await pair.caughtUp();
  await pair.assertEqual();
  await pair.setBackup("");
});
