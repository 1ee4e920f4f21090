import assert from "node:assert/strict";
import { test } from "node:test";
import { SimRandom } from "./random.ts";
import { SimClock, World } from "./world.ts";

test("World runs tasks by time, those of one time in the order in which they were given", () => {
  const world = new World();
  const ran: string[] = [];
  const random = new SimRandom(1);
  const times = Array.from({ length: 300 }, () => random.int(0, 50));
  times.forEach((atMs, i) => world.at(atMs, () => ran.push(`${atMs}/${i}`)));

  world.runUntil(() => false, 1_000);

  const expected = times.map((atMs, i) => ({ atMs, i })).sort((a, b) => a.atMs - b.atMs || a.i - b.i);
  assert.deepEqual(ran, expected.map(({ atMs, i }) => `${atMs}/${i}`));
});

test("World keeps the tasks of a paused owner, and drops those of one that is gone", () => {
  const world = new World();
  const owner = { gone: false, pausedUntilMs: 0, slowMs: 0 };
  const ran: string[] = [];
  world.at(10, () => ran.push(`first ${world.nowMs}`), owner);
  world.at(20, () => ran.push(`second ${world.nowMs}`), owner);
  world.at(60, () => ran.push("never"), owner);
  owner.pausedUntilMs = 50;

  world.runUntil(() => false, 50);
  owner.gone = true;
  world.runUntil(() => false, 100);

  assert.deepEqual(ran, ["first 50", "second 50"]);
});

test("SimClock wakes once, at the last time that was asked for", () => {
  const world = new World();
  const clock = new SimClock(world, { gone: false, pausedUntilMs: 0, slowMs: 0 }, new SimRandom(2), 0);
  const start = clock.now().monoMs;
  const woken: number[] = [];
  const wake = () => woken.push(clock.now().monoMs - start);

  clock.wakeAt(start + 10, wake);
  clock.wakeAt(start + 30, wake);
  world.runUntil(() => false, 100);
  clock.wakeAt(start + 500, wake);
  clock.wakeAt(start + 150, wake);
  world.runUntil(() => false, 1_000);
  clock.wakeAt(start + 2_000, wake);
  clock.wakeAt(undefined, wake);
  world.runUntil(() => false, 3_000);

  assert.deepEqual(woken, [30, 150]);
});

test("SimClock's monotonic time never goes back when its wall clock jumps", () => {
  const world = new World();
  const clock = new SimClock(world, { gone: false, pausedUntilMs: 0, slowMs: 0 }, new SimRandom(3), 0);
  const before = clock.now();

  clock.skewMs -= 3_600_000;

  assert.equal(clock.now().monoMs, before.monoMs);
  assert.equal(clock.now().wallMs, before.wallMs - 3_600_000);
});

test("SimRandom draws the same numbers for one seed, and others for another label", () => {
  const draw = (random: SimRandom) => Array.from({ length: 5 }, () => random.int(0, 999));

  assert.deepEqual(draw(new SimRandom(7, "a")), draw(new SimRandom(7, "a")));
  assert.notDeepEqual(draw(new SimRandom(7, "a")), draw(new SimRandom(7, "b")));
  assert.deepEqual(draw(new SimRandom(7, "a")), [314, 9, 242, 489, 216]);
});

test("World lets each task of a slow owner keep it busy, and no other", () => {
  const world = new World();
  const owner = { gone: false, pausedUntilMs: 0, slowMs: 20 };
  const ran: string[] = [];
  for (const i of [1, 2, 3]) world.at(10, () => ran.push(`${i} at ${world.nowMs}`), owner);
  world.at(11, () => ran.push(`other at ${world.nowMs}`));

  world.runUntil(() => false, 1_000);

  assert.deepEqual(ran, ["1 at 10", "other at 11", "2 at 30", "3 at 50"]);
});

test("World.runAll() lets what waits for a promise go on before the next task", async () => {
  const world = new World();
  const ran: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  void promise.then(() => undefined).then(() => ran.push(`promise at ${world.nowMs}`));
  world.at(10, () => {
    world.owe();
    resolve();
  });
  world.at(11, () => ran.push(`task at ${world.nowMs}`));

  assert.equal(await world.runAll(() => ran.length === 2, 1_000), true);

  assert.deepEqual(ran, ["promise at 10", "task at 11"]);
});
