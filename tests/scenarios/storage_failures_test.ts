/**
 * What becomes of a commit whose storage dies. A copy that another can replace costs nothing but itself: it is outdated
 * before anything that it misses is published. Without another copy operation ends, and verification decides.
 * Titles name the row of the failure matrix.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FAILOVER_GRACE_MS,
  LOCK_TIMEOUT_MS,
  PART_BYTES_MAX,
  RESERVE_BYTES,
  SPACE_CHECK_MS,
  STARTUP_GRACE_MS,
} from "../../core/limits.ts";
import { bodiesOf, hasHeard, placeOf } from "../hazards/actors.ts";
import type { Stage } from "../hazards/kit.ts";
import { bytesOf } from "../hazards/words.ts";
import {
  assertQuiet,
  assertText,
  heldOn,
  opened,
  PAIR,
  readersOf,
  SINGLE,
  storedAt,
  timesCommitted,
  trying,
  writeOver,
} from "./failures_kit.ts";
import { connectWarm, timesHeard } from "./kit.ts";

const lastTable = (stage: Stage): string => stage.master.machine.view.table;

/** s1 dies, with what it has said to somebody and what is on its way to it. */
async function killFirst(stage: Stage, ...peers: readonly string[]): Promise<void> {
  for (const peer of peers) {
    stage.wires.lose("s1", peer);
    stage.wires.lose(peer, "s1");
  }
  stage.storage("s1").kill();
  for (const peer of peers) {
    stage.wires.free("s1", peer);
    stage.wires.free(peer, "s1");
  }
  await stage.run();
}

/** s1 is back, and has everything. */
async function bringBack(stage: Stage): Promise<void> {
  stage.startStorage("s1");
  await stage.pass(FAILOVER_GRACE_MS);
  assert.deepEqual([readersOf(stage, 0), readersOf(stage, 1)], [["s1", "s2"], ["s1", "s2"]]);
}

test("5.8 a storage dies before its vote: it counts as failed, the others commit", async () => {
  const play = await opened();
  const { stage, other } = play;
  const before = (): void => stage.wires.hold("s1", "c1");
  const result = await trying(play, { before });
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  await killFirst(stage, "c1");
  assert.ok(result.tid, result.error?.message);
  assert.equal(lastTable(stage), "0: 2O 3U\n1: 2O 3U");
  await assertText(stage, other.client, "new");
  await bringBack(stage);
  await assertText(stage, other.client, "new");
  await writeOver(stage, other);
});

test("5.8 a storage dies after its vote, before finish: its vote doesn't count, nobody waits for it", async () => {
  const play = await opened();
  const { stage, other } = play;
  const before = (): void => stage.wires.hold("c1", "m1");
  const result = await trying(play, { before });
  await stage.run();
  await killFirst(stage);
  stage.wires.free("c1", "m1");
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  assert.ok(!bodiesOf(stage.storage("s1"), "lock").some(({ tid }) => tid === result.tid));
  assert.equal(lastTable(stage), "0: 2O 3U\n1: 2O 3U");
  await bringBack(stage);
  await assertText(stage, other.client, "new");
  assertQuiet(stage);
});

test("5.8 a storage dies between the primary's lock and its answer: outdated and told so first, then it commits", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  assert.deepEqual(result, {}, "it waits for s1");
  await killFirst(stage, "m1");
  assert.ok(result.tid, result.error?.message);
  for (const name of ["c2", "s2"]) {
    const { heard } = stage.actor(name);
    const told = placeOf(stage.actor(name), "told tableChange");
    const by = heard.findIndex(({ what, body }) =>
      (what === "told invalidate" || what === "told unlock") && (body as { tid: bigint }).tid === result.tid
    );
    assert.ok(told < by, `${name} hears of the table first`);
  }
  await assertText(stage, other.client, "new");
  await bringBack(stage);
  await writeOver(stage, other);
});

test("5.8 a storage is silent behind the primary's lock: it is lost after its time, and the commit goes on", async () => {
  const play = await opened();
  const { stage } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play, { withinMs: 2 * LOCK_TIMEOUT_MS });
  await stage.pass(LOCK_TIMEOUT_MS - 1);
  assert.deepEqual(result, {});
  await stage.pass(1);
  assert.ok(result.tid, result.error?.message);
  assert.equal(lastTable(stage), "0: 2O 3U\n1: 2O 3U");
});

for (const locked of [false, true]) {
  const when = locked ? "after it has locked" : "before it has locked";
  test(`5.8 a storage without a second copy dies ${when}: operation ends, verification decides, the client learns it`, async () => {
    const play = await opened(SINGLE);
    const { stage, other } = play;
    if (locked) stage.wires.hold("s1", "m1");
    else stage.wires.hold("m1", "s1");
    const result = await trying(play);
    await stage.run();
    const locks = timesHeard(stage, "s1", "asked lock");
    await killFirst(stage, "m1");
    assert.equal(stage.master.machine.view.phase, "recovering");
    assert.ok(hasHeard(stage.actor("c1"), "lost"), "the client's session is over");
    assert.deepEqual(result, {});
    stage.startStorage("s1");
    await stage.pass(STARTUP_GRACE_MS);
    assert.ok(result.tid, result.error?.message);
    assert.equal(locks, locked ? 4 : 3, "two to get warm, one before");
    const again = bodiesOf(stage.master, "finish").slice(-2).map(({ ttid }) => ttid);
    assert.equal(again[0] === again[1], false, "finished once, or begun again");
    await assertText(stage, other.client, "new");
    assert.equal(await timesCommitted(stage, other.client), 1);
    await writeOver(stage, other);
  });
}

test("5.8 a storage dies after its lock is flushed, before its unlock is, and the cluster goes on: it drops that, and catches up", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  await killFirst(stage, "m1");
  assert.ok(result.tid, result.error?.message);
  assert.deepEqual(heldOn(stage, "s1").at(-1), 1, "it is there, and locked");
  stage.disk("s1").crash(0);
  await writeOver(stage, other, "later");
  await bringBack(stage);
  await assertText(stage, other.client, "later");
  assertQuiet(stage);
  stage.storage("s2").kill();
  await stage.pass(FAILOVER_GRACE_MS);
  const third = await connectWarm(stage, "c3");
  await assertText(stage, third.client, "later");
  assert.equal(await timesCommitted(stage, third.client), 1, "s1 alone has both");
});

test("5.8 all storages die after their locks are flushed, before their unlocks are: verification commits it again", async () => {
  const play = await opened();
  const { stage, other } = play;
  const result = await trying(play);
  await stage.run();
  assert.ok(result.tid);
  await assertText(stage, other.client, "new");
  for (const name of stage.names) {
    stage.storage(name).kill();
    assert.ok(heldOn(stage, name).includes(1), "its unlock was lazy, and is lost");
    stage.disk(name).crash(0);
  }
  await stage.run();
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(STARTUP_GRACE_MS);
  const later = await connectWarm(stage, "c3");
  await assertText(stage, later.client, "new");
  assert.equal(await timesCommitted(stage, later.client), 1);
  const unlocks = stage.names.flatMap((name) => bodiesOf(stage.storage(name), "unlock"));
  assert.ok(unlocks.some(({ tid }) => tid === result.tid), "under its tid");
  await writeOver(stage, later);
});

test("5.8 a storage's disk is full: nothing is stored there, the others commit", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.hold("s1", "s2"); // it stays as it is
  stage.disk("s1").freeBytes = RESERVE_BYTES - 1;
  await stage.pass(2_000);
  const result = await trying(play);
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  assert.deepEqual(bodiesOf(stage.master, "finish").at(-1)?.failed, [{ node: 2, session: 1 }]);
  assert.equal(storedAt(stage, "s1", PAIR[0]), "old");
  await assertText(stage, other.client, "new");
  assertQuiet(stage);
});

test("5.8 all disks are full: the commit says so, and nothing is stored; locks and unlocks still have room", async () => {
  const play = await opened(SINGLE);
  const { stage, other } = play;
  const tx = await stage.finish(other.client.begin());
  for (const oid of PAIR) tx.store(oid, bytesOf("before"), { base: (await stage.finish(tx.load(oid)))!.tid });
  stage.wires.hold("m1", "s1");
  const early = tx.commit();
  await stage.run();
  for (const name of stage.names) stage.disk(name).freeBytes = RESERVE_BYTES - 1;
  await stage.pass(2 * SPACE_CHECK_MS);
  stage.wires.free("m1", "s1");
  assert.ok(await stage.finish(early) > 0n, "what was voted before");
  await stage.pass(SPACE_CHECK_MS);
  const result = await trying(play);
  await stage.run();
  assert.equal(result.error?.code, "noSpace");
  await assertText(stage, other.client, "before");
  assertQuiet(stage);
  for (const name of stage.names) stage.disk(name).freeBytes = 2 * RESERVE_BYTES;
  await stage.pass(SPACE_CHECK_MS);
  await writeOver(stage, other);
});

test("5.8 disks are full while a value is streamed: the program is told that, not that nobody answers", async () => {
  const { stage, other } = await opened(SINGLE);
  for (const name of stage.names) stage.disk(name).freeBytes = RESERVE_BYTES - 1;
  await stage.pass(2 * SPACE_CHECK_MS);
  const tx = await stage.finish(other.client.begin());
  const parts = Array.from({ length: 8 }, () => new Uint8Array(PART_BYTES_MAX));
  await stage.finish(assert.rejects(tx.storeStream(PAIR[0], parts), { code: "noSpace" }));
  await stage.finish(assert.rejects(tx.commit(), { code: "aborted" }));
  assertQuiet(stage);
});

for (const op of ["vote", "lock"] as const) {
  test(`5.8 a storage fails to save a ${op}: it says nothing of it, ends, and is lost like one that dies`, async () => {
    const play = await opened();
    const { stage, other } = play;
    const s1 = stage.storage("s1");
    const saves = s1.store.log.filter((line) => line.includes(op)).length;
    const apply = s1.store.apply.bind(s1.store);
    s1.store.apply = (writes, options) => {
      if ((writes as { op: string }[]).some((write) => write.op === op)) throw new Error("an I/O error");
      return apply(writes, options);
    };
    const result = await trying(play);
    await stage.run();
    assert.ok(result.tid, result.error?.message);
    assert.equal(s1.ended?.error?.code, "ioError");
    assert.equal(s1.store.log.filter((line) => line.includes(op)).length, saves);
    assert.equal(lastTable(stage), "0: 2O 3U\n1: 2O 3U");
    await assertText(stage, other.client, "new");
    await bringBack(stage);
    await writeOver(stage, other);
  });
}
