// deno-lint-ignore-file no-console
/**
 * Runs the simulator: one seed with all that there is to say about it, or many.
 *
 *     deno task sim 4242              replays seed 4242; a failure is made shorter, and its last steps are printed
 *     deno task sim --seeds 2000      runs the seeds that failed once, then 1 to 2000, in two processes
 *     deno task sim 500 --seeds 100   runs 500 to 599
 *     deno task sim --minutes 5       runs seeds that nobody has chosen for so long
 *     deno task sim --mutants         looks for seeds that notice each mutant, 500 at most; 500 --mutants begins at 500
 *     deno task sim --hashes          writes the trace hashes that Deno and Node must both get
 *
 * `--json` prints one object instead, `--trace N` the last N steps in any case; `--keep` notes the seeds that failed, to be
 * run first from then on. A history that was made shorter is replayed with what is printed for it:
 * `--without 1-5,8 --until MS --clients N --workers N`. Exit code 1: a seed failed, a mutant wasn't noticed, a seed had
 * faults of fewer than three kinds that hit work in flight, or, of 2,000 seeds and more, a point was reached in fewer than
 * ten, or fewer than 200,000 transactions were acknowledged.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutants } from "../tests/simulation/mutants/all.ts";
import type { RunOptions, SeedReport, SeedRun } from "../tests/simulation/report.ts";
import { runSeed } from "../tests/simulation/run.ts";
import { hashesPath, keepSeed, knownSeeds } from "../tests/simulation/seeds.ts";
import { numbersIn, rangesOf, shrink } from "../tests/simulation/shrink.ts";
import type { Shrunk } from "../tests/simulation/shrink.ts";
import { addReport, emptySummary, linesOf, merge, shortfallsOf } from "../tests/simulation/summary.ts";
import type { Summary } from "../tests/simulation/summary.ts";

/** Fewer seeds aren't worth a second process. */
const SPLIT_MIN = 40;
const PROCESSES = 2;
/** A task that has no seed and no number of them. */
const SEEDS_DEFAULT = 200;
/** Seeds that a mutant is given. */
const MUTANT_SEEDS = 500;
/** Seeds that nobody has chosen begin below this. */
const FRESH_MAX = 1_000_000_000;
/** Seeds whose trace hashes the repository keeps. */
const HASHED = [1, 2, 3, 4, 5];
/** Steps that are printed of a seed that failed. */
const LINES_DEFAULT = 300;
/** Time for making a history shorter. */
const SHRINK_MS = 30_000;

/** What was asked for. */
interface Wish {
  readonly seed: number | undefined;
  readonly seeds: number | undefined;
  readonly minutes: number | undefined;
  readonly lines: number | undefined;
  readonly part: number | undefined;
  readonly json: boolean;
  readonly keep: boolean;
  readonly options: RunOptions;
}

/** A mutant, and what became of it. */
interface Hunt {
  readonly breaks: string;
  readonly tries: number;
  readonly seed: number | undefined;
  readonly breach: string;
}

/** Runs seeds in this process, until the time is over. */
async function runHere(seeds: Iterable<number>, limitMs = Infinity): Promise<Summary> {
  const summary = emptySummary();
  const start = performance.now();
  for (const seed of seeds) {
    if (performance.now() > start + limitMs) break;
    addReport(summary, (await runSeed(seed)).report);
  }
  summary.wallMs = Math.round(performance.now() - start);
  return summary;
}

/** Runs a part of the work in a process of its own, and gives what it prints. */
function runThere<T>(args: readonly string[]): Promise<T> {
  const script = fileURLToPath(import.meta.url);
  const options = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  return new Promise((resolve, reject) => {
    const all = [...options, script, ...args, "--json", "--here"];
    const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => text += part);
    child.on("error", reject);
    child.on("close", () => {
      try {
        resolve(JSON.parse(text) as T);
      } catch (cause) {
        reject(new Error(`Cannot read what the process for "${args.join(" ")}" printed: ${text}`, { cause }));
      }
    });
  });
}

function range(first: number, length: number): number[] {
  return Array.from({ length }, (_, i) => first + i);
}

async function runMany(from: number, count: number, here: boolean): Promise<Summary> {
  if (here) return await runHere(range(from, count));
  if (count < SPLIT_MIN) return await runHere([...knownSeeds(), ...range(from, count)]);
  const summary = await runHere(knownSeeds());
  const part = Math.ceil(count / PROCESSES);
  const parts = range(0, PROCESSES).map((i) =>
    runThere<Summary>([String(from + i * part), "--seeds", String(Math.min(part, count - i * part))])
  );
  for (const done of await Promise.all(parts)) merge(summary, done);
  return summary;
}

async function runMinutes(from: number, minutes: number, here: boolean): Promise<Summary> {
  if (here) return await runHere(range(from, FRESH_MAX / 1_000), minutes * 60_000);
  const summary = emptySummary();
  const parts = range(0, PROCESSES).map((i) =>
    runThere<Summary>([String(from + i * (FRESH_MAX / 1_000)), "--minutes", String(minutes)])
  );
  for (const done of await Promise.all(parts)) merge(summary, done);
  return summary;
}

/** Looks for a seed that notices each mutant; of `PROCESSES` parts only one, or all. */
async function hunt(from: number, count: number, part: number | undefined): Promise<Hunt[]> {
  if (part === undefined) {
    const args = [String(from), "--mutants", "--seeds", String(count)];
    const parts = range(0, PROCESSES).map((i) => runThere<Hunt[]>([...args, "--part", String(i)]));
    return (await Promise.all(parts)).flat();
  }
  const hunts: Hunt[] = [];
  for (const [i, { breaks, mutate, noticed, seed: _known, ...options }] of mutants.entries()) {
    if (i % PROCESSES !== part) continue;
    let found: Hunt = { breaks, tries: count, seed: undefined, breach: "" };
    for (let seed = from; seed < from + count && found.seed === undefined; seed++) {
      const { breaches } = (await runSeed(seed, { mutant: mutate, ...options })).report;
      const breach = breaches.find((one) => noticed.test(one));
      if (breach === undefined || !(await isHealthy(seed, options))) continue;
      found = { breaks, tries: seed - from + 1, seed, breach: breach.split("\n")[0]! };
    }
    hunts.push(found);
    console.error(`${found.seed === undefined ? "NOT NOTICED" : `seed ${found.seed}`}: ${breaks}`);
  }
  return hunts;
}

/** Whether a seed passes without a mutant: what it notices is then the mutant's. */
async function isHealthy(
  seed: number,
  options: RunOptions,
): Promise<boolean> {
  return (await runSeed(seed, { mutant: () => {}, ...options })).report.breaches.length === 0;
}

function printHunts(hunts: readonly Hunt[]): void {
  for (const { breaks, tries, seed, breach } of hunts) {
    const how = seed === undefined
      ? `NOT NOTICED in ${tries} seeds`
      : `seed ${seed}, the ${tries}. that was tried`;
    console.log(`${breaks}\n    ${how}${breach === "" ? "" : `: ${breach.slice(0, 160)}`}`);
  }
}

function printShrunk(seed: number, { options, strikes, tries, run }: Shrunk): void {
  const { without, disturbedMs, clientsMax, workersMax } = options;
  const flags = [
    ...(without?.size ? [`--without ${rangesOf(without)}`] : []),
    `--until ${Math.ceil(disturbedMs!)}`,
    ...(clientsMax === undefined ? [] : [`--clients ${clientsMax}`]),
    ...(workersMax === undefined ? [] : [`--workers ${workersMax}`]),
  ];
  const { commits, steps } = run.report;
  const total = commits.acknowledged + commits.refused + commits.unknown;
  console.log(
    `shortest of ${tries} tries: ${total} commits, ${steps} steps, strikes ${strikes.join(", ") || "none"}`,
  );
  console.log(`replay it: deno task sim ${seed} ${flags.join(" ")}`);
}

function printReport({ breaches, points, ...facts }: SeedReport): void {
  for (const [name, value] of Object.entries(facts)) {
    console.log(`${name.padEnd(12)} ${JSON.stringify(value)}`);
  }
  console.log(`points       ${points.length}`);
  for (const breach of breaches) console.log(`BROKEN: ${breach}`);
}

async function runOne(seed: number, { json, lines, options }: Wish): Promise<boolean> {
  const start = performance.now();
  const linesMax = lines ?? LINES_DEFAULT;
  let run: SeedRun = await runSeed(seed, { ...options, linesMax });
  const { report } = run;
  const isFailed = report.breaches.length > 0;
  if (json) {
    console.log(JSON.stringify(report));
    return !isFailed;
  }
  const isWhole = Object.keys(options).length === 0;
  const shrunk = isFailed && isWhole ? await shrink(seed, report, { limitMs: SHRINK_MS }) : undefined;
  if (shrunk) run = await runSeed(seed, { ...shrunk.options, linesMax });
  if (isFailed || lines !== undefined) { for (const line of run.trace()) console.log(line); }
  printReport(report);
  if (shrunk) printShrunk(seed, shrunk);
  const wall = `${(performance.now() - start).toFixed(0)} ms`;
  console.log(isFailed ? `seed ${seed} failed (${wall})` : `seed ${seed} passed (${wall})`);
  return !isFailed;
}

async function writeHashes(): Promise<void> {
  const hashes: Record<string, string> = {};
  for (const seed of HASHED) hashes[seed] = (await runSeed(seed)).report.hash;
  writeFileSync(hashesPath, `${JSON.stringify(hashes, undefined, 2)}\n`);
}

async function runSome({ seed, seeds, minutes, json, keep }: Wish, here: boolean): Promise<boolean> {
  const summary = minutes === undefined
    ? await runMany(seed ?? 1, seeds ?? SEEDS_DEFAULT, here)
    : await runMinutes(seed ?? randomInt(FRESH_MAX), minutes, here);
  if (keep) { for (const { seed, breaches } of summary.failed) keepSeed(seed, breaches[0]!); }
  if (json) console.log(JSON.stringify(summary));
  else for (const line of linesOf(summary)) console.log(line);
  const [first] = summary.failed;
  if (first && !json) console.log(`replay one: deno task sim ${first.seed}`);
  return summary.failed.length === 0 && shortfallsOf(summary).length === 0;
}

const number = (
  text: string | undefined,
): number | undefined => (text === undefined ? undefined : Number(text));

async function main(): Promise<boolean> {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: text,
      minutes: text,
      trace: text,
      part: text,
      without: text,
      until: text,
      clients: text,
      workers: text,
      json: flag,
      keep: flag,
      here: flag,
      hashes: flag,
      mutants: flag,
    },
  });
  const [seed, seeds, minutes, lines, part, disturbedMs, clientsMax, workersMax] = [
    positionals[0],
    ...[
      values.seeds,
      values.minutes,
      values.trace,
      values.part,
      values.until,
      values.clients,
      values.workers,
    ],
  ].map(number);
  const given = { disturbedMs, clientsMax, workersMax };
  const options: RunOptions = {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...(values.without === undefined ? {} : { without: new Set(numbersIn(values.without)) }),
  };
  const { json = false, keep = false } = values;
  const wish: Wish = { seed, seeds, minutes, lines, part, json, keep, options };
  if ([seed, seeds, minutes, lines, part, disturbedMs, clientsMax, workersMax].some(Number.isNaN)) {
    console.error(
      "Cannot run: expected [SEED] [--seeds N] [--minutes M] [--mutants] [--trace STEPS] [--json]",
    );
    process.exitCode = 2;
    return true;
  }
  if (values.hashes) return await writeHashes().then(() => true);
  if (values.mutants) {
    const hunts = await hunt(seed ?? 1, seeds ?? MUTANT_SEEDS, part);
    if (wish.json) console.log(JSON.stringify(hunts));
    else printHunts(hunts);
    return hunts.every((one) => one.seed !== undefined);
  }
  if (seed !== undefined && seeds === undefined && minutes === undefined) return await runOne(seed, wish);
  return await runSome(wish, values.here ?? false);
}

if (import.meta.main && !(await main())) process.exitCode = 1;
