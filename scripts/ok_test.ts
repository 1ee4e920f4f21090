import assert from "node:assert/strict";
import { test } from "node:test";
import { resultOf } from "./ok.ts";

const cases = [
  { output: "Checked 2 files", exitCode: 0, failed: 0, summary: "ok" },
  { output: "Found 1 not formatted file.", exitCode: 20, failed: 1, summary: "FAILED" },
  { output: "", exitCode: null, failed: 1, summary: "FAILED" }, // killed by a signal
  { output: "ok | 3 passed | 0 failed", exitCode: 0, failed: 0, summary: "3 passed, 0 failed" },
  { output: "FAILED | 3 passed | 2 failed", exitCode: 1, failed: 2, summary: "3 passed, 2 failed" },
  {
    output: "ok | 3 passed | 0 failed | 2 ignored",
    exitCode: 0,
    failed: 0,
    summary: "3 passed, 0 failed, 2 skipped",
  },
  // A leak, or a file that doesn't load: every test passed, the run did not.
  { output: "ok | 3 passed | 0 failed", exitCode: 1, failed: 1, summary: "3 passed, 1 failed" },
];
for (const { output, exitCode, failed, summary } of cases) {
  test(`resultOf() is "${summary}" for "${output}" with exit code ${exitCode}`, () => {
    const result = resultOf("check", output, exitCode);

    assert.equal(result.counts.failed, failed);
    assert.equal(result.summary, summary);
  });
}
