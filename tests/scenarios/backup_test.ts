/** One cluster is the backup of another (N5): it follows, whatever is lost on the way, and can be promoted at any moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { FOLLOW_AGAIN_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { Stage } from "../hazards/kit.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { errorsOf, helloAs, masterBench, runBackup } from "../machines.ts";
import { SimRandom } from "../simulation/random.ts";
import { assertCopiesEqual, historyOf, Pair } from "./backup_kit.ts";
import { assertQuiet } from "./failures_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";
import type { Scene } from "./kit.ts";

/** Some transactions in the source: texts, an empty one, a deletion. */
async function written(stage: Stage, scene: Scene): Promise<Tid> {
  await commitTexts(stage, scene, [[oidAt(1), "one"], [oidAt(2), "two"], [oidAt(3), "three"]]);
  const nothing = await stage.finish(scene.client.begin());
  nothing.note({ user: "nobody", description: "changes nothing" });
  await stage.finish(nothing.commit());
  await commitTexts(stage, scene, [[oidAt(2), "two again"]]);
  const tx = await stage.finish(scene.client.begin());
  await stage.finish(tx.load(oidAt(1)));
  tx.delete(oidAt(1));
  return await stage.finish(tx.commit());
}

async function read(stage: Stage, { client }: Pick<Scene, "client">, oid: bigint) {
  const snapshot = await stage.finish(client.snapshot());
  return textOf((await stage.finish(snapshot.load(oidAt(Number(oid)))))?.data);
}

async function following(): Promise<{ pair: Pair; writer: Scene }> {
  const pair = await new Pair().open();
  const writer = await connectCaching(pair.source, "c1", 0);
  await written(pair.source, writer);
  return { pair, writer };
}

test("16.5/110 16.5/151 a backup of another shape gets everything, deletions and empty transactions too, under the same tids (N5)", async () => {
  const { pair } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  assert.equal(await pair.assertEqual(), 4);
  const { answer } = await pair.order("status", {});
  assert.equal(answer?.backup?.of, "shop");
  assert.equal(answer?.backup?.follower, "f1");
  assert.equal(answer?.backup?.newest, pair.source.master.machine.view.lastTid);
  assertQuiet(pair.backup);
});

test("16.5/111 it follows what is committed, and its readers hear of each transaction (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  const reader = await connectCaching(pair.backup, "r1", 1_000_000);
  assert.equal(await read(pair.backup, reader, 2n), "two again");
  const heard: Tid[] = [];
  reader.client.onPublish((tid, oids) => oids && heard.push(tid));
  const tids: Tid[] = [];
  for (const text of ["a", "b", "c"]) {
    tids.push(await commitTexts(pair.source, writer, [[oidAt(2), text], [oidAt(9), text]]));
    await pair.settle(); // no time goes by: news is what moves it
    assert.equal(await read(pair.backup, reader, 2n), text, "its cache too");
  }
  assert.deepEqual(heard, tids);
  await pair.assertEqual();
});

test("a backup takes nothing but what its follower brings: no commit, no oids, no import (N5)", async () => {
  const { pair } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  const { client } = await connectCaching(pair.backup, "w1", 0);
  const tx = await pair.backup.finish(client.begin());
  tx.store(oidAt(5), bytesOf("mine"));
  const refused = (error: unknown): boolean =>
    error instanceof DatabaseError && error.code === "readOnly" && error.message.includes("backup of shop");
  await assert.rejects(pair.backup.finish(tx.commit()), refused);
  await assert.rejects(pair.backup.finish(client.newOid()), refused);
  await assert.rejects(pair.backup.finish(client.restoring({ origin: "FS30" })), refused);
  await pair.assertEqual();
  assertQuiet(pair.backup);
});

test("16.5/112 16.5/114 a backup that was killed whole is one still, and goes on where it was; to make it one again changes nothing (N5)", async () => {
  const { pair, writer } = await following();
  const { kill } = await pair.startFollower();
  await pair.caughtUp();
  kill();
  await restartBackup(pair);
  await commitTexts(pair.source, writer, [[oidAt(3), "meanwhile"]]);
  const { answer } = await pair.order("status", {});
  assert.deepEqual(answer?.backup, { of: "shop", follower: "", newest: null, problem: "" });
  const epoch = pair.backup.master.machine.view.epoch;
  await pair.setBackup("shop");
  assert.equal(pair.backup.master.machine.view.epoch, epoch, "no recovery");
  const other = await pair.order("setBackup", { of: "market" });
  assert.match(other.error?.message ?? "", /it is a backup of shop; end that first/);
  await pair.startFollower("f2");
  await pair.caughtUp();
  await pair.assertEqual();
});

async function restartBackup(pair: Pair): Promise<void> {
  const { backup } = pair;
  for (const name of [...backup.names, "m1"]) backup.actor(name).kill();
  await backup.run();
  backup.startMaster();
  for (const name of backup.names) backup.startStorage(name);
  await backup.pass(STARTUP_GRACE_MS);
  assert.equal(backup.master.machine.view.phase, "running", backup.problems);
}

test("16.5/115 a backup is promoted while a copy is out of date: it writes at once, and the copy catches up (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  pair.backup.storage("s1").kill();
  await pair.settle();
  const last = await commitTexts(pair.source, writer, [[oidAt(2), "late"], [oidAt(3), "late"]]);
  await pair.caughtUp(last);
  await pair.setBackup("");
  const client = await connectCaching(pair.backup, "w1", 0);
  const own = await commitTexts(pair.backup, client, [[oidAt(7), "mine"]]);
  assert.ok(own > last);
  pair.backup.startStorage("s1");
  await pair.backup.pass(STARTUP_GRACE_MS);
  await assertCopiesEqual(pair.backup);
  const ours = await historyOf(pair.backup);
  assert.deepEqual(ours.slice(0, -1), await historyOf(pair.source));
  const fresh = await pair.backup.finish(client.client.newOid());
  assert.ok(fresh > oidAt(3), "no oid of the source is given again");
  assertQuiet(pair.backup);
});

test("16.5/116 it is promoted while a transaction comes in: that is whole or not there, and the follower writes no more (N5)", async () => {
  for (const held of ["vote", "finish"]) {
    const { pair, writer } = await following();
    await pair.startFollower();
    await pair.caughtUp();
    const before = await historyOf(pair.backup);
    const toward = held === "finish" ? ["m1"] : ["s1", "s2", "s3"];
    const last = await commitTexts(pair.source, writer, [[oidAt(2), "x"], [oidAt(3), "x"], [oidAt(4), "x"]]);
    for (const name of toward) pair.backup.wires.hold("f1", name);
    await pair.settle();
    await pair.setBackup("");
    for (const name of toward) pair.backup.wires.free("f1", name);
    await pair.pass(FOLLOW_AGAIN_MS * 2);
    const after = await historyOf(pair.backup);
    assert.deepEqual(after, before, held);
    assert.ok(pair.backup.master.machine.view.lastTid < last);
    await assertCopiesEqual(pair.backup);
    assertQuiet(pair.backup);
  }
});

test("16.5/117 one copy alone has a transaction when all is killed: it is there or comes again, without any news of the source (N5)", async () => {
  const { pair, writer } = await following();
  const { kill } = await pair.startFollower();
  await pair.caughtUp();
  await commitTexts(pair.source, writer, [[oidAt(2), "half"]]);
  pair.backup.wires.hold("m1", "s3");
  await pair.settle();
  kill();
  await restartBackup(pair);
  pair.backup.wires.free("m1", "s3");
  await pair.startFollower("f2");
  await pair.caughtUp();
  await pair.assertEqual();
});

test("16.5/119 16.5/121 a source that can't be reached is told of, and asked again after a time, not more often (N5)", async () => {
  const pair = await new Pair().open();
  for (const name of ["m1", "s1", "s2"]) pair.source.actor(name).kill();
  const follower = await pair.startFollower();
  await pair.pass(FOLLOW_AGAIN_MS * 6);
  const { answer } = await pair.order("status", {});
  assert.match(answer?.backup?.problem ?? "", /doesn't let this client in/);
  const asked = timesAsked(pair.backup, "asked follow");
  assert.ok(asked <= 4, `it was asked ${asked} times in ${FOLLOW_AGAIN_MS * 6} ms`);
  pair.source.startMaster();
  for (const name of pair.source.names) pair.source.startStorage(name);
  await pair.pass(STARTUP_GRACE_MS);
  const writer = await connectCaching(pair.source, "c1", 0);
  await written(pair.source, writer);
  await pair.caughtUp();
  await pair.pass(FOLLOW_AGAIN_MS);
  assert.equal(follower.progress?.problem, "");
  await pair.assertEqual();
});

function timesAsked(stage: Stage, what: string): number {
  return stage.master.heard.filter((heard) => heard.what === what).length;
}

test("16.5/120 ten rounds of losses in the middle of a transaction: storages, the primary, the way to the source (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  for (let round = 0; round < 10; round++) {
    await commitTexts(pair.source, writer, [[oidAt(round), `round ${round}`], [oidAt(2), `round ${round}`]]);
    const victim = ["s1", "s2", "s3", "m1", "source"][round % 5]!;
    for (let step = 0; step <= round; step++) await pair.backup.run();
    if (victim === "source") ["m1", "s1", "s2"].forEach((name) => pair.source.wires.cut("f1", name));
    else pair.backup.actor(victim).kill();
    await pair.settle();
    if (victim === "m1") pair.backup.startMaster();
    else if (victim !== "source") pair.backup.startStorage(victim);
    await pair.pass(STARTUP_GRACE_MS);
    if (round >= 7) {
      await pair.caughtUp();
      await pair.assertEqual();
    }
  }
  await pair.caughtUp();
  await pair.assertEqual();
  assertQuiet(pair.backup);
});

for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`16.5/120 anything may die in both clusters, and the backup is a prefix of its source, whole, at every look: seed ${seed} (N5)`, async () => {
    const random = new SimRandom(seed);
    const { pair, writer } = await following();
    let follower = await pair.startFollower();
    for (let round = 0; round < 12; round++) {
      await changed(pair.source, writer, random, round);
      await pair.source.some(random.int(0, 60));
      await pair.backup.some(random.int(0, 60));
      const stage = random.pick([pair.source, pair.backup, pair.backup]);
      const victim = random.pick([...stage.names, "m1", "f1", "lines"]);
      if (victim === "f1") {
        follower.kill();
        await pair.settle();
        follower = await pair.startFollower("f1");
      } else if (victim === "lines") {
        for (const name of [...stage.names, "m1"]) stage.wires.cut("f1", name);
      } else {
        stage.actor(victim).kill();
        await stage.some(random.int(0, 30));
        if (victim === "m1") stage.startMaster();
        else stage.startStorage(victim);
      }
      await pair.pass(STARTUP_GRACE_MS);
      if (round % 4 === 3) {
        const ours = await historyOf(pair.backup);
        assert.deepEqual(
          ours,
          (await historyOf(pair.source)).slice(0, ours.length),
          `round ${round}: ${victim}`,
        );
      }
    }
    await pair.caughtUp();
    await pair.assertEqual();
    assertQuiet(pair.backup);
  });
}

/** One transaction of the source: some objects written, deleted, or an earlier transaction undone. */
async function changed(stage: Stage, { client }: Scene, random: SimRandom, round: number): Promise<void> {
  const tx = await stage.finish(client.begin());
  for (let at = random.int(0, 3); at >= 0; at--) {
    const oid = oidAt(random.int(1, 8));
    const found = await stage.finish(tx.load(oid));
    if (found !== undefined && random.chance(0.2)) tx.delete(oid);
    else tx.store(oid, bytesOf(`${round} ${at} ${"x".repeat(random.int(0, 200))}`));
  }
  const tid = await stage.finish(tx.commit());
  if (random.chance(0.3)) await stage.finish(client.undo(tid));
}

test("16.5/122 what the source hasn't published isn't copied, and comes when it is (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  const before = pair.backup.master.machine.view.lastTid;
  pair.source.wires.hold("s1", "m1"); // its lock isn't heard of
  const tx = await pair.source.finish(writer.client.begin());
  tx.store(oidAt(6), bytesOf("locked"));
  const commit = tx.commit();
  await pair.settle();
  assert.equal(pair.backup.master.machine.view.lastTid, before);
  pair.source.wires.free("s1", "m1");
  await pair.settle();
  const tid = await pair.source.finish(commit);
  await pair.caughtUp(tid);
  await pair.assertEqual();
});

test("16.5/125 a creation that is undone, and that undone: histories are the same, links and all (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  const made = await commitTexts(pair.source, writer, [[oidAt(8), "made"]]);
  const put = async (base: Tid, data: Uint8Array | null, link?: Tid): Promise<Tid> => {
    const nothing = new Uint8Array();
    const note = { user: nothing, description: nothing, extension: nothing, status: " " };
    const write = { oid: oidAt(8), base, data, ...(link === undefined ? {} : { link }) };
    const commit = writer.client.call("commit", { writes: [write], checks: [], ...note });
    return (await pair.source.finish(commit)).tid;
  };
  const undone = await put(made, null);
  await put(undone, bytesOf("made"), made);
  await pair.caughtUp();
  await pair.assertEqual();
  const links = (await historyOf(pair.backup)).flatMap(({ records }) =>
    records.flatMap(({ from }) => from ?? [])
  );
  assert.deepEqual(links, [made]);
});

test("16.5/126 a backup that lacks a transaction says so after a restart, and catches up (N5)", async () => {
  const { pair, writer } = await following();
  const { kill } = await pair.startFollower();
  await pair.caughtUp();
  const before = pair.backup.master.machine.view.lastTid;
  kill();
  const missed = await commitTexts(pair.source, writer, [[oidAt(2), "missed"]]);
  await restartBackup(pair);
  const client = await connectCaching(pair.backup, "r1", 0);
  assert.equal(await pair.backup.finish(client.client.sync()), before);
  await pair.startFollower("f2");
  await pair.caughtUp(missed);
  await pair.assertEqual();
});

test("16.5/139 a first copy that is broken off within a page and within a transaction goes on with that transaction (N5)", async () => {
  const { pair, writer } = await following();
  for (let at = 0; at < 12; at++) {
    await commitTexts(pair.source, writer, [[oidAt(at), `${at}`], [oidAt(at + 1), `${at}`]]);
  }
  const { kill } = await pair.startFollower("f0");
  kill(); // whatever it has come to
  for (let turn = 1; turn <= 6; turn++) {
    const begun = pair.startFollower(`f${turn}`);
    for (let step = 0; step < 30 * turn; step++) await Promise.resolve();
    (await begun).kill();
    await pair.settle();
    const ours = await historyOf(pair.backup);
    assert.deepEqual(ours, (await historyOf(pair.source)).slice(0, ours.length), "a prefix, whole");
  }
  await pair.startFollower("f9");
  await pair.caughtUp();
  await pair.assertEqual();
});

test("16.5/145 the source doesn't care what becomes of its backup: it restarts and serves when that is promoted (N5)", async () => {
  const { pair, writer } = await following();
  await pair.startFollower();
  await pair.caughtUp();
  await pair.setBackup("");
  for (const name of ["m1", "s1"]) pair.source.actor(name).kill();
  await pair.settle();
  pair.source.startMaster();
  pair.source.startStorage("s1");
  await pair.pass(STARTUP_GRACE_MS);
  await commitTexts(pair.source, writer, [[oidAt(2), "on its own"]]);
  await pair.pass(FOLLOW_AGAIN_MS);
  assert.notDeepEqual(await historyOf(pair.backup), await historyOf(pair.source));
});

test("16.5/150 a source that was truncated behind its back: the backup keeps what it has and says so, and goes on when it is truncated too (N5)", async () => {
  const { pair, writer } = await following();
  const common = await commitTexts(pair.source, writer, [[oidAt(2), "common"]]);
  await pair.startFollower();
  await pair.caughtUp();
  await commitTexts(pair.source, writer, [[oidAt(2), "gone"]]);
  await pair.caughtUp();
  const kept = await historyOf(pair.backup);
  const cut = await pair.order("truncate", { tid: common }, pair.source);
  assert.ok(cut.answer, cut.error?.message);
  await pair.pass(STARTUP_GRACE_MS);
  for (const text of ["", "another"]) {
    if (text !== "") await commitTexts(pair.source, writer, [[oidAt(2), text]]); // its last tid is above the backup's again
    await pair.pass(FOLLOW_AGAIN_MS * 2);
    assert.deepEqual(await historyOf(pair.backup), kept);
    const { answer } = await pair.order("status", {});
    assert.match(answer?.backup?.problem ?? "", /isn't in the source; they part behind/);
    assert.ok(answer?.backup?.problem.includes(common.toString(16)), "and where they part");
  }
  const ours = await pair.order("truncate", { tid: common });
  assert.ok(ours.answer, ours.error?.message);
  await pair.pass(STARTUP_GRACE_MS);
  await pair.caughtUp();
  await pair.assertEqual();
});

test("a backup that alone was truncated can't get back what it has given up: it says that it must be begun anew (N5)", async () => {
  const { pair } = await following();
  const follower = await pair.startFollower();
  await pair.caughtUp();
  const [first] = await historyOf(pair.source);
  const cut = await pair.order("truncate", { tid: first!.tid });
  assert.ok(cut.answer, cut.error?.message);
  await pair.pass(STARTUP_GRACE_MS);
  assert.match(
    follower.progress?.problem ?? "",
    /is below tids that were given here before a truncation; begin .* anew/,
  );
  assert.deepEqual(await historyOf(pair.backup), [first]);
});

test("where there are certificates only an admin's lets one copy to a backup (N5, N6)", () => {
  const bench = masterBench();
  runBackup(bench);
  const follows = (holder: string) =>
    bench.asked(bench.comes(helloAs("client"), { holder }).conn, "follow", {});
  const [refused] = errorsOf(follows("client app"));
  assert.match(refused?.message ?? "", /client app copy .*: only an admin's certificate/);
  assert.deepEqual(errorsOf(follows("admin a1")), []);
});

test("one follower copies at a time; when it ends, the one that waits goes on (N5)", async () => {
  const { pair, writer } = await following();
  const first = await pair.startFollower("f1");
  const second = await pair.startFollower("f2");
  await pair.caughtUp();
  assert.ok(!second.hasCopied, "it waits");
  first.kill();
  await pair.settle();
  await commitTexts(pair.source, writer, [[oidAt(2), "by the second"]]);
  await pair.caughtUp();
  assert.ok(second.hasCopied);
  await pair.assertEqual();
});

test("a next follower isn't let in before all is published that the one before it was promised (N5)", async () => {
  const { pair, writer } = await following();
  const first = await pair.startFollower("f1");
  await pair.caughtUp();
  const tid = await commitTexts(pair.source, writer, [[oidAt(2), "locked"]]);
  for (const name of pair.backup.names) pair.backup.wires.hold(name, "m1");
  pair.backup.wires.hold("f1", "m1");
  await pair.settle();
  for (const name of pair.backup.names) pair.backup.wires.free(name, "m1");
  await pair.settle();
  for (const name of pair.backup.names) pair.backup.wires.hold(name, "m1"); // locked, and not heard of
  pair.backup.wires.free("f1", "m1");
  await pair.settle();
  assert.equal(pair.backup.master.machine.view.pending, 1);
  first.kill();
  const second = await pair.startFollower("f2");
  assert.ok(!second.hasCopied);
  for (const name of pair.backup.names) pair.backup.wires.free(name, "m1");
  await pair.settle();
  assert.equal(second.progress?.lastTid, tid);
  assert.equal(second.progress?.problem, "", "it hasn't copied that again");
  await pair.assertEqual();
});

test("there and back: the source is lost, the backup promoted; what it hadn't got is cut off, and the old source follows (N5)", async () => {
  const { pair, writer } = await following();
  const { kill } = await pair.startFollower();
  await pair.caughtUp();
  const common = pair.backup.master.machine.view.lastTid as Tid;
  kill();
  await commitTexts(pair.source, writer, [[oidAt(2), "never copied"]]);
  await pair.setBackup("");
  await pair.backup.pass(60_000); // clocks go on: what is written now comes behind
  const client = await connectCaching(pair.backup, "w1", 0);
  await commitTexts(pair.backup, client, [[oidAt(2), "written to the backup"]]);
  const back = new Pair();
  Object.assign(back, { source: pair.backup, backup: pair.source });
  const follower = await (async () => {
    await back.setBackup("spare");
    return await back.startFollower("g1", "spare");
  })();
  await back.pass(FOLLOW_AGAIN_MS);
  assert.match(follower.progress?.problem ?? "", /they part behind/);
  const cut = await back.order("truncate", { tid: common });
  assert.ok(cut.answer, cut.error?.message);
  await back.pass(STARTUP_GRACE_MS);
  await back.caughtUp();
  await back.assertEqual();
});

test("a cluster isn't its own backup (N5)", async () => {
  const pair = await new Pair({ source: { clusterId: "c-2", storages: 3, partitions: 3 } }).open();
  const follower = await pair.startFollower();
  await pair.pass(FOLLOW_AGAIN_MS);
  assert.match(follower.progress?.problem ?? "", /it is the backup itself/);
});
