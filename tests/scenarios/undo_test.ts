/**
 * Undo. Where nothing came after it, a transaction is undone by a write with a link to the revision before it, which
 * brings no data. Where something did, its change is taken out of the newest revision by whoever knows what the data
 * means: a write of that, whose conflicts are resolved as those of any other write.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { PART_BYTES_MAX } from "../../core/limits.ts";
import type { Commit, Write } from "../../roles/client/calls.ts";
import type { ObjectConflict, Resolver } from "../../roles/client/resolving.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { connectCaching, openOnFile } from "./kit.ts";
import type { Scene } from "./kit.ts";

const ALONE = { storages: 1, replicas: 0, partitions: 1 };
const OBJECT = oidAt(1);
const NONE = new Uint8Array();

/** A counter and an attribute, which no change touches. */
function counterOf(count: number, attribute: number): Uint8Array {
  const bytes = new Uint8Array(attribute).fill(0xa5);
  bytes[0] = count;
  return bytes;
}

/** Adds what `mine` has done to `base` to what was saved; a large attribute comes from the newest revision. */
function merged(base: Uint8Array | undefined, saved: Uint8Array, mine: Uint8Array): Uint8Array {
  const bytes = saved.slice();
  bytes[0] = saved[0]! + mine[0]! - (base?.[0] ?? 0);
  return bytes;
}

/** Commits one write of the object. */
async function commitOne(stage: Stage, { client }: Scene, write: Omit<Write, "oid">): Promise<Tid> {
  const note = { user: NONE, description: NONE, extension: NONE, status: " " };
  const commit: Commit = { writes: [{ oid: OBJECT, ...write }], checks: [], ...note };
  return (await stage.finish(client.call("commit", commit))).tid;
}

/** One increment: what it started from, and what it made. */
interface Increment {
  readonly before: Tid;
  readonly tid: Tid;
}

async function increment(stage: Stage, scene: Scene, by: number): Promise<Increment> {
  const tx = await stage.finish(scene.client.begin());
  const found = await stage.finish(tx.load(OBJECT));
  assert.ok(found);
  const bytes = found.data.slice();
  bytes[0]! += by;
  tx.store(OBJECT, bytes);
  return { before: found.tid, tid: await stage.finish(tx.commit()) };
}

/** Takes increments out of the newest revision, in one transaction that isn't committed yet. */
async function undoing(
  stage: Stage,
  { client }: Scene,
  increments: readonly Increment[],
  resolve?: Resolver,
) {
  const tx = await stage.finish(client.begin(resolve ? { resolve } : {}));
  const exact = async (tid: Tid): Promise<Uint8Array> =>
    (await stage.finish(client.loadExact(OBJECT, tid)))!.data!;
  for (const { before, tid } of increments) {
    const saved = (await stage.finish(tx.load(OBJECT)))!.data;
    tx.store(OBJECT, merged(await exact(tid), saved, await exact(before)));
  }
  return tx;
}

async function currentOf(stage: Stage, { client }: Scene): Promise<Uint8Array | undefined> {
  const snapshot = await stage.finish(client.snapshot());
  return (await stage.finish(snapshot.load(OBJECT)))?.data;
}

for (const attribute of [6_000, PART_BYTES_MAX + 6_000]) {
  const title =
    `16.1/006 two increments are undone beside a third, with ${attribute} bytes in a smaller cache`;
  test(title, async () => {
    const stage = new Stage(ALONE);
    using file = await openOnFile(stage);
    const [mine, other] = [await connectCaching(stage, "c1", 4_096), await connectCaching(stage, "c2", 0)];
    await commitOne(stage, mine, { base: 0n as Tid, data: counterOf(0, attribute) });
    const increments = [await increment(stage, mine, 1), await increment(stage, mine, 2)];
    const conflicts: ObjectConflict[] = [];
    const tx = await undoing(stage, mine, increments, (conflict) => {
      conflicts.push(conflict);
      return merged(conflict.base, conflict.saved, conflict.mine);
    });
    await increment(stage, other, 10);
    await stage.finish(tx.commit());
    assert.deepEqual(conflicts.map(({ base, saved, mine }) => [base?.[0], saved[0], mine[0]]), [[3, 13, 0]]);
    for (const each of [mine, other]) {
      assert.equal(Buffer.compare(await currentOf(stage, each) ?? NONE, counterOf(10, attribute)), 0);
    }
    const { obj, data, tobj, ttrans, tpart } = file.rows;
    assert.deepEqual({ obj, data, tobj, ttrans, tpart }, { obj: 5, data: 5, tobj: 0, ttrans: 0, tpart: 0 });
    assert.equal(file.orphans, 0);
  });
}

test("16.1/007 an undo that meets a commit made since it was prepared is resolved on the undo's data", async () => {
  const stage = await new Stage(ALONE).open();
  const [mine, other] = [await connectCaching(stage, "c1", 0), await connectCaching(stage, "c2", 0)];
  await commitOne(stage, mine, { base: 0n as Tid, data: counterOf(1, 1) });
  const one = await increment(stage, mine, 2);
  const conflicts: ObjectConflict[] = [];
  const tx = await undoing(stage, mine, [one], (conflict) => {
    conflicts.push(conflict);
    return merged(conflict.base, conflict.saved, conflict.mine);
  });
  const { tid } = await increment(stage, other, 10);
  const undone = await stage.finish(tx.commit());
  assert.deepEqual(
    conflicts.map(({ base, saved, mine }) => [base, saved, mine]),
    [[Uint8Array.of(3), Uint8Array.of(13), Uint8Array.of(1)]],
  );
  assert.deepEqual([conflicts[0]!.baseTid, conflicts[0]!.savedTid], [one.tid, tid]);
  assert.deepEqual(await currentOf(stage, other), Uint8Array.of(11));
  assert.deepEqual((await stage.finish(other.client.loadExact(OBJECT, undone)))?.data, Uint8Array.of(11));
});

test("16.1/007 an undo by link is told its conflict whole, and leaves what it linked and what was saved", async () => {
  const stage = new Stage(ALONE);
  using file = await openOnFile(stage);
  const [mine, other] = [await connectCaching(stage, "c1", 4_096), await connectCaching(stage, "c2", 0)];
  const large = PART_BYTES_MAX + 10;
  const first = await commitOne(stage, mine, { base: 0n as Tid, data: counterOf(1, large) });
  const one = await increment(stage, mine, 2);
  const link = { base: one.tid, data: null, link: first };
  const two = await increment(stage, other, 10);
  const before = file.rows;
  const error = await commitOne(stage, mine, link).then(() => undefined, (error) => error);
  assert.ok(error instanceof ConflictError);
  assert.deepEqual(error.conflicts, [{ oid: OBJECT, base: one.tid, saved: two.tid }]);
  assert.deepEqual([file.rows, file.orphans], [before, 0]);
  await commitOne(stage, mine, { ...link, base: two.tid });
  assert.deepEqual(
    file.rows,
    { ...before, obj: before.obj + 1, trans: before.trans + 1 },
    "no data of its own",
  );
  for (const each of [mine, other]) {
    assert.equal(Buffer.compare(await currentOf(stage, each) ?? NONE, counterOf(1, large)), 0);
  }
  const found: (Tid | null)[] = [];
  for (const tid of [first, one.tid, two.tid]) {
    found.push((await stage.finish(other.client.loadExact(OBJECT, tid)))?.tid ?? null);
  }
  assert.deepEqual(found, [first, one.tid, two.tid]);
});
