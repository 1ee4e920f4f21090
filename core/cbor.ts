/** CBOR for what is kept, not sent: images and log entries. Messages have `codec.ts`. */
import { decode, encode } from "cborg";
import { MalformedError } from "./errors.ts";

/** A value of arrays, texts, bytes and integers as bytes; always the same for the same value. */
export function toCbor(value: unknown): Uint8Array {
  return encode(value);
}

/**
 * The value in `bytes`.
 *
 * @param what what it is, for the error
 * @throws MalformedError when it is no CBOR
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { ofCbor, toCbor } from "./cbor.ts";
 * assert.deepEqual(ofCbor(toCbor([1, "a"]), "an example"), [1, "a"]);
 * assert.throws(() => ofCbor(new Uint8Array([0xff]), "an example"), { code: "malformed" });
 * ```
 */
export function ofCbor(bytes: Uint8Array, what: string): unknown {
  try {
    return decode(bytes);
  } catch (cause) {
    throw new MalformedError(`Cannot read ${what}: its bytes are broken`, { cause });
  }
}
