/**
 * Reads how many tests ran from what `deno test` and `node --test` print.
 *
 * @module
 */

/** Tests by outcome. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const DENO =
  /^(?:ok|FAILED) \| (\d+) passed(?: \([^)]*\))? \| (\d+) failed(?: \([^)]*\))?(?: \| (\d+) ignored)?/;
const NODE = /^ℹ (pass|fail|cancelled|skipped|todo) (\d+)$/;
const NODE_OUTCOMES: Readonly<Record<string, keyof TestCounts>> = {
  pass: "passed",
  fail: "failed",
  cancelled: "failed",
  skipped: "skipped",
  todo: "skipped",
};
/** Colours, in case somebody forced them. */
// deno-lint-ignore no-control-regex
const ESCAPES = /\x1b\[[\d;]*m/g;

/**
 * Adds up every summary in `output`; undefined if it holds none, for then nothing is known.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const counts = countTests("ok | 12 passed (3 steps) | 0 failed | 1 ignored (8ms)");
 * assert.deepEqual(counts, { passed: 12, failed: 0, skipped: 1 });
 * ```
 */
export function countTests(output: string): TestCounts | undefined {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  let summaries = 0;
  for (const line of output.replaceAll(ESCAPES, "").split(/\r?\n/)) {
    const deno = DENO.exec(line);
    const node = NODE.exec(line);
    if (deno === null && node === null) continue;
    summaries++;
    counts.passed += Number(deno?.[1] ?? 0);
    counts.failed += Number(deno?.[2] ?? 0);
    counts.skipped += Number(deno?.[3] ?? 0);
    const outcome = NODE_OUTCOMES[node?.[1] ?? ""];
    if (outcome !== undefined) counts[outcome] += Number(node?.[2]);
  }
  return summaries > 0 ? counts : undefined;
}

const DENO_FAILED = /^(.+) \.\.\. FAILED(?: \([^)]*\))?$/;
const NODE_FAILED = /^✖ (.+?)(?: \([\d.]+ms\))?$/;

/**
 * The titles of the tests that failed, each once: a log that is cut off in the middle still has them at its end.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * const output = "./a_test.ts => adds ... FAILED (3ms)\n✖ subtracts (0.5ms)";
 * assert.deepEqual(failuresIn(output), ["./a_test.ts => adds", "subtracts"]);
 * ```
 */
export function failuresIn(output: string): string[] {
  const lines = output.replaceAll(ESCAPES, "").split(/\r?\n/);
  const titles = lines.flatMap((line) => (DENO_FAILED.exec(line) ?? NODE_FAILED.exec(line))?.[1] ?? []);
  return [...new Set(titles)].filter((title) => title !== "failing tests:");
}
