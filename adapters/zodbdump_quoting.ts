/** Quoted bytes as they stand in a zodbdump: readable where they are text, whole where they are not. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPES = new Map([[QUOTE, '\\"'], [BACKSLASH, "\\\\"], [0x0a, "\\n"], [0x0d, "\\r"], [0x09, "\\t"]]);
const UNESCAPES = new Map([['"', QUOTE], ["\\", BACKSLASH], ["n", 0x0a], ["r", 0x0d], ["t", 0x09]]);
/** Letters, marks, numbers, punctuation, symbols. The one printable separator is the ASCII space. */
const PRINTABLE = /^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u;

/**
 * Quotes bytes. Double quote, backslash, LF, CR and tab get a backslash; printable Unicode stays; every other byte
 * becomes `\xNN`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { quote, unquote } from "./zodbdump_quoting.ts";
 * const bytes = new Uint8Array([0x68, 0x69, 0x0a, 0xff]);
 * assert.equal(quote(bytes), '"hi\\n\\xff"');
 * assert.deepEqual(unquote(new TextEncoder().encode(quote(bytes))), bytes);
 * ```
 */
export function quote(bytes: Uint8Array): string {
  let text = '"';
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at] ?? 0;
    const rune = runeAt(bytes, at);
    const length = rune?.length ?? 1;
    if (ESCAPES.has(byte)) text += ESCAPES.get(byte);
    else if (rune !== undefined && PRINTABLE.test(rune.text)) text += rune.text;
    else {for (const each of bytes.subarray(at, at + length)) {
        text += `\\x${each.toString(16).padStart(2, "0")}`;
      }}
    at += length;
  }
  return `${text}"`;
}

/** Smallest code points of UTF-8 sequences of 1, 2, 3, 4 bytes: shorter ones have no business there. */
const CODE_POINT_MIN = [0, 0x80, 0x800, 0x10000];

/** The character whose UTF-8 bytes begin at `at`; `undefined`: none does. */
function runeAt(bytes: Uint8Array, at: number): { text: string; length: number } | undefined {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return undefined;
  let codePoint = length === 1 ? lead : lead & (0x7f >> length);
  for (const byte of bytes.subarray(at + 1, at + length)) {
    if ((byte & 0xc0) !== 0x80) return undefined;
    codePoint = (codePoint << 6) | (byte & 0x3f);
  }
  const isSurrogate = 0xd800 <= codePoint && codePoint <= 0xdfff;
  if (isSurrogate || codePoint > 0x10ffff || codePoint < (CODE_POINT_MIN[length - 1] ?? 0)) return undefined;
  return { text: String.fromCodePoint(codePoint), length };
}

/**
 * The bytes that a quoted text means.
 *
 * @returns `undefined` if it isn't one: a quote missing or too many, an escape that `quote()` doesn't write
 */
export function unquote(quoted: Uint8Array): Uint8Array | undefined {
  const end = quoted.length - 1;
  if (end < 1 || quoted[0] !== QUOTE || quoted[end] !== QUOTE) return undefined;
  const bytes = new Uint8Array(end);
  let length = 0;
  for (let at = 1; at < end; length++) {
    const byte = quoted[at] ?? 0;
    if (byte === QUOTE) return undefined;
    if (byte !== BACKSLASH) {
      bytes[length] = byte;
      at++;
      continue;
    }
    const escape = String.fromCharCode(...quoted.subarray(at + 1, Math.min(at + 4, end)));
    const hex = /^x([0-9a-fA-F]{2})$/.exec(escape)?.[1];
    const value = hex === undefined ? UNESCAPES.get(escape.charAt(0)) : Number.parseInt(hex, 16);
    if (value === undefined) return undefined;
    bytes[length] = value;
    at += hex === undefined ? 2 : 4;
  }
  return bytes.slice(0, length);
}
