/** HMAC (RFC 2104) of a digest with blocks of 64 bytes, as SHA-256 is: who has the key made it. */
import type { Digest } from "./ports.ts";

const BLOCK_BYTES = 64;

/**
 * The code of `parts`, one behind the other; as long as the digest.
 *
 * @param key at most 64 bytes
 * @throws RangeError when the key is longer
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { createHash } from "node:crypto";
 * import { hmac } from "./hmac.ts";
 * const sha256 = (...parts: readonly Uint8Array[]) => {
 *   const hash = createHash("sha256");
 *   for (const part of parts) hash.update(part);
 *   return new Uint8Array(hash.digest());
 * };
 * const text = new TextEncoder();
 * const code = hmac(sha256, text.encode("key"), text.encode("what "), text.encode("is said"));
 * assert.equal(code.length, 32);
 * assert.deepEqual(code, hmac(sha256, text.encode("key"), text.encode("what is said")));
 * ```
 */
export function hmac(digest: Digest, key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  if (key.length > BLOCK_BYTES) {
    throw new RangeError(
      `Cannot use a key of ${key.length} bytes: ${BLOCK_BYTES} is the limit; digest it first`,
    );
  }
  const inner = new Uint8Array(BLOCK_BYTES).fill(0x36);
  const outer = new Uint8Array(BLOCK_BYTES).fill(0x5c);
  for (const [index, byte] of key.entries()) {
    inner[index]! ^= byte;
    outer[index]! ^= byte;
  }
  return digest(outer, digest(inner, ...parts));
}

/** Whether two codes are the same, in a time that doesn't tell where they differ. */
export function sameCode(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (const [index, byte] of one.entries()) difference |= byte ^ other[index]!;
  return difference === 0;
}
