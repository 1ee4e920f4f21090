/** The checkers bite: each mutant breaks one promise, and some seed must notice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mutants } from "./mutants.ts";
import { runSeed } from "./run.ts";

/** Seeds that a mutant is given before it counts as unnoticed. */
const SEEDS_MAX = 60;

for (const { breaks, mutate, noticed } of mutants) {
  test(`X2 the simulator notices that ${breaks}`, () => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { breaches } = runSeed(seed, { mutant: mutate }).report;
      if (breaches.some((breach) => noticed.test(breach))) return;
    }
    assert.fail(`no checker noticed within ${SEEDS_MAX} seeds`);
  });
}
