/** Values in and out: what was stored is what is read, byte for byte, and what is given up leaves nothing on the disk. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../adapters/system.ts";
import { ConflictError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import {
  CHUNK_BYTES_MAX,
  COMPRESS_BYTES_MIN,
  FRAME_BYTES_MAX,
  OBJECT_BYTES_MAX,
  PART_BYTES_MAX,
} from "../../core/limits.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { commitTexts, connectCaching, connectWarm, openOnFile } from "./kit.ts";
import type { Scene } from "./kit.ts";

const ALONE = { storages: 1, replicas: 0, partitions: 2 };
const MIB = 1024 * 1024;

/** Bytes that don't get smaller by compression. */
function noise(length: number): Uint8Array {
  const random = seededRandom(length);
  const block = Uint8Array.from({ length: Math.min(length, 64 * 1024) }, () => random.next() * 256);
  const bytes = new Uint8Array(length); // a block is longer than what a compressor looks back to
  for (let at = 0; at < length; at += block.length) bytes.set(block.subarray(0, length - at), at);
  return bytes;
}

const zeros = (length: number): Uint8Array => new Uint8Array(length);

/** One below, exactly, one above. */
const around = (length: number): readonly number[] => [length - 1, length, length + 1];

/** What becomes of values: stored at once, counted while they are voted and when they are final, and read by all ways. */
async function storeAndLoad(values: readonly Uint8Array[], cacheBytes: number): Promise<void> {
  const stage = new Stage(ALONE);
  using file = await openOnFile(stage);
  const writer = await connectCaching(stage, "c1", cacheBytes);
  const reader = await connectCaching(stage, "c2", 0);
  const oids = values.map((_, at) => oidAt(at + 1));
  const parts = values.reduce(
    (all, { length }) => all + (length > PART_BYTES_MAX ? Math.ceil(length / PART_BYTES_MAX) : 0),
    0,
  );
  const tx = await stage.finish(writer.client.begin());
  values.forEach((value, at) => tx.store(oids[at]!, value));
  stage.wires.hold("c1", "m1"); // voted, and not finished
  const commit = tx.commit();
  await stage.run();
  const count = { data: values.length, part: parts, tpart: 0 };
  assert.deepEqual(
    file.rows,
    { ...count, tobj: values.length, ttrans: 1, obj: 0, trans: 0 },
    "one row each, voted",
  );
  stage.wires.free("c1", "m1");
  const tid = await stage.finish(commit);
  assert.deepEqual(
    file.rows,
    { ...count, tobj: 0, ttrans: 0, obj: values.length, trans: 1 },
    "the same rows, final",
  );
  for (const { client } of [writer, reader]) {
    const snapshot = await stage.finish(client.snapshot());
    for (const [at, oid] of oids.entries()) {
      const found = await stage.finish(snapshot.load(oid));
      same(found?.data, values[at]!, `object ${oid} of ${values[at]!.length} bytes`);
      assert.deepEqual([found?.tid, found?.next], [tid, null]);
    }
  }
}

function same(found: Uint8Array | null | undefined, expected: Uint8Array, what: string): void {
  assert.ok(found && found.length === expected.length && Buffer.compare(found, expected) === 0, what);
}

test("16.1/001 small values are read as they were stored, from the cache and without one", async () => {
  const values = [
    zeros(0),
    Uint8Array.of(7),
    noise(100),
    noise(100), // equal to another, and a row of its own
    ...around(COMPRESS_BYTES_MIN).flatMap((length) => [zeros(length), noise(length)]),
    zeros(20_000),
    noise(20_000),
  ];
  await storeAndLoad(values, MIB);
});

test("16.1/001 values at the bounds of chunks, parts and frames are read as they were stored", async () => {
  const bounds = [CHUNK_BYTES_MAX, PART_BYTES_MAX, FRAME_BYTES_MAX].flatMap(around);
  await storeAndLoad(bounds.map(noise), 64 * MIB);
  await storeAndLoad([...bounds.map(zeros), zeros(2 * PART_BYTES_MAX), zeros(2 * PART_BYTES_MAX + 1)], 0);
});

test("16.1/001 values above 16 MiB are read as they were stored, up to the largest one; more is refused", async () => {
  const largest = zeros(OBJECT_BYTES_MAX);
  largest.set([1, 2, 3], OBJECT_BYTES_MAX - 3);
  await storeAndLoad([noise(16 * MIB + 1)], 64 * MIB);
  await storeAndLoad([largest], 0);
  const stage = await new Stage(ALONE).open();
  const { client } = await connectCaching(stage, "c1", 0);
  const tx = await stage.finish(client.begin());
  assert.throws(() => tx.store(oidAt(1), zeros(OBJECT_BYTES_MAX + 1)), RangeError);
});

test("16.1/001 what the cache has isn't asked for, and is the same as what the storage has", async () => {
  const stage = await new Stage(ALONE).open();
  const [warm, cold] = [await connectCaching(stage, "c1", MIB), await connectCaching(stage, "c2", 0)];
  const tid = await commitTexts(stage, warm, [[oidAt(1), "one"], [oidAt(2), ""]]);
  const loads = (): number => bodiesOf(stage.storage("s1"), "load").length;
  const readAll = async ({ client }: Scene) => {
    const snapshot = await stage.finish(client.snapshot());
    return [await stage.finish(snapshot.load(oidAt(1))), await stage.finish(snapshot.load(oidAt(2)))];
  };
  const before = loads();
  const kept = await readAll(warm);
  assert.equal(loads(), before, "its own writes are in its cache");
  assert.deepEqual(await readAll(cold), kept);
  await readAll(cold);
  assert.equal(loads(), before + 4, "without a cache each load asks");
  assert.equal(kept[0]?.tid, tid);
});

/** Deletes an object, on top of its revision. */
async function deleteOne(stage: Stage, { client }: Scene, oid: Oid): Promise<Tid> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oid));
  tx.delete(oid);
  return await stage.finish(tx.commit());
}

/** What readers see of objects at a tid: undefined for those that are gone. */
async function textsAt(
  stage: Stage,
  { client }: Scene,
  oids: readonly Oid[],
  at?: Tid,
): Promise<(string | undefined)[]> {
  const snapshot = await stage.finish(client.snapshot(at === undefined ? {} : { at }));
  const found = await Promise.all(oids.map((oid) => stage.finish(snapshot.load(oid))));
  return found.map((revision) => revision && new TextDecoder().decode(revision.data));
}

test("16.1/002 an object that is deleted is gone for readers, one after the other, and the others stay", async () => {
  const stage = new Stage(ALONE);
  using file = await openOnFile(stage);
  const [writer, reader] = [await connectCaching(stage, "c1", MIB), await connectCaching(stage, "c2", 0)];
  const oids = [1, 2, 3].map(oidAt);
  const texts: (string | undefined)[] = ["one", "two", "two"];
  const full = await commitTexts(stage, writer, oids.map((oid, at) => [oid, texts[at]!]));
  for (const [at, oid] of oids.entries()) {
    const tid = await deleteOne(stage, writer, oid);
    texts[at] = undefined;
    for (const each of [writer, reader]) assert.deepEqual(await textsAt(stage, each, oids), texts);
    const deletion = await stage.finish(reader.client.loadExact(oid, tid));
    assert.deepEqual([deletion?.tid, deletion?.data], [tid, null], "a deletion is a revision without data");
  }
  assert.deepEqual(
    await textsAt(stage, reader, oids, full),
    ["one", "two", "two"],
    "an older snapshot still has them",
  );
  assert.equal(file.rows.data, 3, "deletions keep no data");
  assert.equal(file.orphans, 0);
});

test("16.1/002 what is given up leaves no data behind, parts of large values included", async () => {
  const stage = new Stage(ALONE);
  using file = await openOnFile(stage);
  const [first, second] = [await connectWarm(stage, "c1"), await connectCaching(stage, "c2", 0)];
  const oids = [1, 2, 3].map(oidAt);
  const values = [zeros(0), noise(100), noise(PART_BYTES_MAX + 1)];
  const begin = async () => {
    const tx = await stage.finish(first.client.begin());
    values.forEach((value, at) => tx.store(oids[at]!, value));
    return tx;
  };
  const none = file.rows;
  // its caller gives it up when all of it is there, voted
  const stopping = new AbortController();
  stage.wires.hold("s1", "c1");
  const cancelled = (await begin()).commit({ signal: stopping.signal });
  await stage.run();
  assert.deepEqual(file.rows, { ...none, data: none.data + 3, part: 2, tobj: 3, ttrans: 1 });
  stopping.abort(new Error("enough"));
  stage.wires.free("s1", "c1");
  await assert.rejects(stage.finish(cancelled), /enough/);
  assert.deepEqual(file.rows, none);
  // it is in conflict about one object, and the others are there
  const late = await begin();
  await commitTexts(stage, second, [[oids[1]!, "faster"]]);
  const one = file.rows;
  await assert.rejects(stage.finish(late.commit()), ConflictError);
  assert.deepEqual([file.rows, file.orphans], [one, 0]);
  // its client dies
  stage.wires.hold("c1", "m1");
  const base = await stage.finish(first.client.lastTid());
  const dying = await stage.finish(first.client.begin({ sync: false }));
  values.forEach((value, at) => dying.store(oids[at]!, value, at === 1 ? { base } : {}));
  dying.commit().catch(() => undefined);
  await stage.run();
  assert.deepEqual(file.rows, { ...one, data: one.data + 3, part: 2, tobj: 3, ttrans: 1 });
  stage.wires.lose("c1", "m1");
  first.actor.kill();
  stage.wires.free("c1", "m1");
  await stage.run();
  assert.deepEqual([file.rows, file.orphans], [one, 0]);
});
