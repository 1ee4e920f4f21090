/**
 * Two transactions that hold what the other one wants. The older goes first; the younger's client is asked to give its
 * lock there up (`relock`), and then resolves what the older one changed, once, in whatever order its storages answer.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import type { Transaction } from "../../roles/client/transaction.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { adding, connectCaching, connectWarm, summing, timesHeard, timesSaid, valuesOf } from "./kit.ts";
import type { Scene } from "./kit.ts";

/** Object A lives in s1 only, B in s2 only. */
const APART = { storages: 2, replicas: 0, partitions: 2 };
const [A, B] = [oidAt(2), oidAt(3)];
/** Object X lives in both. */
const PAIR = { storages: 2, replicas: 1, partitions: 1 };
const X = oidAt(5);
const MIB = 1024 * 1024;

/** c1 (older) adds 1 to A and holds it, c2 adds 10 to B and holds it; what each wants besides is on its way. */
interface Crossed {
  readonly stage: Stage;
  readonly older: Scene;
  readonly younger: Scene;
  readonly resolving: ReturnType<typeof summing>;
  readonly commits: readonly [Promise<Tid>, Promise<Tid>];
}

async function crossed(cacheBytes = 0): Promise<Crossed> {
  const stage = await new Stage(APART).open();
  const older = await connectWarm(stage, "c1", cacheBytes);
  const younger = await connectWarm(stage, "c2", cacheBytes);
  const resolving = summing();
  const first = await adding(stage, older, [A, B], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [B, A], 10, resolving.resolve);
  stage.wires.hold("c1", "s2");
  stage.wires.hold("c2", "s1");
  const commits = [first.commit(), second.commit()] as const;
  await stage.run();
  return { stage, older, younger, resolving, commits };
}

/** Both have committed, the older first; the younger was told of its conflicts once, and resolved each once. */
async function settled({ stage, older, younger, resolving, commits }: Crossed): Promise<void> {
  const atMs = stage.time.nowMs;
  const tids = await stage.finish(Promise.all(commits));
  assert.ok(tids[0]! < tids[1]!, "the older goes first");
  assert.equal(stage.time.nowMs, atMs, "nobody waits for a deadline");
  assert.deepEqual(conflictsOf(older), []);
  assert.deepEqual(conflictsOf(younger), [[A, B]], "one conflict, told whole");
  const resolved = resolving.conflicts.map(({ oid, savedTid }) => [oid, savedTid]);
  assert.deepEqual(resolved.sort(), [[A, tids[0]], [B, tids[0]]].sort(), "each resolved once");
  assert.equal(timesSaid(stage, "s1", "tell deadlock"), 0, "who waits for an older one isn't told");
  assert.equal(timesSaid(stage, "s2", "tell deadlock"), 1);
  assert.deepEqual([timesHeard(stage, "s1", "told relock"), timesHeard(stage, "s2", "told relock")], [0, 1]);
  const cold = await connectCaching(stage, "c9", 0);
  for (const each of [older, younger, cold]) assert.deepEqual(await valuesOf(stage, each, [A, B]), [11, 11]);
  for (const name of stage.names) assert.equal(stage.storage(name).machine.load.transactions, 0);
}

/** The objects of each conflict that a client's program was told of. */
function conflictsOf({ outputs }: Scene): Oid[][] {
  return outputs.flatMap((output) =>
    output.type === "conflict" ? [output.conflicts.map(({ oid }) => oid).sort()] : []
  );
}

/** Stores that a storage took in and hasn't answered; none was refused yet. */
function delayed(stage: Stage, name: string): number {
  return timesHeard(stage, name, "asked store") - timesSaid(stage, name, "answer store");
}

for (const cacheBytes of [0, MIB]) {
  test(`16.1/014 of two that hold what the other wants the older goes first, both commit (cache: ${cacheBytes})`, async () => {
    const scene = await crossed(cacheBytes);
    const { stage } = scene;
    assert.deepEqual([delayed(stage, "s1"), delayed(stage, "s2")], [0, 0]);
    stage.wires.hold("s2", "c2"); // the notice
    stage.wires.free("c1", "s2");
    stage.wires.free("c2", "s1");
    await stage.run();
    assert.deepEqual([delayed(stage, "s1"), delayed(stage, "s2")], [1, 1], "two delays");
    assert.deepEqual([timesSaid(stage, "s1", "refuse conflict"), timesSaid(stage, "s2", "refuse conflict")], [
      0,
      0,
    ]);
    stage.wires.free("s2", "c2");
    await settled(scene);
  });
}

test("16.1/014 however many older ones wait for an object, its holder is told once; they go in the order of their age", async () => {
  const stage = await new Stage(PAIR).open();
  const scenes: Scene[] = [];
  for (const name of ["c1", "c2", "c3", "c4"]) scenes.push(await connectWarm(stage, name));
  const transactions: Transaction[] = [];
  for (const [at, scene] of scenes.entries()) {
    transactions.push(await adding(stage, scene, [X], 2 ** at));
    await stage.pass(5);
  }
  stage.wires.hold("s1", "c4"); // its votes, and what it is told
  stage.wires.hold("s2", "c4");
  const commits: Promise<Tid>[] = [];
  for (const tx of transactions.toReversed()) {
    commits.unshift(tx.commit());
    await stage.run();
  }
  for (const name of stage.names) {
    assert.equal(delayed(stage, name), 3);
    assert.equal(timesSaid(stage, name, "tell deadlock"), 1);
  }
  for (const name of stage.names) stage.wires.free(name, "c4");
  const tids = await stage.finish(Promise.all(commits));
  assert.deepEqual(tids, [...tids].sort((a, b) => (a < b ? -1 : 1)), "the oldest first");
  assert.deepEqual(await valuesOf(stage, scenes[0]!, [X]), [15]);
});

test("16.1/015 the answer to a relock comes after the conflict of the other storage: both are resolved once", async () => {
  const scene = await crossed();
  const { stage, commits, resolving } = scene;
  stage.wires.free("c1", "s2");
  stage.wires.free("c2", "s1");
  await stage.until(() => timesHeard(stage, "c2", "told deadlock") === 1);
  stage.wires.hold("s2", "c2"); // what it says to the relock
  await stage.finish(commits[0]);
  assert.equal(timesSaid(stage, "s2", "refuse conflict"), 1, "it was said");
  assert.ok(timesHeard(stage, "c2", "failed vote") === 1, "and only the other one was heard");
  assert.deepEqual(resolving.conflicts, [], "which is kept until all have answered");
  stage.wires.free("s2", "c2");
  await settled(scene);
});

test("16.1/016 the conflict of a store comes after the answer to the relock: both are resolved once", async () => {
  const scene = await crossed();
  const { stage, commits, resolving } = scene;
  stage.wires.hold("s1", "c2"); // what it says to the store
  stage.wires.free("c1", "s2");
  stage.wires.free("c2", "s1");
  await stage.finish(commits[0]);
  assert.ok(timesSaid(stage, "s1", "refuse conflict") > 0, "it was said");
  assert.equal(timesHeard(stage, "c2", "failed vote"), 1, "and only the relock's was heard");
  assert.deepEqual(resolving.conflicts, []);
  stage.wires.free("s1", "c2");
  await settled(scene);
});

/** c2 holds X on both copies and waits for its vote of s1, or for nothing; c1, older, wants it. */
async function wanted(): Promise<Crossed> {
  const stage = await new Stage(PAIR).open();
  const [older, younger] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  const resolving = summing();
  const first = await adding(stage, older, [X], 1);
  await stage.pass(5);
  const second = await adding(stage, younger, [X], 10, resolving.resolve);
  stage.wires.hold("s1", "c2");
  const late = second.commit();
  await stage.run();
  return { stage, older, younger, resolving, commits: [first.commit(), late] };
}

test("16.1/015 a copy whose notice and answers come late: its object is resolved once, against what is newest", async () => {
  const { stage, older, younger, resolving, commits } = await wanted();
  await stage.run();
  assert.equal(timesHeard(stage, "s2", "told relock"), 1, "one copy is given up");
  assert.equal(timesHeard(stage, "s1", "told relock"), 0, "the other one's notice is on its way");
  stage.wires.free("s1", "c2");
  await stage.until(() => timesHeard(stage, "s1", "told relock") === 1);
  stage.wires.hold("s1", "c2");
  const tid = await stage.finish(commits[0]);
  assert.deepEqual(resolving.conflicts, [], "one copy has told its conflict; the other one is waited for");
  stage.wires.free("s1", "c2");
  await stage.finish(commits[1]);
  assert.deepEqual(resolving.conflicts.map(({ savedTid }) => savedTid), [tid]);
  assert.deepEqual([conflictsOf(older), conflictsOf(younger)], [[], [[X]]]);
  assert.deepEqual(await valuesOf(stage, older, [X]), [11]);
});

test("16.1/016 a notice that comes when its conflict is resolved: the older goes first, each change is resolved once", async () => {
  const stage = await new Stage(PAIR).open();
  const [older, younger, fast] = [
    await connectWarm(stage, "c1"),
    await connectWarm(stage, "c2"),
    await connectWarm(stage, "c3"),
  ];
  const first = await adding(stage, older, [X], 1);
  await stage.pass(5);
  const gate = Promise.withResolvers<void>();
  const resolving = summing();
  const second = await adding(stage, younger, [X], 10, async (conflict) => {
    const resolved = await resolving.resolve(conflict);
    await gate.promise;
    return resolved;
  });
  const fastest = await stage.finish((await adding(stage, fast, [X], 100)).commit());
  const late = second.commit();
  await stage.run();
  assert.equal(resolving.conflicts.length, 1, "its program resolves, its locks stay");
  stage.wires.hold("s1", "c2");
  const early = first.commit();
  await stage.run();
  assert.equal(timesHeard(stage, "s2", "told relock"), 1);
  gate.resolve(); // stores the result: at s1 under its own lock, at s2 behind the older one
  await stage.run();
  assert.equal(timesHeard(stage, "s1", "told relock"), 0);
  stage.wires.free("s1", "c2"); // the notice, then the answers to what was resolved
  const tids = await stage.finish(Promise.all([early, late]));
  assert.ok(tids[0]! < tids[1]!);
  assert.deepEqual(resolving.conflicts.map(({ savedTid }) => savedTid), [fastest, tids[0]]);
  assert.deepEqual(await valuesOf(stage, fast, [X]), [111]);
});
