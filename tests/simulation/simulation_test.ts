/** The short form of the simulator, for every run of the tests; `deno task sim --seeds N` is the long one. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runSeed } from "./run.ts";
import { hashesPath, knownSeeds } from "./seeds.ts";

const SEEDS = 120;

async function check(seed: number): Promise<void> {
  const { breaches, hits } = (await runSeed(seed)).report;
  assert.deepEqual(breaches, [], `seed ${seed}: replay it with "deno task sim ${seed}"`);
  assert.ok(Object.keys(hits).length >= 3, `seed ${seed}: faults of three kinds hit work in flight`);
}

test(`X2 ${SEEDS} seeds keep every promise, with faults of three kinds or more in each`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await check(seed);
});

test("X2 seeds that failed once pass", async () => {
  for (const seed of knownSeeds()) await check(seed);
});

test("X2 one seed gives one history", async () => {
  const [first, second] = [(await runSeed(11)).report, (await runSeed(11)).report];

  assert.deepEqual(second, first);
  assert.notEqual((await runSeed(12)).report.hash, first.hash);
});

test("X2 a seed's trace hash is the same in every runtime", async () => {
  const expected: { readonly [seed: string]: string } = JSON.parse(readFileSync(hashesPath, "utf8"));

  const actual: Record<string, string> = {};
  for (const seed of Object.keys(expected)) actual[seed] = (await runSeed(Number(seed))).report.hash;

  assert.deepEqual(actual, expected, 'after a change of a role: "deno task sim --hashes" writes them anew');
});
