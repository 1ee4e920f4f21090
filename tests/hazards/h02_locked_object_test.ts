/**
 * H2: an object is locked and an older snapshot reads it. Waiting is needless, "current" is wrong, and the lock's tid as the end is
 * wrong in a cache if that transaction vanishes at a failover. So: below the lock's tid the answer comes now, with that tid as its
 * end, and a client takes an end beyond its last tid as open; from the lock's tid on it waits.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Partition } from "../../core/ids.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, serving } from "./puppet.ts";
import type { PuppetPrimary } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

interface Scene {
  readonly stage: Stage;
  readonly primary: PuppetPrimary;
  readonly reader: Awaited<ReturnType<typeof puppetClient>>;
}

/** Object 4 has a revision at tid 10; a transaction has locked it under tid 20. */
async function lockedScene(): Promise<Scene> {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  const writer = await puppetClient(stage, { name: "c1", session: 1 });
  const reader = await puppetClient(stage, { name: "c2", session: 2 });
  for (const [tid, base] of [[10, 0n], [20, 10n]] as const) {
    const store = storeOf({ ttid: ttidAt(1, tid), oid: 4, text: `at ${tid}`, base });
    writer.puppet.ask(writer.conn, "store", store);
    writer.puppet.ask(writer.conn, "vote", voteOf([store]));
    await stage.run();
    primary.lock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
    if (tid === 10) primary.unlock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
  }
  return { stage, primary, reader };
}

test("H2: below the lock a read is answered now, and ends at the lock; from it on it waits", async () => {
  const { stage, primary, reader: { puppet, conn } } = await lockedScene();
  const load = (at: number) => puppet.ask(conn, "load", { oid: oidAt(4), at: tidAt(at), version: 1 });
  const many = (at: number) => puppet.ask(conn, "loadMany", { oids: [oidAt(4)], at: tidAt(at), version: 1 });
  const [below, at, above] = [load(19), load(20), load(30)];
  const [manyBelow, manyAt] = [many(19), many(20)];
  await stage.run();
  const { revision } = below.answer!;
  assert.deepEqual([revision.tid, revision.next, textOf(revision.data)], [10n, 20n, "at 10"]);
  assert.equal(manyBelow.answer?.objects[0]?.revision?.next, 20n);
  assert.deepEqual([at, above, manyAt], [{}, {}, {}]);
  primary.unlock(ttidAt(1, 20), tidAt(20));
  await stage.run();
  for (const { answer } of [at, above]) {
    assert.deepEqual([answer?.revision.tid, answer?.revision.next], [20n, null]);
  }
  assert.equal(textOf(manyAt.answer?.objects[0]?.revision?.data), "at 20");
});

test("H2: a revision is ended by the one behind it, and not by a lock far above", async () => {
  const { stage, primary, reader: { puppet, conn } } = await lockedScene();
  primary.unlock(ttidAt(1, 20), tidAt(20));
  await stage.run();
  const writer = await puppetClient(stage, { name: "c3", session: 3 });
  const store = storeOf({ ttid: ttidAt(3, 1), oid: 4, base: 20n });
  writer.puppet.ask(writer.conn, "store", store);
  writer.puppet.ask(writer.conn, "vote", voteOf([store]));
  await stage.run();
  primary.lock(ttidAt(3, 1), tidAt(30));
  await stage.run();
  const exact = puppet.ask(conn, "loadExact", { oid: oidAt(4), tid: tidAt(10), version: 1 });
  const newest = puppet.ask(conn, "loadExact", { oid: oidAt(4), tid: tidAt(20), version: 1 });
  const locked = puppet.ask(conn, "loadExact", { oid: oidAt(4), tid: tidAt(30), version: 1 });
  await stage.run();
  assert.deepEqual([exact.answer?.revision.next, newest.answer?.revision.next], [20n, 30n]);
  assert.deepEqual(locked, {}, "whether there is one is decided by the unlock");
});

test("H2: iterations and digests wait for what is locked within their range, and for nothing else", async () => {
  const { stage, primary, reader: { puppet, conn } } = await lockedScene();
  const page = (upTo: number) =>
    puppet.ask(conn, "transactions", {
      partitions: [0 as Partition],
      after: tidAt(0),
      upTo: tidAt(upTo),
      count: 10,
      version: 1,
    });
  const digest = (upTo: number) =>
    puppet.ask(conn, "digest", { partition: 0 as Partition, upTo: tidAt(upTo), version: 1 });
  const [before, within] = [page(19), page(20)];
  const [digestBefore, digestWithin] = [digest(19), digest(20)];
  await stage.run();
  assert.deepEqual(before.answer?.transactions.map(({ tid }) => tid), [10n]);
  assert.ok(digestBefore.answer);
  assert.deepEqual([within, digestWithin], [{}, {}]);
  primary.unlock(ttidAt(1, 20), tidAt(20));
  await stage.run();
  assert.deepEqual(within.answer?.transactions.map(({ tid }) => tid), [10n, 20n]);
  assert.ok(digestWithin.answer);
});

test("H2: when the locked transaction vanishes, what it seemed to end is current", async () => {
  const { stage, primary, reader: { puppet, conn } } = await lockedScene();
  const load = (of: typeof conn) => puppet.ask(of, "load", { oid: oidAt(4), at: tidAt(19), version: 1 });
  const before = load(conn);
  await stage.run();
  assert.equal(before.answer?.revision.next, 20n);
  primary.epoch = 2; // a failover: no home cell that counts has the lock
  primary.fence();
  primary.start([2]);
  await stage.run();
  const again = await puppet.dial("s1:1", { epoch: 2 });
  const after = load(again.conn);
  await stage.run();
  assert.equal(after.answer?.revision.next, null);
  const above = puppet.ask(again.conn, "load", { oid: oidAt(4), at: tidAt(30), version: 1 });
  await stage.run();
  assert.equal(textOf(above.answer?.revision.data), "at 10", "and nobody waits for it");
});

test("H2: a client takes an end beyond its last tid as open, and one within as the end", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const [reader, writer] = [await stage.warm("c1"), await stage.warm("c2")];
  const beginText = async (text: string): Promise<() => Promise<bigint>> => {
    const tx = await stage.finish(writer.begin());
    await stage.finish(tx.load(oidAt(4)));
    tx.store(oidAt(4), bytesOf(text));
    return () => tx.commit();
  };
  const first = await stage.finish((await beginText("one"))());
  const snapshot = await stage.finish(reader.snapshot());
  const commit = (await beginText("two"))();
  await stage.until(() => stage.names.every((name) => bodiesOf(stage.storage(name), "lock").length === 4));
  for (const name of stage.names) stage.wires.hold(name, "m1"); // locked everywhere, published nowhere
  const locked = await stage.finish(snapshot.load(oidAt(4)));
  assert.deepEqual([locked?.tid, locked?.next], [first, null], "whether it will end there isn't known");
  for (const name of stage.names) stage.wires.free(name, "m1");
  const second = await stage.finish(commit);
  const published = await stage.finish(snapshot.load(oidAt(4)));
  assert.deepEqual([published?.tid, published?.next], [first, second]);
});
