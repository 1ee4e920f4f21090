/**
 * What a database lists: every transaction of a stretch of history, in order, whatever storage has it, with the objects
 * that it changed. Which objects exist at a tid follows from that: those whose newest record up to it has data.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../adapters/system.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { TransactionRecord } from "../../core/records.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { commitTexts, connectCaching } from "./kit.ts";
import type { Scene } from "./kit.ts";

/** Five partitions on three storages, two copies each. */
const SPREAD = { storages: 3, replicas: 1, partitions: 5 };
const OBJECTS = 35;
/** Transactions that a page gives at most. */
const CHUNK = 2;

/** Commits objects 1 to 35, three at a time: transactions of all partitions, with objects of others. */
async function scene(): Promise<{ stage: Stage; writer: Scene; tids: readonly Tid[]; oids: readonly Oid[] }> {
  const stage = await new Stage(SPREAD).open();
  const writer = await connectCaching(stage, "c1", 0);
  const oids = Array.from({ length: OBJECTS }, (_, at) => oidAt(at + 1));
  const tids: Tid[] = [];
  for (let at = 0; at < OBJECTS; at += 3) {
    tids.push(await commitTexts(stage, writer, oids.slice(at, at + 3).map((oid) => [oid, `${oid}`])));
  }
  return { stage, writer, tids, oids };
}

/** A stretch of history, page by page. */
async function pagesOf(
  stage: Stage,
  { client }: Scene,
  range: { readonly after: Tid; readonly upTo: Tid },
): Promise<TransactionInfo[][]> {
  const pages: TransactionInfo[][] = [];
  for (let { after } = range; after < range.upTo;) {
    const page = await stage.finish(client.call("transactions", { ...range, after, count: CHUNK }));
    assert.ok(page.upTo > after && page.transactions.length <= CHUNK * SPREAD.partitions);
    assert.ok(page.transactions.every(({ tid }) => after < tid && tid <= page.upTo));
    pages.push([...page.transactions]);
    after = page.upTo;
  }
  return pages;
}

async function recordsOf(stage: Stage, { client }: Scene, upTo: Tid): Promise<TransactionRecord[]> {
  const all: TransactionRecord[] = [];
  const records = client.records({ upTo });
  for (;;) {
    const { done, value } = await stage.finish(records.next());
    if (done) return all;
    all.push(value);
  }
}

/** Objects that exist at a tid, by what is listed. */
async function livingAt(stage: Stage, reader: Scene, at: Tid): Promise<Oid[]> {
  const living = new Set<Oid>();
  for (const { records } of await recordsOf(stage, reader, at)) {
    for (const { oid, data } of records) {
      if (data === null) living.delete(oid);
      else living.add(oid);
    }
  }
  return [...living].sort((a, b) => (a < b ? -1 : 1));
}

test("16.1/004 pages of a listing give each transaction and each object once, in order, from all storages", async () => {
  const { stage, tids, oids } = await scene();
  const reader = await connectCaching(stage, "c2", 0);
  const pages = await pagesOf(stage, reader, { after: ZERO_TID, upTo: tids.at(-1)! });
  assert.ok(pages.length > 1, "more than one page");
  assert.deepEqual(pages.flat().map(({ tid }) => tid), tids);
  assert.deepEqual(pages.flat().flatMap((info) => info.oids), oids);
  const asked = stage.names.map((name) => bodiesOf(stage.storage(name), "transactions").length);
  assert.ok(asked.filter((count) => count > 0).length > 1, "no storage has all partitions");
  assert.deepEqual(await livingAt(stage, reader, tids.at(-1)!), oids);
});

test("16.1/004 a page that is filled by one storage ends where that one ended, whatever the others said", async () => {
  const { stage, writer, tids } = await scene();
  const more: Tid[] = [];
  for (let count = 0; count < 5; count++) {
    more.push(await commitTexts(stage, writer, [[oidAt(5), `${count}`]]));
  }
  const pages = await pagesOf(stage, writer, { after: tids.at(-1)!, upTo: more.at(-1)! });
  assert.deepEqual(pages.flat().map(({ tid }) => tid), more);
});

test("16.1/004 the lower bound of a listing is exclusive, the upper one inclusive", async () => {
  const { stage, writer, tids } = await scene();
  for (const [from, to] of [[0, 3], [1, 2], [2, 2], [4, 9], [0, 11]] as const) {
    const found = await pagesOf(stage, writer, { after: tids[from]!, upTo: tids[to]! });
    assert.deepEqual(found.flat().map(({ tid }) => tid), tids.slice(from + 1, to + 1));
  }
  const before = await pagesOf(stage, writer, { after: ZERO_TID, upTo: (tids[0]! - 1n) as Tid });
  assert.deepEqual(before.flat(), []);
});

test("16.1/005 objects deleted in random batches are listed up to older tids, and no more from their deletion on", async () => {
  const { stage, writer, tids, oids } = await scene();
  const reader = await connectCaching(stage, "c2", 0);
  const random = seededRandom(5);
  const states: { readonly at: Tid; readonly living: readonly Oid[] }[] = [{
    at: tids.at(-1)!,
    living: oids,
  }];
  for (let left = [...oids]; left.length > 0;) {
    const batch = left.filter(() => random.next() < 0.4);
    if (batch.length === 0) continue;
    const tx = await stage.finish(writer.client.begin());
    await stage.finish(tx.loadMany(batch));
    for (const oid of batch) tx.delete(oid);
    const at = await stage.finish(tx.commit());
    left = left.filter((oid) => !batch.includes(oid));
    states.push({ at, living: left });
  }
  assert.ok(states.length > 3);
  for (const { at, living } of states) {
    assert.deepEqual(await livingAt(stage, reader, at), living);
    const snapshot = await stage.finish(reader.client.snapshot({ at }));
    const loaded = await stage.finish(snapshot.loadMany(oids));
    assert.deepEqual(oids.filter((_, place) => loaded[place] !== undefined), living, "loads say the same");
  }
});

test("16.1/020 a listing waits for a transaction below its bound that one storage has locked, and has no hole", async () => {
  const stage = await new Stage({ storages: 2, replicas: 0, partitions: 2 }).open();
  const [writer, reader] = [await connectCaching(stage, "c1", 0), await connectCaching(stage, "c2", 0)];
  const first = await commitTexts(stage, writer, [[oidAt(2), "in s1"], [oidAt(1), "in s2"]]);
  const tx = await stage.finish(writer.client.begin());
  await stage.finish(tx.load(oidAt(2)));
  tx.store(oidAt(2), new TextEncoder().encode("again"));
  const locks = bodiesOf(stage.storage("s1"), "lock").length;
  const commit = tx.commit();
  await stage.until(() => bodiesOf(stage.storage("s1"), "lock").length > locks);
  stage.wires.hold("m1", "s1"); // its unlock
  const second = await stage.finish(commit);
  const third = await commitTexts(stage, writer, [[oidAt(1), "later, and final"]]);
  const listed = reader.client.call("transactions", { after: ZERO_TID, upTo: third, count: 9 });
  await stage.run();
  const isWaiting = await Promise.race([listed.then(() => false), Promise.resolve(true)]);
  assert.ok(isWaiting, "nothing is given that has a hole");
  assert.equal(stage.storage("s1").machine.load.reads, 1);
  assert.equal(stage.storage("s2").machine.load.reads, 0);
  const below = await stage.finish(
    reader.client.call("transactions", { after: ZERO_TID, upTo: first, count: 9 }),
  );
  assert.deepEqual(below.transactions.map(({ tid }) => tid), [first], "what ends below it doesn't wait");
  stage.wires.free("m1", "s1");
  const { transactions, upTo } = await stage.finish(listed);
  assert.deepEqual(transactions.map(({ tid }) => tid), [first, second, third]);
  assert.equal(upTo, third);
});
