/** Bytes for people. What comes from a database may hold anything, and a terminal must not obey it. */

import { inLine } from "./output.ts";

const ROW_BYTES = 16;

/**
 * Lines with offset, bytes and ASCII.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { hexView } from "./hex_view.ts";
 * assert.deepEqual(hexView(Uint8Array.of(104, 105, 10)), [`00000000  68 69 0a${" ".repeat(39)}  |hi.|`]);
 * ```
 */
export function hexView(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += ROW_BYTES) {
    const row = [...bytes.subarray(start, start + ROW_BYTES)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(3 * ROW_BYTES - 1);
    const text = row.map((byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
    lines.push(`${start.toString(16).padStart(8, "0")}  ${hex}  |${text}|`);
  }
  return lines;
}

/**
 * Text of a transaction in one line: control characters, which could steer a terminal, as escapes.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { printable } from "./hex_view.ts";
 * assert.equal(printable(new TextEncoder().encode("a\u001b[2Jb\n")), "a\\x1b[2Jb\\x0a");
 * ```
 */
export function printable(bytes: Uint8Array): string {
  return inLine(new TextDecoder().decode(bytes));
}
