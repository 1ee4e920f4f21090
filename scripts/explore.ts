// deno-lint-ignore-file no-console
/**
 * Walks every order of events of the real machines in small worlds, nearest first.
 *
 *     deno task explore                              walks all worlds, each up to a million states
 *     deno task explore "primary changes"            walks that one
 *     deno task explore --states 10000000            goes further; a state takes about 100 bytes
 *     deno task explore --minutes 5                  stops after five minutes
 *     deno task explore --mutants                    looks for what breaks each mutant, and prints the shortest history
 *     deno task explore --list                       says which worlds there are
 *
 * Exit code 1: something that must hold doesn't (with its shortest history), or a mutant wasn't found.
 *
 * @module
 */

import { performance } from "node:perf_hooks";
import process from "node:process";
import { parseArgs } from "node:util";
import { build } from "../tests/explore/build.ts";
import type { Built } from "../tests/explore/build.ts";
import { loadRoles } from "../tests/explore/instrument.ts";
import type { Roles } from "../tests/explore/instrument.ts";
import { mutants } from "../tests/explore/mutants.ts";
import { walk } from "../tests/explore/walk.ts";
import type { Walked } from "../tests/explore/walk.ts";
import { worldNamed, worlds } from "../tests/explore/worlds.ts";

const STATES_DEFAULT = 1_000_000;
const MINUTE_MS = 60_000;

interface Options {
  readonly states: number;
  readonly untilMs: number;
}

function walkWithin(built: Built, { states, untilMs }: Options): Walked {
  return walk(built, { states, goOn: () => performance.now() < untilMs });
}

function countsOf(walked: Walked, built: Built, startMs: number): string {
  const { states, steps, depth, ends, cutOff, complete, fates } = walked;
  const rounds = built.world.nodes.reduce((sum, node) => sum + node.rounds, 0);
  const how = complete ? "complete" : walked.breach ? "broken" : "bounded";
  const all = [...fates].map(([fate, count]) => `${count} ${fate}`).join("; ");
  return `${how}: ${states} states, ${steps} steps, ${depth} deep, ${rounds} rounds of machines, `
    + `${((performance.now() - startMs) / 1_000).toFixed(1)} s; ${ends} ends (${all}), ${cutOff} that wait`;
}

function printBreach({ breach }: Walked): void {
  if (!breach) return;
  console.log(`  BROKEN: ${breach.what}`);
  breach.history.forEach((step, at) => console.log(`  ${at + 1}. ${step}`));
}

function walkWorlds(roles: Roles, names: readonly string[], options: Options): boolean {
  let isWell = true;
  for (const spec of names.length === 0 ? worlds : names.map(worldNamed)) {
    if (performance.now() >= options.untilMs) break;
    const startMs = performance.now();
    const built = build(roles, spec);
    const walked = walkWithin(built, options);
    console.log(`${spec.name}: ${countsOf(walked, built, startMs)}`);
    printBreach(walked);
    isWell &&= walked.breach === undefined;
  }
  return isWell;
}

function findMutants(roles: Roles, options: Options): boolean {
  let isWell = true;
  for (const mutant of mutants) {
    if (performance.now() >= options.untilMs) break;
    const startMs = performance.now();
    const spec = typeof mutant.world === "string" ? worldNamed(mutant.world) : mutant.world;
    const built = build(roles, spec, mutant);
    const walked = walkWithin(built, options);
    const isFound = walked.breach !== undefined && mutant.noticed.test(walked.breach.what);
    console.log(`${isFound ? "found" : "NOT FOUND"}: ${mutant.breaks}`);
    console.log(`  ${spec.name}: ${countsOf(walked, built, startMs)}`);
    printBreach(walked);
    isWell &&= isFound;
  }
  return isWell;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      states: { type: "string" },
      minutes: { type: "string" },
      mutants: { type: "boolean" },
      list: { type: "boolean" },
    },
  });
  if (values.list) {
    for (const { name, about } of worlds) console.log(`${name}: ${about}`);
    return;
  }
  const states = values.states === undefined ? STATES_DEFAULT : Number(values.states);
  const minutes = values.minutes === undefined ? Infinity : Number(values.minutes);
  if (!Number.isSafeInteger(states) || Number.isNaN(minutes)) {
    console.error("Cannot run: expected [WORLD]... [--states N] [--minutes M] [--mutants] [--list]");
    process.exitCode = 2;
    return;
  }
  const options = { states, untilMs: performance.now() + minutes * MINUTE_MS };
  const roles = await loadRoles();
  const isWell = values.mutants ? findMutants(roles, options) : walkWorlds(roles, positionals, options);
  if (!isWell) process.exitCode = 1;
}

if (import.meta.main) await main();
