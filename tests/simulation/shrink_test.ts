import assert from "node:assert/strict";
import { test } from "node:test";
import { mutants } from "./mutants/all.ts";
import { runSeed } from "./run.ts";
import { kindOf, numbersIn, rangesOf, shrink } from "./shrink.ts";

test("rangesOf() and numbersIn() say the same", () => {
  assert.equal(rangesOf([7, 1, 3, 2]), "1-3,7");
  assert.deepEqual(numbersIn("1-3,7"), [1, 2, 3, 7]);
  assert.deepEqual(numbersIn(rangesOf([])), []);
});

test("kindOf() is the same for other numbers and objects, and another for another breach", () => {
  const one = kindOf("c1: the pair 17,4 was read apart at 991: 1 a, 2 b");
  assert.equal(kindOf("c3: the pair 1,40 was read apart at 12: 10 a, 2 b"), one);
  assert.notEqual(kindOf("transaction 3 of c1 was acknowledged with tid 5, and isn't there"), one);
});

test("X2 shrink() leaves out what a failure doesn't need, and what is left fails alike", async () => {
  const { mutate } = mutants.find(({ breaks }) => breaks === "a sync is answered with an older tid")!;
  const seed = 6; // one that has struck before it fails
  const failed = (await runSeed(seed, { mutant: mutate })).report;

  const shrunk = await shrink(seed, failed, { mutant: mutate, limitMs: 20_000 });

  assert.ok(shrunk);
  const again = (await runSeed(seed, { ...shrunk.options, mutant: mutate })).report;
  assert.equal(kindOf(again.breaches[0]!), kindOf(failed.breaches[0]!));
  assert.ok(again.steps <= failed.steps);
  assert.ok(shrunk.strikes.length < failed.strikes, "this failure needs no fault");
});

test("A strike that is left out changes nothing about what the others draw", async () => {
  const { report } = await runSeed(11, { disturbedMs: 20_000 });
  const { report: other } = await runSeed(11, { disturbedMs: 20_000, without: new Set([report.strikes]) });
  const { report: none } = await runSeed(11, { disturbedMs: 20_000, without: new Set(numbersIn("1-500")) });

  assert.ok(other.strikes >= report.strikes);
  assert.deepEqual(none.faults, {});
});
