/**
 * H3: reads go on while no primary is there. But a storage that was restarted has lost the read locks that it held in memory, and would show
 * an object as it was before a transaction that others have seen. So only one that was in operation and hasn't restarted
 * since goes on; who comes to another waits; and the next epoch ends it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Partition } from "../../core/ids.ts";
import { PATIENCE_MS } from "../../core/limits.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, PuppetPrimary, serving } from "./puppet.ts";
import type { Puppet, Reply } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

const HOME_ELSEWHERE = { home: 1 as Partition, note: null };

interface Scene {
  readonly stage: Stage;
  readonly primary: PuppetPrimary;
  readonly writer: Awaited<ReturnType<typeof puppetClient>>;
  readonly reader: Awaited<ReturnType<typeof puppetClient>>;
}

/**
 * s1 has object 4 at tid 10, and a transaction that writes it again is locked there under tid 20. Its home is elsewhere, so that this
 * lock isn't flushed: a power failure takes it.
 */
async function lockedScene(): Promise<Scene> {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 2 });
  const primary = await serving(stage);
  const writer = await puppetClient(stage, { name: "c1", session: 1 });
  const reader = await puppetClient(stage, { name: "c2", session: 2 });
  for (const [tid, base] of [[10, 0n], [20, 10n]] as const) {
    const store = storeOf({ ttid: ttidAt(1, tid), oid: 4, text: `at ${tid}`, base });
    writer.puppet.ask(writer.conn, "store", store);
    writer.puppet.ask(writer.conn, "vote", voteOf([store], HOME_ELSEWHERE));
    await stage.run();
    const locked = primary.lock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
    assert.ok(locked.answer);
    if (tid === 10) primary.unlock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
  }
  return { stage, primary, writer, reader };
}

/** The primary is gone, and s1 knows. */
async function orphan({ stage, primary }: Scene): Promise<void> {
  primary.actor.kill();
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.phase, "orphaned");
}

function load(puppet: Puppet, conn: Conn, at: number): Reply<"load"> {
  return puppet.ask(conn, "load", { oid: oidAt(4), at: tidAt(at), version: 1 });
}

test("H3: a storage that was in operation goes on reading, to who is there and to who comes", async () => {
  const scene = await lockedScene();
  await orphan(scene);
  const { stage, reader: { puppet, conn } } = scene;
  const below = load(puppet, conn, 19);
  await stage.run();
  assert.deepEqual([below.answer?.revision.next, textOf(below.answer?.revision.data)], [20n, "at 10"]);
  const later = await puppetClient(stage, { name: "c3", session: 3 });
  const first = load(later.puppet, later.conn, 10);
  await stage.run();
  assert.equal(textOf(first.answer?.revision.data), "at 10", "its session was announced");
  const stranger = await puppetClient(stage, { name: "c4", session: 4 });
  const kept = load(stranger.puppet, stranger.conn, 10);
  await stage.run();
  assert.deepEqual(kept, {}, "nobody can announce another one");
});

test("H3: what is locked when the primary goes stays locked: reads of it wait, and end with the epoch", async () => {
  const scene = await lockedScene();
  await orphan(scene);
  const { stage, reader: { puppet, conn } } = scene;
  const [at, above, page] = [
    load(puppet, conn, 20),
    load(puppet, conn, 30),
    puppet.ask(conn, "transactions", {
      partitions: [0 as Partition],
      after: tidAt(0),
      upTo: tidAt(30),
      count: 10,
      version: 1,
    }),
  ];
  await stage.pass(PATIENCE_MS);
  assert.deepEqual([at, above, page], [{}, {}, {}], "whether it is committed isn't known here");
  assert.equal(stage.storage("s1").machine.load.reads, 3);
  const next = new PuppetPrimary(stage);
  next.epoch = 2;
  await stage.pass(2_000);
  next.fence();
  await stage.run();
  for (const reply of [at, above, page]) assert.ok(reply.error, "the epoch in which it was asked is over");
  assert.equal(stage.storage("s1").machine.load.reads, 0);
});

test("H3: a new epoch ends the reads of the one before, and begins with what verification made of its locks", async () => {
  const scene = await lockedScene();
  await orphan(scene);
  const { stage, reader: { puppet, conn } } = scene;
  const next = new PuppetPrimary(stage);
  next.epoch = 2;
  await stage.pass(2_000);
  const fenced = next.fence();
  await stage.run();
  assert.deepEqual(fenced.answer?.locks, [{ ttid: ttidAt(1, 20), tid: 20n }]);
  const late = load(puppet, conn, 10);
  const again = await puppet.dial("s1:1", { epoch: 2 });
  const early = load(puppet, again.conn, 30);
  await stage.run();
  assert.equal(late.error?.code, "lost");
  assert.deepEqual(early, {}, "it waits for the start");
  next.lock(ttidAt(1, 20), tidAt(20));
  next.unlock(ttidAt(1, 20), tidAt(20));
  await stage.run();
  assert.deepEqual(early, {});
  next.start([2]);
  await stage.run();
  assert.equal(textOf(early.answer?.revision.data), "at 20");
  const old = await puppet.dial("s1:1", { session: 3 });
  const ended = load(puppet, old.conn, 10);
  await stage.run();
  assert.ok(ended.error, "a session of the epoch before is over");
});

test("H3: a restarted storage shows nothing: it has lost a lock of what others have seen", async () => {
  const scene = await lockedScene();
  const { stage, primary, reader: { puppet } } = scene;
  stage.storage("s1").kill(); // tid 20 is published meanwhile: its home has it
  primary.actor.kill();
  await stage.run();
  stage.startStorage("s1");
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.phase, "seeking");
  const { conn } = await puppet.dial("s1:1");
  const below = load(puppet, conn, 10);
  const stale = load(puppet, conn, 20);
  await stage.run();
  assert.deepEqual([below, stale], [{}, {}]);
  await stage.pass(PATIENCE_MS);
  assert.deepEqual([below.answer, stale.answer], [undefined, undefined]);
  assert.ok(below.error && stale.error, "whoever waited for long enough is told");
  const next = new PuppetPrimary(stage);
  next.epoch = 2;
  await stage.pass(2_000);
  const fenced = next.fence();
  await stage.run();
  assert.deepEqual(fenced.answer?.locks, [], "the lock is gone");
  assert.deepEqual(fenced.answer?.votes.map(({ ttid }) => ttid), [ttidAt(1, 20)], "and the vote isn't");
  next.lock(ttidAt(1, 20), tidAt(20)); // home has it: verification locks it again
  next.unlock(ttidAt(1, 20), tidAt(20));
  next.start([2]);
  await stage.run();
  const again = await puppet.dial("s1:1", { epoch: 2 });
  const found = load(puppet, again.conn, 20);
  await stage.run();
  assert.equal(textOf(found.answer?.revision.data), "at 20");
});

test("H3: a storage that was fenced and not started has never been in operation, and doesn't read when its primary goes", async () => {
  const { stage, primary, reader: { puppet } } = await lockedScene();
  primary.epoch = 2;
  primary.fence();
  await stage.run();
  primary.actor.kill();
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.phase, "seeking");
  const { conn } = await puppet.dial("s1:1");
  const early = load(puppet, conn, 10);
  await stage.pass(PATIENCE_MS - 1);
  assert.deepEqual(early, {});
});

test("H3: clients read without a primary from who hasn't restarted, and from all once another epoch runs", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5, 6]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  await stage.finish(tx.commit());
  await stage.run();
  const snapshot = await stage.finish(client.snapshot());
  const loadsOf = (name: string): number => bodiesOf(stage.storage(name), "load").length;
  const textAt = async (oid: number): Promise<string | undefined> =>
    textOf((await stage.finish(snapshot.load(oidAt(oid))))?.data);
  stage.master.kill();
  await stage.run();
  assert.equal(await textAt(4), "object 4");
  stage.storage("s1").kill();
  await stage.run();
  stage.startStorage("s1");
  await stage.run();
  assert.equal(await textAt(5), "object 5");
  assert.ok(loadsOf("s2") > 0);
  assert.equal(loadsOf("s1"), 0, "the restarted one has answered nothing");
  stage.storage("s2").kill();
  const waiting = snapshot.load(oidAt(6), { withinMs: 2 * PATIENCE_MS });
  let isAnswered = false;
  const note = (): void => {
    isAnswered = true;
  };
  waiting.then(note, note);
  await stage.pass(5_000);
  assert.ok(!isAnswered, "nobody is left who may");
  stage.startStorage("s2");
  stage.startMaster();
  await stage.pass(15_000);
  assert.equal(textOf((await stage.finish(waiting))?.data), "object 6");
  assert.equal(stage.master.machine.view.epoch, 2);
});
