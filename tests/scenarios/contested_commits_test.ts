/** Commits that meet conflicts, lost copies, and copies that are catching up, at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { FAILOVER_GRACE_MS, RETRY_DELAY_MS_MAX, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import { bytesOf, oidAt, textOf, tidAt } from "../hazards/words.ts";
import { assertQuiet, history, storedAt } from "./failures_kit.ts";
import { adding, commitTexts, connectWarm, summing, timesHeard, valuesOf } from "./kit.ts";
import type { Scene } from "./kit.ts";

const PAIR: StageShape = { storages: 2, replicas: 1, partitions: 1 };
const [X, Y] = [oidAt(4), oidAt(6)];

async function opened(shape: StageShape, clients: number): Promise<{ stage: Stage; scenes: Scene[] }> {
  const stage = await new Stage(shape).open();
  const scenes: Scene[] = [];
  for (let nr = 1; nr <= clients; nr++) scenes.push(await connectWarm(stage, `c${nr}`));
  return { stage, scenes };
}

/** The byte that a storage's database has for an object. */
function byteAt(stage: Stage, name: string, oid: Oid): number | undefined {
  return storedAt(stage, name, oid)?.charCodeAt(0);
}

const table = (stage: Stage): string => stage.master.machine.view.table;

test("16.4/081 a transaction without objects gets a tid, and is listed without any", async () => {
  const { stage, scenes: [one] } = await opened(PAIR, 1);
  const tx = await stage.finish(one!.client.begin());
  tx.note({ user: "eva", description: "nothing" });
  const tid = await stage.finish(tx.commit());
  const found = (await history(stage, one!.client)).at(-1)!;
  assert.deepEqual([found.tid, found.oids, textOf(found.description)], [tid, [], "nothing"]);
});

test("16.4/082 one copy reports a conflict late, behind the other's: it is resolved once", async () => {
  const { stage, scenes: [one, two] } = await opened(PAIR, 2);
  const resolving = summing();
  const tx = await adding(stage, one!, [X], 1, resolving.resolve);
  await stage.finish((await adding(stage, two!, [X], 10)).commit());
  stage.wires.hold("s2", "c1");
  const commit = tx.commit();
  await stage.run();
  assert.equal(resolving.conflicts.length, 0, "it waits until all have answered");
  stage.wires.free("s2", "c1");
  await stage.finish(commit);
  assert.equal(resolving.conflicts.length, 1);
  assert.deepEqual([byteAt(stage, "s1", X), byteAt(stage, "s2", X)], [11, 11]);
  assertQuiet(stage);
});

/** s2's copy is out of date, and can't copy before it is let. */
async function lagging(
  clients: number,
  shape: StageShape = PAIR,
): Promise<{ stage: Stage; scenes: Scene[] }> {
  const { stage, scenes } = await opened(shape, clients);
  stage.storage("s2").kill();
  await stage.run();
  await commitTexts(stage, scenes[0]!, [[oidAt(90), "missed"], [oidAt(91), "missed"]]);
  stage.wires.hold("s1", "s2");
  stage.startStorage("s2");
  await stage.run();
  for (const [nr, scene] of scenes.entries()) {
    await commitTexts(stage, scene, [[oidAt(200 + nr), "connected"]]);
  }
  assert.match(table(stage), /2U 3O/);
  return { stage, scenes };
}

test("16.4/084 a copy that is out of date takes what the other one has a conflict for: resolved, both have the result", async () => {
  const { stage, scenes: [one, two] } = await lagging(2);
  const resolving = summing();
  const tx = await adding(stage, one!, [X], 1, resolving.resolve);
  await stage.finish((await adding(stage, two!, [X], 10)).commit());
  await stage.finish(tx.commit());
  assert.equal(resolving.conflicts.length, 1);
  assert.deepEqual([byteAt(stage, "s1", X), byteAt(stage, "s2", X)], [11, 11]);
  stage.wires.free("s1", "s2");
  await stage.run();
  assert.equal(table(stage), "0: 2U 3U");
  assertQuiet(stage);
});

test("16.4/085 a client loses one of two copies between two stores: it commits, that copy catches up, and alone has all", async () => {
  const { stage, scenes: [one] } = await opened(PAIR, 1);
  stage.wires.hold("s1", "s2");
  for (let nr = 0; nr < 3; nr++) {
    if (nr === 2) {
      stage.wires.bar("c1", "s2");
      stage.wires.cut("c1", "s2");
    }
    await commitTexts(stage, one!, [[oidAt(10 + nr), `value ${nr}`]]);
  }
  assert.equal(table(stage), "0: 2U 3O");
  stage.wires.free("s1", "s2");
  await stage.pass(FAILOVER_GRACE_MS);
  assert.equal(table(stage), "0: 2U 3U");
  stage.storage("s1").kill();
  stage.wires.unbar("c1", "s2");
  await stage.pass(STARTUP_GRACE_MS);
  const snapshot = await stage.finish(one!.client.snapshot());
  for (let nr = 0; nr < 3; nr++) {
    assert.equal(textOf((await stage.finish(snapshot.load(oidAt(10 + nr))))?.data), `value ${nr}`);
  }
});

/** c1 reaches s1 only, c2 reaches s2 only; each has stored X where it is, and waits for the answer to its vote. */
async function apart() {
  const { stage, scenes: [one, two] } = await opened(PAIR, 2);
  for (const [client, storage] of [["c1", "s2"], ["c2", "s1"]] as const) {
    stage.wires.bar(client, storage);
    stage.wires.cut(client, storage);
  }
  await stage.run();
  const [first, second] = [await stage.finish(one!.client.begin()), await stage.finish(two!.client.begin())];
  first.store(X, bytesOf("first"));
  second.store(X, bytesOf("second"));
  stage.wires.hold("s1", "c1");
  stage.wires.hold("s2", "c2");
  const giveUp = new AbortController();
  const commits = [first.commit({ signal: giveUp.signal }), second.commit()] as const;
  for (const commit of commits) commit.catch(() => undefined); // each test says what becomes of it
  await stage.run();
  assert.deepEqual(stage.names.map((name) => stage.storage(name).machine.load.transactions), [1, 1]);
  return { stage, one: one!, two: two!, commits, giveUp };
}

test("16.4/086 of two that have each locked another copy the first one finishes, the other one can't", async () => {
  const { stage, one, commits: [first, second] } = await apart();
  stage.wires.hold("s1", "s2"); // what is outdated stays so
  stage.wires.free("s1", "c1");
  const tid = await stage.finish(first);
  assert.equal(table(stage), "0: 2U 3O");
  stage.wires.free("s2", "c2");
  await stage.pass(RETRY_DELAY_MS_MAX);
  stage.wires.free("s1", "s2");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(table(stage), "0: 2U 3U");
  await assert.rejects(stage.finish(second), { code: "conflict" });
  assert.deepEqual([storedAt(stage, "s1", X), storedAt(stage, "s2", X)], ["first", "first"]);
  assert.equal((await stage.finish(one.client.snapshot())).at, tid);
  assertQuiet(stage);
});

test("16.4/087 of two that have each locked another copy one is given up: the other one finishes", async () => {
  const { stage, commits: [first, second], giveUp } = await apart();
  giveUp.abort(new Error("enough"));
  stage.wires.free("s1", "c1");
  await assert.rejects(stage.finish(first), /enough/);
  stage.wires.free("s2", "c2");
  assert.ok(await stage.finish(second) > 0n);
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(table(stage), "0: 2U 3U");
  assert.deepEqual([storedAt(stage, "s1", X), storedAt(stage, "s2", X)], ["second", "second"]);
  assertQuiet(stage);
});

for (const late of ["s1", "s2"]) {
  test(`16.4/092 one copy says yes and the other has a conflict, ${late} last: resolved, and all is whole again`, async () => {
    const { stage, scenes: [one, two] } = await opened(PAIR, 2);
    const resolving = summing();
    const tx = await adding(stage, two!, [X], 10, resolving.resolve);
    stage.wires.bar("c1", "s2");
    stage.wires.cut("c1", "s2");
    await stage.run();
    stage.wires.hold("s1", "s2"); // s2 doesn't catch up
    await stage.finish((await adding(stage, one!, [X], 1)).commit()); // on s1 alone
    stage.wires.hold("m1", "c2"); // nor does c2 hear of the table
    stage.wires.hold(late, "c2");
    const commit = tx.commit();
    await stage.run();
    stage.wires.free(late, "c2");
    await stage.run();
    stage.wires.free("m1", "c2");
    await stage.run();
    stage.wires.free("s1", "s2");
    await stage.pass(STARTUP_GRACE_MS);
    await stage.finish(commit);
    assert.equal(resolving.conflicts.length, 1);
    assert.equal(table(stage), "0: 2U 3U");
    assert.deepEqual([byteAt(stage, "s1", X), byteAt(stage, "s2", X)], [11, 11]);
    assertQuiet(stage);
  });
}

test("16.4/094 a check that gives its lock to an older one, which then changes its object, fails; the others commit", async () => {
  const stage = await new Stage({ storages: 2, replicas: 0, partitions: 2 }).open();
  const [older, younger] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  const [A, B] = [oidAt(2), oidAt(3)];
  const first = await adding(stage, older, [A, B], 1);
  await stage.pass(5);
  const second = await stage.finish(younger.client.begin());
  await stage.finish(second.loadMany([A, B]));
  second.check(B);
  second.store(A, Uint8Array.of(10), { base: tidAt(0) });
  stage.wires.hold("c1", "s2");
  stage.wires.hold("c2", "s1");
  const commits = [first.commit(), second.commit()] as const;
  commits[1].catch(() => undefined); // looked at below
  await stage.run();
  stage.wires.free("c1", "s2");
  stage.wires.free("c2", "s1");
  assert.ok(await stage.finish(commits[0]) > 0n);
  await assert.rejects(stage.finish(commits[1]), (error: { code: string; conflicts: { oid: Oid }[] }) => {
    assert.equal(error.code, "conflict");
    assert.ok(error.conflicts.some(({ oid }) => oid === B), "the checked one");
    return true;
  });
  assert.deepEqual(await valuesOf(stage, older, [A, B]), [1, 1]);
  assertQuiet(stage);
});

test("16.4/095 four that want each other's locks, while a copy becomes readable between their stores: no lock and no sum is lost", async () => {
  const shape = { storages: 2, replicas: 1, partitions: 2 };
  for (let frees = 0; frees < 12; frees++) {
    const { stage, scenes } = await lagging(4, shape);
    const oids = [4, 5, 6, 7].map(oidAt);
    const commits: Promise<Tid>[] = [];
    for (const [nr, scene] of scenes.entries()) {
      const order = nr % 2 === 0 ? oids : oids.toReversed();
      const tx = await adding(stage, scene, order, 2 ** nr);
      stage.wires.hold(`c${nr + 1}`, nr % 2 === 0 ? "s2" : "s1");
      commits.push(tx.commit());
      await stage.pass(3);
    }
    const heard = (): number => stage.names.reduce((sum, name) => sum + stage.actor(name).heard.length, 0);
    const start = heard();
    for (const nr of scenes.keys()) stage.wires.free(`c${nr + 1}`, nr % 2 === 0 ? "s2" : "s1");
    await stage.until(() => heard() >= start + 5 * frees);
    stage.wires.free("s1", "s2");
    await stage.finish(Promise.all(commits));
    await stage.pass(FAILOVER_GRACE_MS);
    assert.equal(table(stage), "0: 2U 3U\n1: 2U 3U");
    for (const oid of oids) {
      assert.deepEqual(stage.names.map((name) => byteAt(stage, name, oid)), [15, 15], `after ${frees}`);
    }
    assertQuiet(stage);
  }
});

test("16.4/096 an object that is locked when its copy is readable already, while an older lockless write of another ends: both stay right", async () => {
  const { stage, scenes: [one, two] } = await lagging(2);
  const first = await adding(stage, one!, [X], 1);
  stage.wires.hold("c1", "m1");
  const commit = first.commit();
  await stage.run();
  stage.wires.free("s1", "s2");
  await stage.run();
  assert.equal(table(stage), "0: 2U 3U");
  assert.equal(timesHeard(stage, "m1", "told settled"), 0, "X is lockless there");
  const second = await adding(stage, two!, [Y], 10);
  stage.wires.hold("c2", "m1");
  const other = second.commit();
  await stage.run();
  stage.wires.free("c1", "m1");
  await stage.finish(commit);
  assert.equal(timesHeard(stage, "m1", "told settled"), 1, "Y is locked, and holds nothing up");
  stage.wires.free("c2", "m1");
  await stage.finish(other);
  for (const name of stage.names) assert.deepEqual([byteAt(stage, name, X), byteAt(stage, name, Y)], [1, 10]);
  assertQuiet(stage);
});

test("16.4/097 a copy's answer to a store that came before its conflict was resolved doesn't count for what comes after", async () => {
  const { stage, scenes: [one, two] } = await lagging(2);
  const resolving = summing();
  const tx = await adding(stage, one!, [X], 1, resolving.resolve);
  await stage.finish((await adding(stage, two!, [X], 10)).commit());
  stage.wires.hold("s2", "c1"); // "taken without a lock"
  const commit = tx.commit();
  await stage.run();
  assert.equal(
    bodiesOf(stage.storage("s2"), "store").filter(({ oid }) => oid === X).length,
    2,
    "theirs and ours",
  );
  stage.wires.free("s1", "s2");
  await stage.run(); // the copy is readable, and its vote of before isn't
  stage.wires.free("s2", "c1");
  await stage.finish(commit);
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.equal(table(stage), "0: 2U 3U");
  assert.deepEqual([byteAt(stage, "s1", X), byteAt(stage, "s2", X)], [11, 11]);
  assertQuiet(stage);
});

test("16.4/099 a conflict behind a write without a lock, and the copy becomes readable between: nothing stays, all is summed", async () => {
  const { stage, scenes: [one, two, three] } = await lagging(3);
  const [first, second] = [await adding(stage, one!, [X], 1), await adding(stage, two!, [X], 2)];
  await stage.finish((await adding(stage, three!, [X], 3)).commit());
  stage.wires.hold("s1", "c1");
  stage.wires.hold("s1", "c2");
  const commits = [first.commit(), second.commit()];
  await stage.run();
  stage.wires.free("s1", "s2");
  await stage.run();
  stage.wires.free("s1", "c1");
  stage.wires.free("s1", "c2");
  await stage.finish(Promise.all(commits));
  assert.equal(table(stage), "0: 2U 3U");
  assert.deepEqual([byteAt(stage, "s1", X), byteAt(stage, "s2", X)], [6, 6]);
  assertQuiet(stage);
});

test("16.4/100 a given tid that isn't above the last one is refused, the one above it is kept exactly", async () => {
  const { stage, scenes: [one] } = await opened(PAIR, 1);
  const last = await commitTexts(stage, one!, [[X, "before"]]);
  const restoration = await stage.finish(one!.client.restoring({ origin: "a test" }));
  const none = new Uint8Array();
  const restore = async (tid: bigint): Promise<void> => {
    restoration.begin({ tid: tid as Tid, status: " ", user: none, description: none, extension: none });
    await stage.finish(restoration.restore(Y, bytesOf("restored")));
    await stage.finish(restoration.commit());
  };
  for (const tid of [last - 1n, last]) await assert.rejects(restore(tid), { code: "tidTaken" });
  await restore(last + 1n);
  assert.equal(stage.master.machine.view.lastTid, last + 1n);
});

test("16.4/101 data that doesn't match its checksum is never given to a program: another copy is asked, or it fails", async () => {
  for (const replicas of [1, 0]) {
    const { stage, scenes: [one] } = await opened({ storages: replicas + 1, replicas, partitions: 1 }, 1);
    await commitTexts(stage, one!, [[X, "the value"]]);
    const { store } = stage.storage("s1");
    const read = store.read.bind(store);
    store.read = (query) => {
      const answer = read(query) as { revision?: { stored?: { data: Uint8Array } } };
      const { revision } = answer;
      if (!revision?.stored) return answer;
      const data = revision.stored.data.with(0, revision.stored.data[0]! ^ 1);
      return { ...answer, revision: { ...revision, stored: { ...revision.stored, data } } };
    };
    const snapshot = await stage.finish(one!.client.snapshot());
    const load = snapshot.load(X, { withinMs: 2_000 });
    load.catch(() => undefined); // looked at below
    await stage.pass(2_000);
    if (replicas > 0) assert.equal(textOf((await stage.finish(load))?.data), "the value");
    else await assert.rejects(load, /doesn't match its checksum/);
  }
});

test("16.4/076 oids go on behind what was committed when the cluster was lost", async () => {
  const { stage, scenes: [one] } = await opened(PAIR, 1);
  const [granted] = await stage.finish(one!.client.newOids(1));
  await commitTexts(stage, one!, [[granted!, "text"]]);
  for (const name of ["m1", ...stage.names]) stage.actor(name).kill();
  await stage.run();
  stage.startMaster();
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(STARTUP_GRACE_MS);
  const [next] = await stage.finish(one!.client.newOids(1));
  assert.ok(next! > granted!);
});
