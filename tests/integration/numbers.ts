/** Objects that hold a number, for tests: what they are, and what two that were added to at once become. */
import type { ObjectConflict } from "../../mod.ts";

/** A number as the data of an object. */
export function bytesOf(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/** The number that an object holds; an object that isn't there holds 0. */
export function numberOf(found: { readonly data: Uint8Array } | Uint8Array | undefined): number {
  const data = found instanceof Uint8Array ? found : found?.data;
  return data === undefined ? 0 : new DataView(data.buffer, data.byteOffset).getFloat64(0);
}

/** A resolver: both have added something, and both shall have. */
export function addBoth({ base, saved, mine }: ObjectConflict): Uint8Array {
  return bytesOf(numberOf(saved) + numberOf(mine) - numberOf(base));
}
