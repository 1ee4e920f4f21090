/** The checkers bite: each mutant breaks one promise, and a seed notices: one that is known for it, or one of the first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mutants } from "./mutants/all.ts";
import { runSeed } from "./run.ts";

/** After a change of a role another seed may notice: these are tried then. `deno task sim --mutants` finds better ones. */
const SEEDS_MAX = 40;

for (const { breaks, mutate, noticed, seed, isRare = false, ...options } of mutants) {
  if (isRare) continue; // the long search looks for a seed
  test(`X2 the simulator notices that ${breaks}`, async () => {
    for (const one of [seed, ...Array.from({ length: SEEDS_MAX }, (_, i) => i + 1)]) {
      const { breaches } = (await runSeed(one, { mutant: mutate, ...options })).report;
      if (breaches.some((breach) => noticed.test(breach))) return;
    }
    assert.fail(
      `neither seed ${seed} nor the first ${SEEDS_MAX} notice: "deno task sim --mutants" looks for others`,
    );
  });
}
