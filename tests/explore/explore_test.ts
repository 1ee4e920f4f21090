/** The short form: small worlds to their ends, and the mutants that are found soon. `deno task explore` is the long one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "./build.ts";
import { breachOf, endBreachOf } from "./checkers.ts";
import { loadRoles } from "./instrument.ts";
import { mutants } from "./mutants.ts";
import { walk } from "./walk.ts";
import { worldNamed } from "./worlds.ts";

/** Worlds, and how many states they have at least: fewer would mean that something doesn't happen any more. */
const SMALL: readonly (readonly [name: string, statesMin: number])[] = [
  ["alone", 50],
  ["same", 3_000],
  ["crossed", 3_000],
  ["apart", 3_000],
  ["checked", 4_000],
  ["client's line breaks", 300],
  ["primary's line breaks", 4_000],
  ["copy catches up", 8_000],
  ["copy is added", 2_000],
  ["held later", 50_000],
  ["one copy, another primary", 5_000],
];
const STATES_MAX = 100_000;
/** Mutants that need more states are left to the long form. */
const MUTANT_STATES_MAX = 15_000;

for (const [name, statesMin] of SMALL) {
  test(`X2 every order of events keeps every promise: ${worldNamed(name).about}`, async () => {
    const built = build(await loadRoles(), worldNamed(name));

    const { breach, complete, states, ends } = walk(built, { states: STATES_MAX });

    assert.deepEqual(breach, undefined);
    assert.ok(complete, `all of its states are within ${STATES_MAX}`);
    assert.ok(states >= statesMin, `${states} states`);
    assert.ok(ends > 0);
  });
}

for (const mutant of mutants.filter(({ isLong }) => !isLong)) {
  test(`X2 some order of events shows that ${mutant.breaks}`, async () => {
    const roles = await loadRoles();
    const spec = typeof mutant.world === "string" ? worldNamed(mutant.world) : mutant.world;

    const { breach } = walk(build(roles, spec, mutant), { states: MUTANT_STATES_MAX });

    assert.match(breach?.what ?? "nothing was found", mutant.noticed);
    const { world, start } = build(roles, { ...spec, path: breach!.history }, mutant);
    const again = [breachOf(world, spec, start), endBreachOf(world, spec, start)];
    assert.ok(again.includes(breach!.what), "its history alone leads there as well");
  });
}
