// deno-lint-ignore-file no-console
/**
 * Measures what a cluster costs that has nothing to do (T10): a master, two storages and an admin, each a process.
 * Ends with 1 when all of them together use half a percent of a core or more.
 *
 *     deno task idle
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { SystemClock } from "../adapters/system.ts";
import { readConfig } from "../cli/config.ts";
import { readPidFile } from "../cli/pid_file.ts";

const MEASURE_MS = 30_000;
/** V8 cleans up behind a start, in several steps and for up to half a minute. */
const SETTLE_MS = 30_000;
const PERCENT_MAX = 0.5;
/** Linux counts processor time in these, whatever its kernel's own tick is. */
const TICKS_PER_SECOND = 100;

/** Processor time that a process has used: the sum of fields 14 and 15 of its `stat`, in ticks. */
export function ticksOf(stat: string): number {
  // The second field is the program's name in brackets and may hold anything; the third comes after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Percent of one core that `ticks` are of a time. */
export function percentOf(ticks: number, ms: number): number {
  return (100 * ticks) / TICKS_PER_SECOND / (ms / 1000);
}

function neo(...args: string[]): void {
  const main = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
  const command = ["run", "-A", "--quiet", main, ...args];
  const { status, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot run neo ${args.join(" ")}: ${stderr}`);
}

function wait(ms: number): Promise<void> {
  const clock = new SystemClock({ keepsProcess: true });
  return new Promise((wake) => clock.wakeAt(clock.now().monoMs + ms, wake));
}

async function measure(folder: string): Promise<number> {
  const clock = new SystemClock();
  const nodes = readConfig(folder).nodes.map((node) => ({ name: node.name, pid: readPidFile(node)?.pid }));
  const ticks = () => nodes.map(({ pid }) => ticksOf(readFileSync(`/proc/${pid}/stat`, "utf8")));
  await wait(SETTLE_MS);
  const [before, beganMs] = [ticks(), clock.now().monoMs];
  await wait(MEASURE_MS);
  const [after, endedMs] = [ticks(), clock.now().monoMs];
  const used = nodes.map((_, index) => percentOf(after[index]! - before[index]!, endedMs - beganMs));
  nodes.forEach(({ name }, index) => console.log(`${name.padEnd(8)}${used[index]!.toFixed(2)} % of a core`));
  return used.reduce((sum, percent) => sum + percent, 0);
}

async function main(): Promise<void> {
  if (process.platform !== "linux") {
    return console.log("skipped: needs /proc, which tells what processes use");
  }
  const parent = mkdtempSync(join(tmpdir(), "neo-idle-"));
  const folder = join(parent, "idle");
  try {
    neo("init", folder, "--storages", "2", "--replicas", "1");
    neo("start", "--cluster", folder);
    try {
      const percent = await measure(folder);
      console.log(`${"all".padEnd(8)}${percent.toFixed(2)} % of a core; ${PERCENT_MAX} % is the bound`);
      if (percent >= PERCENT_MAX) process.exitCode = 1;
    } finally {
      neo("stop", "--cluster", folder);
    }
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

if (import.meta.main) await main();
