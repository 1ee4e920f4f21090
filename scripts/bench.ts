// deno-lint-ignore-file no-console
/**
 * Measures how soon a cluster of real processes goes on after a loss, and what its databases cost, beside what the machine itself
 * needs.
 *
 *     deno task bench                       all parts: 10 runs each, and everything killed 50 times
 *     deno task bench storage --runs 3      one part, or several: primary, cutoff, storage, disk, all, databases, backup
 *
 * `--kills N` says how often everything is killed, `--json` prints one object instead. Exit code 1: a bound wasn't met, or
 * something acknowledged was lost. What this tree can't do yet is named and skipped.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { systemRandom } from "../adapters/system.ts";
import { lateOf, parts } from "../tests/soak/failover.ts";
import type { PartReport, Skipped } from "../tests/soak/failover.ts";
import { measureFloor, median } from "../tests/soak/floor.ts";
import { interrupted } from "./soak.ts";

const RUNS_DEFAULT = 10;
const KILLS_DEFAULT = 50;
/** Times below it are shown with decimals. */
const SMALL_MS = 10;
const SEED_MAX = 1_000_000;

function show(report: PartReport | Skipped): void {
  if ("skipped" in report) return console.log(`${report.name}\n  skipped: ${report.skipped}`);
  const { name, what, ms, boundMs, facts, breaches } = report;
  const bound = boundMs === undefined ? "" : `; ${boundMs} ms is the bound`;
  const shown = (value: number) => `${value.toFixed(value < SMALL_MS ? 2 : 0)} ms`;
  const times = ms.length === 0
    ? "never"
    : `median ${shown(median(ms))}, worst ${shown(Math.max(...ms))} of ${ms.length}${bound}`;
  console.log(`${name}\n  ${what}: ${times}`);
  for (const fact of facts) console.log(`  ${fact}`);
  for (const breach of [...breaches, ...lateOf(report)]) console.log(`  BROKEN: ${breach}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      runs: { type: "string" },
      kills: { type: "string" },
      seed: { type: "string" },
      json: { type: "boolean" },
    },
  });
  const runs = Number(values.runs ?? RUNS_DEFAULT);
  const kills = Number(values.kills ?? KILLS_DEFAULT);
  const seed = Number(values.seed ?? Math.floor(systemRandom().next() * SEED_MAX));
  const names = positionals.length > 0 ? positionals : Object.keys(parts);
  if (![runs, kills, seed].every(Number.isSafeInteger) || !names.every((name) => name in parts)) {
    const known = Object.keys(parts).join(", ");
    console.error(
      `Cannot run: expected [PART]... [--runs N] [--kills N] [--seed N] [--json], parts are ${known}`,
    );
    process.exitCode = 2;
    return;
  }
  const signal = interrupted();
  const floor = await measureFloor();
  const reports: (PartReport | Skipped)[] = [];
  if (!values.json) {
    console.log(`seed ${seed}`);
    console.log(
      `floor: TCP round trip ${floor.roundTripMs.toFixed(3)} ms, durable commit ${
        floor.commitMs.toFixed(2)
      } ms`,
    );
  }
  for (const name of names) {
    try {
      const say = values.json ? () => {} : (line: string) => console.error(line);
      const report = await parts[name]!({ seed, runs, kills, signal, say });
      reports.push(report);
      if (!values.json) show(report);
    } catch (error) {
      if (!signal.aborted) throw error;
      process.exit(130);
    }
  }
  if (values.json) console.log(JSON.stringify({ seed, floor, reports }));
  const isBroken = (report: PartReport | Skipped) =>
    !("skipped" in report) && report.breaches.length + lateOf(report).length > 0;
  process.exit(reports.some(isBroken) ? 1 : 0);
}

if (import.meta.main) await main();
