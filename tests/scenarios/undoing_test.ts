/** Undo, history, and listing from the end, as programs call them (N2). */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError, UndoError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { PART_BYTES_MAX } from "../../core/limits.ts";
import type { Resolver } from "../../roles/client/resolving.ts";
import { Stage } from "../hazards/kit.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { assertQuiet } from "./failures_kit.ts";
import { adding, commitTexts, connectCaching, connectWarm, sum, valuesOf } from "./kit.ts";
import type { Scene } from "./kit.ts";

const [A, B] = [oidAt(1), oidAt(2)];

async function opened(): Promise<{ stage: Stage; scene: Scene }> {
  const stage = await new Stage({ storages: 3, replicas: 1, partitions: 3 }).open();
  return { stage, scene: await connectCaching(stage, "c1", 1_000_000) };
}

/** Takes what a listing gives, one after the other; `count` at most. */
async function taken<T>(stage: Stage, listing: AsyncGenerator<T>, count: number = Infinity): Promise<T[]> {
  const found: T[] = [];
  while (found.length < count) {
    const { done, value } = await stage.finish(listing.next());
    if (done) break;
    found.push(value);
  }
  return found;
}

async function textsOf(stage: Stage, { client }: Scene, oids: readonly Oid[] = [A, B]) {
  const snapshot = await stage.finish(client.snapshot());
  return (await stage.finish(snapshot.loadMany(oids))).map((found) => textOf(found?.data));
}

async function historyOf(stage: Stage, { client }: Scene, oid: Oid, upTo?: Tid) {
  return await taken(stage, client.history(oid, upTo === undefined ? {} : { upTo }));
}

async function undo(stage: Stage, { client }: Scene, tid: Tid, resolve?: Resolver): Promise<Tid> {
  return (await stage.finish(client.undo(tid, resolve ? { resolve } : {}))).tid;
}

async function reasonOf(undoing: Promise<unknown>): Promise<UndoError> {
  const error = await undoing.then(() => undefined, (error) => error);
  assert.ok(error instanceof UndoError, `${error}`);
  return error;
}

test("undo gives every object of a transaction its former value, deletes what it made, and brings back what it deleted (N2)", async () => {
  const { stage, scene } = await opened();
  await commitTexts(stage, scene, [[A, "a"], [oidAt(4), "stays"]]);
  const tx = await stage.finish(scene.client.begin());
  await stage.finish(tx.loadMany([A, oidAt(4)]));
  tx.store(A, bytesOf("changed"));
  tx.store(B, bytesOf("made"));
  tx.delete(oidAt(4));
  const tid = await stage.finish(tx.commit());
  const undone = await stage.finish(scene.client.undo(tid, { note: { user: "eva", description: "back" } }));
  assert.deepEqual([...undone.value].sort(), [A, B, oidAt(4)]);
  assert.deepEqual(await textsOf(stage, scene, [A, B, oidAt(4)]), ["a", undefined, "stays"]);
  const [newest] = await taken(stage, scene.client.transactions({ newestFirst: true }), 1);
  assert.deepEqual([newest?.tid, textOf(newest?.user), textOf(newest?.description)], [
    undone.tid,
    "eva",
    "back",
  ]);
  assertQuiet(stage);
});

test("an undo is undone, and that too: histories have their links, and a creation is made, unmade, made (N2)", async () => {
  const { stage, scene } = await opened();
  const made = await commitTexts(stage, scene, [[A, "made"]]);
  const undone = await undo(stage, scene, made);
  assert.deepEqual(await textsOf(stage, scene, [A]), [undefined]);
  const again = await undo(stage, scene, undone);
  assert.deepEqual(await textsOf(stage, scene, [A]), ["made"]);
  assert.deepEqual(await historyOf(stage, scene, A), [
    { tid: again, size: 4, isDeletion: false, link: made },
    { tid: undone, size: 0, isDeletion: true, link: null },
    { tid: made, size: 4, isDeletion: false, link: null },
  ]);
  assert.deepEqual((await historyOf(stage, scene, A, undone)).map(({ tid }) => tid), [undone, made]);
  assert.deepEqual(await historyOf(stage, scene, oidAt(9)), []);
});

test("what was changed since isn't undone without a resolver, and with one only its change is taken out (N2)", async () => {
  const { stage, scene } = await opened();
  const add = async (by: number): Promise<Tid> =>
    await stage.finish((await adding(stage, scene, [A], by)).commit());
  await add(1);
  const two = await add(2);
  const ten = await add(10);
  const error = await reasonOf(undo(stage, scene, two));
  assert.deepEqual([error.reason, error.tid, error.oid, error.changedBy], ["changed", two, A, ten]);
  assert.deepEqual(await valuesOf(stage, scene, [A]), [13]);
  await undo(stage, scene, two, sum);
  assert.deepEqual(await valuesOf(stage, scene, [A]), [11]);
  await undo(stage, scene, ten, sum);
  assert.deepEqual(await valuesOf(stage, scene, [A]), [1]);
  assertQuiet(stage);
});

test("several undos in one transaction add up, the newest first (N2)", async () => {
  const { stage, scene } = await opened();
  const tids: Tid[] = [];
  for (const text of ["one", "two", "three"]) tids.push(await commitTexts(stage, scene, [[A, text]]));
  const tx = await stage.finish(scene.client.begin());
  await stage.finish(tx.undo(tids[2]!));
  await stage.finish(tx.undo(tids[1]!));
  assert.equal(textOf((await stage.finish(tx.load(A)))?.data), "one");
  const both = await stage.finish(tx.commit());
  assert.deepEqual(await textsOf(stage, scene, [A]), ["one"]);
  const nothing = await stage.finish(scene.client.undo(tids[2]!).catch((error) => error));
  assert.ok(nothing instanceof UndoError, "it has been changed by the undo of the one before");
  await undo(stage, scene, both);
  assert.deepEqual(await textsOf(stage, scene, [A]), ["three"]);
  const back = await stage.finish(scene.client.begin());
  assert.deepEqual(await stage.finish(back.undo(both)), [], "that has been taken back");
});

test("an undo that meets a commit of another is a conflict: it runs again on what is there then (N2)", async () => {
  const { stage, scene } = await opened();
  const other = await connectCaching(stage, "c2", 0);
  await commitTexts(stage, scene, [[A, "first"]]);
  const second = await commitTexts(stage, scene, [[A, "second"]]);
  const tx = await stage.finish(scene.client.begin());
  await stage.finish(tx.undo(second));
  const third = await commitTexts(stage, other, [[A, "third"]]);
  await assert.rejects(stage.finish(tx.commit()), ConflictError);
  const error = await reasonOf(undo(stage, scene, second));
  assert.equal(error.changedBy, third);
  assertQuiet(stage);
});

test("an object that was taken back already must stay so: who brings it back meanwhile is in the way (N2)", async () => {
  const { stage, scene } = await opened();
  const other = await connectCaching(stage, "c2", 0);
  await commitTexts(stage, scene, [[A, "a"], [B, "b"]]);
  const both = await commitTexts(stage, scene, [[A, "a2"], [B, "b2"]]);
  await commitTexts(stage, scene, [[A, "a"]]);
  const tx = await stage.finish(scene.client.begin());
  assert.deepEqual(await stage.finish(tx.undo(both)), [B]);
  await commitTexts(stage, other, [[A, "a2"]]);
  await assert.rejects(stage.finish(tx.commit()), ConflictError);
  assert.deepEqual(await textsOf(stage, scene), ["a2", "b2"]);
});

test("there is nothing to undo where the snapshot has no such transaction (N2)", async () => {
  const { stage, scene } = await opened();
  const last = await commitTexts(stage, scene, [[A, "a"]]);
  for (const tid of [0n, 1n, last - 1n, last + 1n] as Tid[]) {
    assert.equal((await reasonOf(undo(stage, scene, tid))).reason, "unknown");
  }
});

test("a value in parts comes back, and shares its bytes with the revision that it repeats (N2)", async () => {
  const { stage, scene } = await opened();
  const large = new Uint8Array(2 * PART_BYTES_MAX + 5).fill(7);
  const store = async (data: Uint8Array): Promise<Tid> => {
    const tx = await stage.finish(scene.client.begin());
    await stage.finish(tx.load(A));
    tx.store(A, data);
    return await stage.finish(tx.commit());
  };
  const first = await store(large);
  const second = await store(bytesOf("small"));
  await undo(stage, scene, second);
  const snapshot = await stage.finish(scene.client.snapshot());
  const found = await stage.finish(snapshot.load(A));
  assert.equal(Buffer.compare(found!.data, large), 0);
  assert.equal(found!.link, first);
});

test("16.2/036 what to undo is listed whole over new connections, with a copy out of date too (T34, N2)", async () => {
  const { stage, scene } = await opened();
  const other = await connectWarm(stage, "c2");
  const tids: Tid[] = [];
  for (let at = 0; at < 7; at++) tids.push(await commitTexts(stage, scene, [[oidAt(at), `${at}`]]));
  const newest = async (count: number): Promise<Tid[]> =>
    (await taken(stage, other.client.transactions({ newestFirst: true }), count)).map(({ tid }) => tid);
  const last = [...tids].reverse();
  for (const name of stage.names) stage.wires.cut("c2", name);
  assert.deepEqual(await newest(7), last);
  stage.storage("s2").kill();
  await stage.run();
  last.unshift(await commitTexts(stage, scene, [[A, "without s2"], [B, "without s2"]]));
  assert.deepEqual(await newest(8), last, "a copy is away");
  stage.wires.hold("s1", "s2");
  stage.wires.hold("s3", "s2");
  stage.startStorage("s2");
  await stage.run();
  assert.match(stage.master.machine.view.table, /O/);
  last.unshift(await commitTexts(stage, scene, [[A, "while it is out of date"]]));
  assert.deepEqual(await newest(9), last, "a copy is out of date");
});

test("undo: any history of undos reads as a list of values that is kept beside it (N2)", async () => {
  const move = fc.record({ write: fc.boolean(), oid: fc.integer({ min: 1, max: 3 }), pick: fc.nat(20) });
  await fc.assert(
    fc.asyncProperty(fc.array(move, { maxLength: 12 }), async (moves) => {
      const { stage, scene } = await opened();
      const values = new Map<number, string | undefined>();
      const done: { tid: Tid; oid: number; before: string | undefined; after: string | undefined }[] = [];
      for (const [at, { write, oid, pick }] of moves.entries()) {
        const before = values.get(oid);
        if (write || done.length === 0) {
          const tid = await commitTexts(stage, scene, [[oidAt(oid), `${at}`]]);
          done.push({ tid, oid, before, after: `${at}` });
          values.set(oid, `${at}`);
          continue;
        }
        const it = done[pick % done.length]!;
        const now = values.get(it.oid);
        const result = await undo(stage, scene, it.tid).then((tid) => tid, (error) => error);
        if (now === it.after) {
          values.set(it.oid, it.before);
          done.push({ tid: result, oid: it.oid, before: now, after: it.before });
        } else if (now === it.before) assert.ok(!(result instanceof Error), `${result}`);
        else assert.ok(result instanceof UndoError && result.reason === "changed", `${result}`);
      }
      const expected = [1, 2, 3].map((oid) => values.get(oid));
      assert.deepEqual(await textsOf(stage, scene, [1, 2, 3].map((oid) => oidAt(oid))), expected);
    }),
    { numRuns: 25, seed: 36 },
  );
});

test("Client.transactions(): newest first is the same list turned round, however dense it is, within its bounds (N2, T34)", async () => {
  const { stage, scene } = await opened();
  const tids: Tid[] = [];
  for (let at = 0; at < 12; at++) {
    tids.push(await commitTexts(stage, scene, [[oidAt(at % 5), `${at}`]]));
    if (at % 5 === 0) await stage.pass(at * 100_000);
  }
  const list = async (range: { after?: Tid; upTo?: Tid }): Promise<Tid[]> =>
    (await taken(stage, scene.client.transactions({ ...range, newestFirst: true }))).map(({ tid }) => tid);
  assert.deepEqual(await list({}), [...tids].reverse());
  const some = { after: tids[4]!, upTo: tids[9]! };
  assert.deepEqual(await list(some), tids.slice(5, 10).reverse());
});
