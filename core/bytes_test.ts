import assert from "node:assert/strict";
import { test } from "node:test";
import { sameBytes } from "./bytes.ts";

test("sameBytes tells pieces apart by length and by each byte", () => {
  const one = Uint8Array.of(1, 2, 3);
  assert.equal(sameBytes(one, Uint8Array.of(1, 2, 3)), true);
  assert.equal(sameBytes(new Uint8Array(), new Uint8Array()), true);
  for (const other of [[], [1, 2], [1, 2, 3, 4], [0, 2, 3], [1, 2, 4]]) {
    assert.equal(sameBytes(one, Uint8Array.from(other)), false, String(other));
    assert.equal(sameBytes(Uint8Array.from(other), one), false, String(other));
  }
});
