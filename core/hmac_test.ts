import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { test } from "node:test";
import { hmac, sameCode } from "./hmac.ts";

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};
const hexOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

test("hmac() is that of RFC 4231, test cases 1 and 2", () => {
  const one = hmac(sha256, new Uint8Array(20).fill(0x0b), new TextEncoder().encode("Hi There"));
  const two = hmac(
    sha256,
    new TextEncoder().encode("Jefe"),
    new TextEncoder().encode("what do ya want "),
    new TextEncoder().encode("for nothing?"),
  );
  assert.equal(hexOf(one), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  assert.equal(hexOf(two), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
});

test("hmac() agrees with the platform's for keys and texts of any length", () => {
  for (let length = 0; length <= 64; length++) {
    const key = new Uint8Array(randomBytes(length));
    const text = new Uint8Array(randomBytes(3 * length));
    const expected = new Uint8Array(createHmac("sha256", key).update(text).digest());
    assert.deepEqual(hmac(sha256, key, text), expected, `length ${length}`);
  }
  assert.throws(() => hmac(sha256, new Uint8Array(65), new Uint8Array()), RangeError);
});

test("sameCode() sees each bit and the length", () => {
  const code = new Uint8Array([1, 2, 3]);
  assert.ok(sameCode(code, new Uint8Array([1, 2, 3])));
  assert.ok(!sameCode(code, new Uint8Array([1, 2])));
  for (let bit = 0; bit < 24; bit++) {
    const other = code.slice();
    other[bit >> 3]! ^= 1 << (bit & 7);
    assert.ok(!sameCode(code, other), `bit ${bit}`);
  }
});
