/** Whole numbers in as few bytes as they need, for tables that would otherwise be mostly zeros. */
import { MalformedError } from "./errors.ts";

/** Appends a number: seven bits a byte, the lowest first. */
export function pushVarint(out: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    out.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  out.push(rest);
}

/**
 * Reads bytes and numbers one after another.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { pushVarint, VarintReader } from "./varints.ts";
 * const out: number[] = [];
 * pushVarint(out, 300);
 * const reader = new VarintReader(Uint8Array.from(out), "a number");
 * assert.equal(reader.varint(), 300);
 * assert.equal(reader.isAtEnd, true);
 * ```
 */
export class VarintReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  /** @param what the name of the whole, for errors */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** @throws MalformedError at the end */
  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new MalformedError(`Cannot read ${this.#what}: its rows end early`);
    return value;
  }

  /** @throws MalformedError at the end, and for a number that can't be */
  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const part = this.byte();
      value += (part % 128) * scale;
      if (part < 128) return value;
    }
    throw new MalformedError(`Cannot read ${this.#what}: a number is too long`);
  }
}
