/** What a message may be made of, looked at before anything is built from it. */
import { MalformedError } from "./errors.ts";
import { LIST_LENGTH_MAX, MESSAGE_ITEMS_MAX, NESTING_MAX, TEXT_LENGTH_MAX } from "./limits.ts";

/** Heads of false, true and null: all that the protocol takes of CBOR's simple values. */
const CONSTANTS: ReadonlySet<number> = new Set([0xf4, 0xf5, 0xf6]);

/**
 * Walks the heads of CBOR items without building them, so that a few bytes can't ask for much memory or stack:
 * bounds nesting, lengths and the number of items, and refuses what the protocol never uses (negative numbers, maps,
 * tags, floats, open-ended items). What it lets through, strict cborg reads or refuses.
 *
 * @throws MalformedError naming what it met
 */
export function checkItems(payload: Uint8Array): void {
  const remaining: number[] = []; // items left at each level
  let at = 0;
  let items = 1;
  for (let seen = 0;; seen++) {
    while (items === 0) {
      const above = remaining.pop();
      if (above === undefined) {
        if (at === payload.length) return;
        throw new MalformedError(`Cannot decode a message: ${payload.length - at} bytes follow it`);
      }
      items = above;
    }
    items -= 1;
    if (seen >= MESSAGE_ITEMS_MAX) {
      throw new MalformedError(`Cannot decode a message: more than ${MESSAGE_ITEMS_MAX} items`);
    }
    const head = payload[at];
    if (head === undefined) throw new MalformedError("Cannot decode a message: it ends early");
    const { value, next } = headOf(payload, at, head);
    at = next;
    const major = head >> 5;
    if (major === 2) at += value;
    else if (major === 3) at += textLength(value);
    else if (major === 4) {
      if (value > LIST_LENGTH_MAX) {
        throw new MalformedError(`Cannot decode a message: a list of ${value} elements`);
      }
      if (remaining.length >= NESTING_MAX) {
        throw new MalformedError(`Cannot decode a message: nested deeper than ${NESTING_MAX}`);
      }
      remaining.push(items);
      items = value;
    } else if (major !== 0 && !CONSTANTS.has(head)) {
      throw new MalformedError(`Cannot decode a message: unexpected CBOR head ${head}`);
    }
    if (at > payload.length) throw new MalformedError("Cannot decode a message: it ends early");
  }
}

/** The length of a text in bytes: at most 3 for each character that JavaScript counts. */
function textLength(value: number): number {
  if (value <= 3 * TEXT_LENGTH_MAX) return value;
  throw new MalformedError(`Cannot decode a message: a text of ${value} bytes`);
}

/** The argument of a CBOR head, as a number (large integers lose digits: only lengths use it), and where the next byte is. */
function headOf(payload: Uint8Array, at: number, head: number): { value: number; next: number } {
  const info = head & 31;
  if (info < 24) return { value: info, next: at + 1 };
  if (info > 27) throw new MalformedError("Cannot decode a message: open-ended item");
  const size = 1 << (info - 24);
  let value = 0;
  for (let i = 1; i <= size; i++) value = value * 256 + (payload[at + i] ?? 0);
  return { value, next: at + 1 + size };
}
