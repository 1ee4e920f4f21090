/** Bytes compared. */

/**
 * Whether two pieces of bytes are the same.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { sameBytes } from "./bytes.ts";
 * assert.equal(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true);
 * assert.equal(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1)), false);
 * ```
 */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
