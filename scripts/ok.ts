// deno-lint-ignore-file no-console
/**
 * Runs tasks one after the other, all of them even if one fails, and ends with `N passed, N failed`. That
 * line counts tests; a check without tests counts only when it fails.
 *
 *     deno task ok             everything a change must pass
 *     deno task ok test:node   the same, and the tests under Node too
 *
 * @module
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { countTests, failuresIn, type TestCounts } from "./test_counts.ts";

interface Result {
  readonly task: string;
  readonly counts: TestCounts;
  /** For the overview: `ok`, `FAILED` or the counts. */
  readonly summary: string;
  /** Titles of tests that failed. */
  readonly failures: readonly string[];
}

/** Counts what a task did: one that fails without naming a failed test is a failure itself. */
export function resultOf(task: string, output: string, exitCode: number | null): Result {
  const counted = countTests(output);
  const { passed, failed, skipped } = counted ?? { passed: 0, failed: 0, skipped: 0 };
  const counts = { passed, failed: exitCode === 0 ? failed : Math.max(failed, 1), skipped };
  const numbers = `${passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  const summary = counted ? numbers : exitCode === 0 ? "ok" : "FAILED";
  return { task, counts, summary, failures: exitCode === 0 ? [] : failuresIn(output) };
}

/** Shows what the task prints as it comes, and keeps it to be counted. */
async function run(task: string): Promise<Result> {
  console.log(`\n== ${task}`);
  const child = spawn(process.execPath, ["task", "--quiet", task], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
    from.setEncoding("utf8");
    from.on("data", (text: string) => {
      output += text;
      to.write(text);
    });
  }
  const [exitCode] = await once(child, "close");
  return resultOf(task, output, exitCode);
}

async function main(tasks: readonly string[]): Promise<void> {
  const results: Result[] = [];
  for (const task of tasks) results.push(await run(task));
  const sum = (outcome: keyof TestCounts) =>
    results.reduce((total, { counts }) => total + counts[outcome], 0);

  console.log("\n== Overview");
  for (const { task, summary } of results) console.log(`${task.padEnd(12)}${summary}`);
  for (const { task, failures } of results) {
    for (const title of failures) console.log(`${task} failed: ${title}`);
  }
  if (sum("skipped") > 0) console.log(`${sum("skipped")} skipped, for the reasons printed above`);
  console.log(`\n${sum("passed")} passed, ${sum("failed")} failed`);
  if (sum("failed") > 0) process.exitCode = 1;
}

if (import.meta.main) await main(process.argv.slice(2));
