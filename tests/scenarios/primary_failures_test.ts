/**
 * What becomes of a commit whose primary dies, and how its client learns it (X7). Whether the lock had reached the disk of a readable home
 * copy decides; the client asks by ttid, under its next session. Titles name the row of the failure matrix.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, Partition, Ttid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { LOCK_TIMEOUT_MS, OUTCOME_WAIT_MS, RETRY_DELAY_MS_MAX, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "../hazards/actors.ts";
import type { Stage } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import { finishOf, storeOf, voteOf } from "../hazards/words.ts";
import {
  assertQuiet,
  assertText,
  history,
  opened,
  SINGLE,
  storedAt,
  timesCommitted,
  trying,
  writeOver,
} from "./failures_kit.ts";
import type { Play, Try } from "./failures_kit.ts";
import { connectWarm, timesHeard } from "./kit.ts";

/** The primary dies, with what is on its way from and to it, and starts again. */
async function restartPrimary(stage: Stage): Promise<void> {
  for (const name of [...stage.names, "c1"]) stage.wires.lose("m1", name);
  stage.master.kill();
  for (const name of stage.names) {
    stage.wires.lose(name, "m1");
    stage.wires.free(name, "m1");
    stage.wires.free("m1", name);
  }
  stage.wires.free("m1", "c1");
  await stage.run();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running");
}

async function assertCommittedOnce({ stage, other }: Play, result: Try): Promise<void> {
  assert.ok(result.tid, result.error?.message);
  await assertText(stage, other.client, "new");
  const found = (await history(stage, other.client)).filter(({ tid }) => tid === result.tid);
  assert.equal(found.length, 1, "its tid is in the history");
  assert.equal(await timesCommitted(stage, other.client), 1);
  assertQuiet(stage);
  await writeOver(stage, other);
}

/** ttids that were stored at s1 by c1's transactions over both objects. */
const attempts = (stage: Stage): Ttid[] =>
  [
    ...new Set(
      bodiesOf(stage.storage("s1"), "store").filter(({ oid }) => oid === 4n).map(({ ttid }) => ttid),
    ),
  ].slice(1);

test("5.8 B11: the primary dies before a storage has locked: the transaction is void, and begun again", async () => {
  const play = await opened();
  const { stage } = play;
  for (const name of stage.names) stage.wires.hold("m1", name);
  const result = await trying(play);
  await stage.run();
  await restartPrimary(stage);
  assert.equal(attempts(stage).length, 2, "X7: the outcome was that nothing of it is stored");
  assert.ok(hasHeard(stage.master, "asked outcome"));
  await assertCommittedOnce(play, result);
});

test("5.8 B11: the primary dies when only a copy that isn't of its home partition has locked: void as well", async () => {
  const play = await opened(SINGLE);
  const { stage } = play;
  const locks = timesHeard(stage, "s2", "asked lock");
  stage.wires.hold("m1", "s1");
  const result = await trying(play);
  await stage.run();
  assert.equal(timesHeard(stage, "s2", "asked lock"), locks + 1);
  await restartPrimary(stage);
  assert.equal(attempts(stage).length, 2);
  await assertCommittedOnce(play, result);
});

test("5.8 the primary dies when one home copy has locked: verification commits it everywhere, its client learns the tid", async () => {
  const play = await opened();
  const { stage } = play;
  stage.wires.hold("m1", "s2");
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  const { ttid, tid } = bodiesOf(stage.storage("s1"), "lock").at(-1)!;
  await restartPrimary(stage);
  assert.equal(result.tid, tid);
  assert.deepEqual(attempts(stage), [ttid]);
  await assertCommittedOnce(play, result);
});

for (const unlocked of [false, true]) {
  const how = unlocked ? "and its unlocks have arrived" : "and no unlock has arrived";
  test(`5.8 16.4/076 the primary dies when others have heard of it, ${how}: its client learns the tid, nothing is done twice`, async () => {
    const play = await opened();
    const { stage } = play;
    const before = (): void => stage.wires.hold("m1", "c1");
    const result = await trying(play, { before });
    const told = timesHeard(stage, "c2", "told invalidate");
    await stage.until(() => stage.master.machine.view.pending === 1);
    await stage.until(() => stage.master.machine.view.pending === 0);
    if (!unlocked) { for (const name of stage.names) stage.wires.hold("m1", name); }
    await stage.run();
    assert.equal(timesHeard(stage, "c2", "told invalidate"), told + 1);
    assert.deepEqual(result, {});
    await restartPrimary(stage);
    assert.equal(result.tid, bodiesOf(stage.actor("c2"), "invalidate").at(-1)!.tid);
    await assertCommittedOnce(play, result);
  });
}

test("5.8 16.4/079 the answer of a finish that is being decided: it waits for publication, bound to its question", async () => {
  const play = await opened();
  const { stage, writer } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  stage.wires.cut("c1", "m1");
  await stage.run();
  assert.ok(hasHeard(stage.master, "asked outcome"));
  const between = await stage.finish(writer.client.sync()); // another question of the same client
  assert.ok(between > 0n);
  assert.deepEqual(result, {});
  stage.wires.free("s1", "m1");
  await assertCommittedOnce(play, (await stage.run(), result));
  assert.equal(timesHeard(stage, "m1", "asked outcome"), 1);
});

test("5.8 the answer of a finish is lost, the transaction is final: a readable home copy knows its tid", async () => {
  const play = await opened();
  const { stage } = play;
  const fates = timesHeard(stage, "s1", "asked fate");
  const before = (): void => stage.wires.hold("m1", "c1");
  const result = await trying(play, { before });
  await stage.run();
  assert.deepEqual([stage.master.machine.view.pending, result], [0, {}]);
  stage.wires.cut("m1", "c1");
  await stage.run();
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.ok(timesHeard(stage, "s1", "asked fate") + timesHeard(stage, "s2", "asked fate") > fates);
  await assertCommittedOnce(play, result);
});

test("5.8 X7 B11: whoever knows the outcome is away: the client says so, and can ask again by ttid", async () => {
  const play = await opened(SINGLE);
  const { stage, writer } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play, { withinMs: 1_000 });
  await stage.run();
  const { ttid, tid } = bodiesOf(stage.storage("s1"), "lock").at(-1)!;
  stage.wires.lose("s1", "m1");
  stage.storage("s1").kill();
  stage.wires.free("s1", "m1");
  await stage.pass(1_000 + OUTCOME_WAIT_MS);
  assert.equal(result.error?.code, "outcomePending");
  const pending = result.error as unknown as { ttid: Ttid; home: never };
  assert.equal(pending.ttid, ttid);
  const outcome = writer.client.outcome(pending, { withinMs: 2 * STARTUP_GRACE_MS });
  stage.startStorage("s1");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(await stage.finish(outcome), tid);
  await assertCommittedOnce(play, { tid });
});

test("5.8 X7 B11: an outcome that is asked of a primary which recovers waits until it has verified", async () => {
  const play = await opened();
  const { stage, writer } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play, { withinMs: 60_000 });
  await stage.run();
  const { ttid, tid } = bodiesOf(stage.storage("s1"), "lock").at(-1)!;
  for (const name of ["m1", "s2"]) stage.actor(name).kill();
  stage.wires.free("s1", "m1");
  await stage.run();
  stage.startMaster();
  const outcome = writer.client.outcome({ ttid, home: 0 as never });
  await stage.pass(STARTUP_GRACE_MS - 1);
  assert.deepEqual(result, {}, "it waits for s2");
  assert.notEqual(stage.master.machine.view.phase, "running");
  await stage.pass(2 * RETRY_DELAY_MS_MAX);
  assert.equal(await stage.finish(outcome), tid);
  assert.equal(result.tid, tid);
  stage.startStorage("s2");
  await stage.pass(LOCK_TIMEOUT_MS);
  await assertCommittedOnce(play, result);
  const later = await connectWarm(stage, "c3");
  assert.equal(
    await stage.finish(later.client.outcome({ ttid, home: 0 as never })),
    tid,
    "asked at any time",
  );
});

test("5.8 X7 B11: an outcome that is asked while the old session lives ends that first: nothing of it can be finished behind the answer", async () => {
  const { stage } = await opened();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const { conn: old } = await puppet.dial("m1:1");
  const { session, epoch } = bodiesOf(puppet.actor, "welcome")[0]!;
  const store = storeOf({ ttid: ttidOf(session as ClientSession, 1), oid: 8 });
  const replies = [];
  for (const name of stage.names) {
    const { conn } = await puppet.dial(`${name}:1`, { session, epoch });
    puppet.ask(conn, "store", store);
    replies.push(puppet.ask(conn, "vote", voteOf([store])));
  }
  await stage.run();
  const { conn: next } = await puppet.dial("m1:1");
  const outcome = puppet.ask(next, "outcome", { ttid: store.ttid, home: 0 as Partition });
  await stage.until(() => hasHeard(stage.master, "asked outcome"));
  const finish = puppet.ask(old, "finish", finishOf([store], replies.map(({ answer }) => answer!.evidence)));
  await stage.run();
  assert.deepEqual(outcome.answer, { tid: null });
  assert.equal(finish.error?.code, "lost", "its connection is closed");
  assert.equal(storedAt(stage, "s1", 8n), undefined);
  assertQuiet(stage);
});
