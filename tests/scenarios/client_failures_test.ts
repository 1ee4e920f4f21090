/**
 * What becomes of a commit whose client dies, or loses somebody: nothing of it, before its finish is there; all of it, from there on.
 * Titles name the row of the failure matrix.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OUTCOME_WAIT_MS, RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import { bodiesOf, hasHeard, placeOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { puppetClient, serving } from "../hazards/puppet.ts";
import { storeOf, tidAt, ttidAt, voteOf } from "../hazards/words.ts";
import {
  assertQuiet,
  assertText,
  heldOn,
  opened,
  SINGLE,
  storedAt,
  timesCommitted,
  trying,
  writeOver,
} from "./failures_kit.ts";
import type { Play } from "./failures_kit.ts";
import { timesHeard, timesSaid } from "./kit.ts";

/** Stops when the finish is on its way to the primary. */
async function untilFinish({ stage }: Play): Promise<void> {
  const votes = timesHeard(stage, "c1", "answered vote");
  await stage.until(() =>
    timesHeard(stage, "c1", "answered vote") === votes + 2 && stage.wires.waiting("c1", "m1") > 0
  );
}

const finishes = (stage: Stage): number => bodiesOf(stage.master, "finish").length;

test("5.8 the client dies before its finish is there: it is dropped on all storages, voted or not", async () => {
  const play = await opened();
  const { stage, other } = play;
  const before = finishes(stage);
  await trying(play);
  await untilFinish(play);
  assert.deepEqual(stage.names.map((name) => stage.storage(name).machine.load.transactions), [1, 1]);
  stage.wires.lose("c1", "m1");
  stage.actor("c1").kill();
  await stage.run();
  assert.equal(finishes(stage), before);
  for (const name of stage.names) {
    const last = bodiesOf(stage.storage(name), "sessionEnded").at(-1);
    assert.equal(last?.session, 1, "its votes are void for the primary's word, not for the lost socket");
  }
  assertQuiet(stage);
  await assertText(stage, other.client, "old");
  await writeOver(stage, other);
  for (const name of stage.names) {
    stage.storage(name).kill();
    assert.ok(!heldOn(stage, name).includes(1), "nor would its next process find anything of it");
  }
});

test("5.8 16.4/080 the client loses its primary before finish: it begins again under its next session, and commits once", async () => {
  const play = await opened();
  const { stage, other } = play;
  const result = await trying(play);
  await untilFinish(play);
  const [store] = bodiesOf(stage.storage("s1"), "store").slice(-1);
  stage.wires.cut("c1", "m1");
  await stage.run();
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.ok(result.tid, result.error?.message);
  const again = bodiesOf(stage.storage("s1"), "store").at(-1);
  assert.notEqual(again?.ttid, store?.ttid);
  assert.equal(again?.ageMs, store?.ageMs, "its place in the queues is the same");
  await assertText(stage, other.client, "new");
  assert.equal(await timesCommitted(stage, other.client), 1);
  assertQuiet(stage);
});

test("5.8 16.4/080 the client loses its primary while it votes: its old session's stores are void, the next one's commit", async () => {
  const play = await opened();
  const { stage, other } = play;
  const seen = finishes(stage);
  const before = (): void => {
    for (const name of stage.names) stage.wires.hold(name, "c1");
  };
  const result = await trying(play, { before });
  await stage.run();
  stage.wires.cut("c1", "m1");
  await stage.run();
  assert.equal(finishes(stage), seen);
  for (const name of stage.names) stage.wires.free(name, "c1");
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.ok(result.tid, result.error?.message);
  assert.equal(finishes(stage), seen + 1);
  assert.equal(await timesCommitted(stage, other.client), 1);
  await writeOver(stage, other);
});

test("5.8 the client dies while its finish waits for the outdating of a copy: it is void, and no storage is given up for it", async () => {
  const play = await opened({ storages: 3, replicas: 2, partitions: 2 });
  const { stage, other } = play;
  const before = (): void => {
    stage.wires.hold("s2", "m1"); // its sign of life
    stage.wires.hold("s3", "m1");
    stage.wires.bar("c1", "s1");
    stage.wires.cut("c1", "s1");
  };
  const seen = finishes(stage);
  await trying(play, { before });
  await stage.run();
  assert.deepEqual([finishes(stage), stage.master.machine.view.pending], [seen + 1, 1]);
  stage.actor("c1").kill();
  await stage.run();
  for (const name of ["s2", "s3"]) stage.wires.free(name, "m1");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4U\n1: 2U 3U 4U");
  await assertText(stage, other.client, "old");
  await writeOver(stage, other);
});

test("5.8 the client dies when its finish has been received: it commits as an orphan, others hear of it", async () => {
  const play = await opened();
  const { stage, other } = play;
  await trying(play);
  await untilFinish(play);
  stage.actor("c1").kill(); // the end of its connection is right behind
  await stage.run();
  placeOf(stage.master, "lost", placeOf(stage.master, "asked finish"));
  const { tid } = bodiesOf(stage.actor("c2"), "invalidate").at(-1)!;
  await assertText(stage, other.client, "new");
  assert.equal((await stage.finish(other.client.snapshot())).at, tid);
  await writeOver(stage, other);
});

test("5.8 16.4/077 the client loses its primary while its finish is decided: it learns the tid, and hears of nothing twice", async () => {
  const play = await opened();
  const { stage, writer, other } = play;
  stage.wires.hold("s1", "m1"); // its lock is on its way
  const result = await trying(play);
  await stage.run();
  assert.equal(stage.master.machine.view.pending, 1);
  stage.wires.cut("c1", "m1");
  await stage.run();
  assert.ok(hasHeard(stage.master, "asked outcome"));
  assert.deepEqual(result, {}, "it isn't published");
  stage.wires.free("s1", "m1");
  await stage.run();
  const { tid } = bodiesOf(stage.actor("c2"), "invalidate").at(-1)!;
  assert.equal(result.tid, tid);
  const told = writer.outputs.flatMap((output) => (output.type === "published" ? [output.tid] : []));
  assert.deepEqual(told, [...new Set(told)].toSorted((a, b) => (a < b ? -1 : 1)));
  assert.ok(told.includes(tid), "also the committer is told of its own");
  await assertText(stage, writer.client, "new");
  await writeOver(stage, other);
});

test("5.8 the client loses a storage before its vote there: what wasn't voted goes at once, and is sent again", async () => {
  const play = await opened();
  const { stage, other } = play;
  const result = await trying(play);
  stage.wires.hold("s1", "m1");
  const before = timesSaid(stage, "s1", "answer vote");
  const stores = bodiesOf(stage.storage("s1"), "store").length;
  // the vote behind the stores is lost with the connection
  const s1 = stage.storage("s1");
  await stage.until(() => stage.wires.waiting("c1", "s1") > 0);
  s1.store.holdsReads = true; // the newest revisions of its objects
  stage.wires.deliver("c1", "s1");
  await stage.until(() => s1.machine.load.transactions === 1);
  stage.wires.cut("c1", "s1");
  stage.wires.hold("c1", "s1"); // the next connection waits
  stage.wires.deliver("c1", "s1");
  const losses = timesHeard(stage, "s1", "lost");
  await stage.until(() => timesHeard(stage, "s1", "lost") > losses);
  assert.equal(s1.machine.load.transactions, 0, "at once");
  assert.equal(timesSaid(stage, "s1", "answer vote"), before);
  stage.wires.free("c1", "s1");
  s1.store.free();
  stage.wires.free("s1", "m1");
  await stage.run();
  assert.ok(result.tid ?? (await stage.pass(RETRY_DELAY_MS_MAX), result.tid), result.error?.message);
  assert.ok(bodiesOf(s1, "store").length >= stores + 2);
  assert.deepEqual(bodiesOf(stage.master, "finish").at(-1)?.failed, [], "a connection is no node");
  await writeOver(stage, other);
});

test("5.8 the client can't reach a storage any more: its copies are outdated, and the rest commits", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.bar("c1", "s1");
  stage.wires.hold("s1", "s2"); // what is outdated stays so
  stage.wires.cut("c1", "s1");
  const result = await trying(play);
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  assert.deepEqual(bodiesOf(stage.master, "finish").at(-1)?.failed, [{ node: 2, session: 1 }]);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U\n1: 2O 3U");
  assert.ok(
    placeOf(stage.actor("c2"), "told tableChange")
      < stage.actor("c2").heard.findLastIndex(({ what }) => what === "told invalidate"),
    "everybody knows before it is published",
  );
  await assertText(stage, other.client, "new");
  assertQuiet(stage);
});

test("5.8 16.4/089 the client can't reach the only copy of a partition: nothing is committed, and nobody is outdated", async () => {
  const play = await opened(SINGLE);
  const { stage, other } = play;
  const before = (): void => {
    stage.wires.bar("c1", "s1");
    stage.wires.cut("c1", "s1");
  };
  const result = await trying(play, { withinMs: 5_000, before });
  await stage.pass(5_000 + OUTCOME_WAIT_MS);
  assert.equal(result.error?.code, "timedOut");
  assert.equal(stage.master.machine.view.table, "0: 2U\n1: 3U");
  await writeOver(stage, other);
});

test("5.8 the client loses a storage after its vote there: the vote stands until the primary has spoken", async () => {
  const play = await opened();
  const { stage, other } = play;
  const result = await trying(play);
  await untilFinish(play);
  stage.wires.hold("c1", "m1");
  stage.wires.bar("c1", "s1");
  stage.wires.cut("c1", "s1");
  await stage.run();
  assert.ok(hasHeard(stage.storage("s1"), "lost"));
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  stage.wires.free("c1", "m1");
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U\n1: 2U 3U");
  await assertText(stage, other.client, "new");
  await writeOver(stage, other);
});

test("5.8 16.4/091 the client aborts while a store is under way: told directly and through the primary, the next one isn't blocked", async () => {
  const play = await opened();
  const { stage, other } = play;
  const controller = new AbortController();
  const before = (): void => stage.wires.hold("c1", "s1");
  const result = await trying(play, { signal: controller.signal, before });
  await stage.until(() => stage.wires.waiting("c1", "s1") > 0);
  controller.abort(new Error("enough"));
  await stage.run();
  assert.equal(result.error?.message, "enough");
  const [abort] = bodiesOf(stage.master, "abort").slice(-1);
  assert.ok(abort?.nodes.includes(2 as never), "the primary passes it on to whoever may have seen it");
  await stage.until(() => hasHeard(stage.storage("s1"), "told abort"));
  stage.wires.free("c1", "s1"); // the store comes behind the primary's word
  await stage.run();
  assertQuiet(stage);
  await assertText(stage, other.client, "old");
  await writeOver(stage, other);
});

test("5.8 the client aborts what is accepted: it commits, and its caller learns that", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.hold("s1", "m1");
  const controller = new AbortController();
  const result = await trying(play, { signal: controller.signal });
  await stage.run();
  controller.abort(new Error("enough"));
  await stage.run();
  assert.deepEqual(result, {});
  stage.wires.free("s1", "m1");
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  await assertText(stage, other.client, "new");
});

test("5.8 an abort, a lost socket and the end of its session change nothing about what is locked", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const ttid = ttidAt(1, 1);
  const store = storeOf({ ttid, oid: 4, text: "new" });
  puppet.ask(conn, "store", store);
  puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  const lock = primary.lock(ttid, tidAt(50));
  await stage.run();
  assert.ok(lock.answer);
  puppet.tell(conn, "abort", { ttid, epoch: 0, nodes: [] });
  primary.tell(primary.conn, "abort", { ttid, epoch: 1, nodes: [] });
  await stage.run();
  puppet.close(conn);
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 1 });
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  primary.unlock(ttid, tidAt(50));
  await stage.run();
  assert.equal(storedAt(stage, "s1", 4n), "new");
});
