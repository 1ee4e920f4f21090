import assert from "node:assert/strict";
import { test } from "node:test";
import { majorOf } from "./node_tests.ts";

test("majorOf() reads what node --version prints, and nothing from anything else", () => {
  assert.deepEqual(["v24.21.0\n", "v8.0.0", "", "24.21.0", "deno 2.9.6"].map(majorOf), [
    24,
    8,
    undefined,
    undefined,
    undefined,
  ]);
});
