import assert from "node:assert/strict";
import { test } from "node:test";
import { runSeed } from "./run.ts";
import { allPoints, POINT_NAMES } from "./sometimes/points.ts";
import { addReport, emptySummary, linesOf, merge, missedPoints, shortfallsOf } from "./summary.ts";

test("Points have names of their own, one for each row of the failure matrix that can be met", () => {
  assert.equal(new Set(POINT_NAMES).size, POINT_NAMES.length);
  assert.ok(POINT_NAMES.length >= 60);
  assert.ok(allPoints.filter(({ of }) => of.startsWith("5.8")).length >= 16);
});

test("missedPoints() names what fewer than ten of 2,000 seeds have reached", () => {
  const [rare, never, ...others] = POINT_NAMES;
  const summary = emptySummary();
  summary.seeds = 2_000;
  for (const name of others) summary.points[name] = 10;
  summary.points[rare!] = 9;

  assert.deepEqual(missedPoints(summary), [rare, never]);
  assert.deepEqual(missedPoints({ ...summary, seeds: 1_999 }), []);
});

test("shortfallsOf() says that too little was committed, or that faults hit too little", () => {
  const summary = { ...emptySummary(), seeds: 2_000, kindsMin: 3, commits: { acknowledged: 200_000 } };
  for (const name of POINT_NAMES) summary.points[name] = 10;

  assert.deepEqual(shortfallsOf(summary), []);
  assert.match(shortfallsOf({ ...summary, commits: { acknowledged: 199_999 } }).join(), /^only 199999/);
  assert.match(shortfallsOf({ ...summary, kindsMin: 2 }).join(), /^a seed had faults of only 2 kinds/);
  assert.deepEqual(shortfallsOf({ ...summary, seeds: 1_999, commits: {} }), []);
});

test("Summaries of parts add up to that of all", async () => {
  const [all, ...parts] = [emptySummary(), emptySummary(), emptySummary()];
  for (const seed of [1, 2, 3]) {
    const { report } = await runSeed(seed);
    addReport(all!, report);
    addReport(parts[seed % 2]!, report);
  }
  const [joined] = parts;
  merge(joined!, parts[1]!);

  assert.deepEqual(joined, all);
  assert.match(linesOf(all!).join("\n"), /^3 seeds passed, 0 failed/);
});
