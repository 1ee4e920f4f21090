// deno-lint-ignore-file no-console
/**
 * Runs the simulator: one seed with all that there is to say about it, or many.
 *
 *     deno task sim 4242              replays seed 4242; on failure prints the last steps
 *     deno task sim --seeds 2000      runs the seeds that failed once, then 1 to 2000, in two processes
 *     deno task sim 500 --seeds 100   runs 500 to 599
 *     deno task sim --hashes          writes the trace hashes that Deno and Node must both get
 *
 * `--json` prints one object instead, `--trace N` the last N steps in any case. Exit code 1: a seed failed.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runSeed } from "../tests/simulation/run.ts";
import type { SeedReport } from "../tests/simulation/run.ts";
import { hashesPath, knownSeeds } from "../tests/simulation/seeds.ts";

/** Fewer seeds aren't worth a second process. */
const SPLIT_MIN = 40;
const PROCESSES = 2;
/** A task that has no seed and no number of them. */
const SEEDS_DEFAULT = 200;
/** Seeds whose trace hashes the repository keeps. */
const HASHED = [1, 2, 3, 4, 5];
/** Steps that are printed of a seed that failed. */
const LINES_DEFAULT = 300;

type Counts = Record<string, number>;

/** What many seeds gave together. */
interface Summary {
  seeds: number;
  failed: { readonly seed: number; readonly breaches: readonly string[] }[];
  /** The fewest kinds of faults that hit work in flight in any seed. */
  kindsMin: number;
  hits: Counts;
  faults: Counts;
  commits: Counts;
  reads: number;
  simulatedMs: number;
  wallMs: number;
}

function emptySummary(): Summary {
  return {
    seeds: 0,
    failed: [],
    kindsMin: Infinity,
    hits: {},
    faults: {},
    commits: {},
    reads: 0,
    simulatedMs: 0,
    wallMs: 0,
  };
}

function addCounts(to: Counts, from: { readonly [name: string]: number | undefined }): void {
  for (const [name, count] of Object.entries(from)) to[name] = (to[name] ?? 0) + (count ?? 0);
}

function addReport(to: Summary, report: SeedReport): void {
  to.seeds += 1;
  if (report.breaches.length > 0) to.failed.push({ seed: report.seed, breaches: report.breaches });
  to.kindsMin = Math.min(to.kindsMin, Object.keys(report.hits).length);
  addCounts(to.hits, report.hits);
  addCounts(to.faults, report.faults);
  addCounts(to.commits, report.commits);
  to.reads += report.reads;
  to.simulatedMs += report.simulatedMs;
}

function merge(to: Summary, from: Summary): void {
  to.seeds += from.seeds;
  to.failed.push(...from.failed);
  to.kindsMin = Math.min(to.kindsMin, from.kindsMin);
  addCounts(to.hits, from.hits);
  addCounts(to.faults, from.faults);
  addCounts(to.commits, from.commits);
  to.reads += from.reads;
  to.simulatedMs += from.simulatedMs;
  to.wallMs = Math.max(to.wallMs, from.wallMs);
}

/** Runs seeds in this process. */
function runHere(seeds: readonly number[]): Summary {
  const summary = emptySummary();
  const start = performance.now();
  for (const seed of seeds) addReport(summary, runSeed(seed).report);
  summary.wallMs = Math.round(performance.now() - start);
  return summary;
}

/** Runs seeds in a process of their own. */
function runThere(from: number, count: number): Promise<Summary> {
  const script = fileURLToPath(import.meta.url);
  const options = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const args = [...options, script, String(from), "--seeds", String(count), "--json", "--here"];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => text += part);
    child.on("error", reject);
    child.on("close", () => {
      try {
        resolve(JSON.parse(text) as Summary);
      } catch (cause) {
        reject(
          new Error(`Cannot read what the process for seeds ${from} and up printed: ${text}`, { cause }),
        );
      }
    });
  });
}

async function runMany(from: number, count: number, here: boolean): Promise<Summary> {
  const range = (first: number, length: number) => Array.from({ length }, (_, i) => first + i);
  if (here) return runHere(range(from, count));
  if (count < SPLIT_MIN) return runHere([...knownSeeds(), ...range(from, count)]);
  const summary = runHere(knownSeeds());
  const part = Math.ceil(count / PROCESSES);
  const parts = range(0, PROCESSES).map((i) => runThere(from + i * part, Math.min(part, count - i * part)));
  for (const done of await Promise.all(parts)) merge(summary, done);
  return summary;
}

function printSummary({ seeds, failed, kindsMin, hits, commits, reads, simulatedMs, wallMs }: Summary): void {
  for (const { seed, breaches } of failed) {
    const more = breaches.length > 1 ? ` (and ${breaches.length - 1} more)` : "";
    console.log(`seed ${seed} failed: ${breaches[0]!.split("\n", 1)[0]}${more}`);
  }
  const all = Object.entries(hits).map(([kind, count]) => `${kind} ${count}`).join(", ");
  const work = Object.entries(commits).map(([fate, count]) => `${count} ${fate}`).join(", ");
  console.log(
    `${seeds - failed.length} seeds passed, ${failed.length} failed, in ${(wallMs / 1_000).toFixed(1)} s`,
  );
  console.log(`  ${(simulatedMs / 3_600_000).toFixed(1)} simulated hours; commits: ${work}; ${reads} reads`);
  console.log(`  faults that hit work in flight, at least ${kindsMin} kinds in each seed: ${all}`);
  if (failed.length > 0) console.log(`replay one: deno task sim ${failed[0]!.seed}`);
}

function runOne(seed: number, json: boolean, linesMax: number | undefined): boolean {
  const start = performance.now();
  const { report, trace } = runSeed(seed, { linesMax: linesMax ?? LINES_DEFAULT });
  const isFailed = report.breaches.length > 0;
  if (json) {
    console.log(JSON.stringify(report));
    return !isFailed;
  }
  if (isFailed) { for (const line of trace()) console.log(line); }
  const { breaches, ...facts } = report;
  for (const [name, value] of Object.entries(facts)) {
    console.log(`${name.padEnd(12)} ${JSON.stringify(value)}`);
  }
  for (const breach of breaches) console.log(`BROKEN: ${breach}`);
  const wall = `${(performance.now() - start).toFixed(0)} ms`;
  console.log(isFailed ? `seed ${seed} failed (${wall})` : `seed ${seed} passed (${wall})`);
  return !isFailed;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: "string" },
      trace: { type: "string" },
      json: { type: "boolean" },
      here: { type: "boolean" },
      hashes: { type: "boolean" },
    },
  });
  const seed = positionals[0] === undefined ? undefined : Number(positionals[0]);
  const count = values.seeds === undefined ? undefined : Number(values.seeds);
  const lines = values.trace === undefined ? undefined : Number(values.trace);
  if ([seed, count, lines].some((number) => number !== undefined && !Number.isSafeInteger(number))) {
    console.error("Cannot run: expected [SEED] [--seeds N] [--trace STEPS] [--json]");
    process.exitCode = 2;
    return;
  }
  if (seed !== undefined && count === undefined) {
    if (!runOne(seed, values.json ?? false, lines)) process.exitCode = 1;
    return;
  }
  if (values.hashes) {
    const hashes = Object.fromEntries(HASHED.map((seed) => [seed, runSeed(seed).report.hash]));
    return writeFileSync(hashesPath, `${JSON.stringify(hashes, undefined, 2)}\n`);
  }
  const summary = await runMany(seed ?? 1, count ?? SEEDS_DEFAULT, values.here ?? false);
  if (values.json) console.log(JSON.stringify(summary));
  else printSummary(summary);
  if (summary.failed.length > 0) process.exitCode = 1;
}

if (import.meta.main) await main();
