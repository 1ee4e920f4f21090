import assert from "node:assert/strict";
import { test } from "node:test";
import { countTests, failuresIn } from "./test_counts.ts";

const cases = [
  { output: "ok | 3 passed | 0 failed (8ms)", expected: [3, 0, 0] },
  {
    output: "FAILED | 12 passed (3 steps) | 2 failed (1 step) | 4 ignored (2 steps) (1s)",
    expected: [12, 2, 4],
  },
  {
    output: "\u001b[32mok\u001b[0m | 3 passed | 0 failed | 1 ignored \u001b[38;5;245m(8ms)\u001b[0m",
    expected: [3, 0, 1],
  },
  {
    output: "a ... ok (1ms)\nok | 3 passed | 0 failed\n\nok | 4 passed | 0 failed | 1 ignored",
    expected: [7, 0, 1],
  },
  { output: "ℹ tests 9\nℹ pass 4\nℹ fail 1\nℹ cancelled 2\nℹ skipped 1\nℹ todo 1\n", expected: [4, 3, 2] },
];
for (const { output, expected } of cases) {
  test(`countTests() reads ${expected} from ${JSON.stringify(output)}`, () => {
    const [passed, failed, skipped] = expected;

    assert.deepEqual(countTests(output), { passed, failed, skipped });
  });
}

test("countTests() knows nothing about output without a summary", () => {
  assert.equal(countTests("error: Type checking failed.\nlook | 3 passed | 0 failed"), undefined);
});

test("failuresIn() names tests that failed in Deno and in Node, each once", () => {
  const output = [
    "./a_test.ts => adds ... ok (1ms)",
    "./a_test.ts => says x ... FAILED (2ms)",
    "b says y ... \u001b[31mFAILED\u001b[0m (2ms)",
    "✔ fine (1.2ms)",
    "✖ not so fine (1.25ms)",
    "✖ failing tests:",
    "✖ not so fine (1.25ms)",
    "FAILED | 1 passed | 2 failed (3ms)",
  ].join("\n");
  assert.deepEqual(failuresIn(output), ["./a_test.ts => says x", "b says y", "not so fine"]);
});
