/** Values of arguments, from text. What they throw is shown behind the argument's name. */
import { toOid } from "../core/ids.ts";
import type { Oid } from "../core/ids.ts";
import { PATH_LENGTH_MAX } from "../core/limits.ts";
import { dateOfTid, parseTidOrDate } from "../core/tid.ts";
import { ADDRESS_PATTERN, NAME_PATTERN, NAME_RULE } from "./config.ts";

/** The name of a node. */
export function nodeName(text: string): string {
  if (NAME_PATTERN.test(text)) return text;
  throw new RangeError(`expected ${NAME_RULE}`);
}

/**
 * Where a node stands, outermost first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { topologyPath } from "./parsers.ts";
 * assert.deepEqual(topologyPath("east/host7"), ["east", "host7"]);
 * assert.throws(() => topologyPath("east//host7"), RangeError);
 * ```
 */
export function topologyPath(text: string): string[] {
  const names = text.split("/");
  if (names.length <= PATH_LENGTH_MAX && names.every((name) => NAME_PATTERN.test(name))) return names;
  throw new RangeError(`expected 1 to ${PATH_LENGTH_MAX} names with / between them`);
}

/** A parser of one of some words. */
export function oneOf(words: readonly string[]): (text: string) => string {
  return (text) => {
    if (words.includes(text)) return text;
    throw new RangeError(`expected one of ${words.join(", ")}`);
  };
}

/** A parser of whole numbers within bounds. */
export function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && least <= value && value <= most) return value;
    throw new RangeError(`expected a whole number from ${least} to ${most}`);
  };
}

/** Seconds, as whole milliseconds. */
export function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value <= 86_400) return Math.round(value * 1000);
  throw new RangeError("expected seconds, 0 to 86400");
}

/**
 * An object's id: decimal, `0x` and hexadecimal digits, or exactly 16 hexadecimal digits as ZODB's tools print them.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { oid } from "./parsers.ts";
 * assert.equal(oid("0x10"), oid("0000000000000010"));
 * assert.throws(() => oid("-1"), RangeError);
 * ```
 */
export function oid(text: string): Oid {
  if (/^[0-9a-fA-F]{16}$/.test(text)) return toOid(BigInt(`0x${text}`));
  if (/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return toOid(BigInt(text));
  throw new RangeError("expected an oid: decimal, 0x..., or 16 hexadecimal digits");
}

/**
 * An address of this machine, as it stands before a port.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { ownAddress } from "./parsers.ts";
 * assert.equal(ownAddress("::1"), "[::1]");
 * assert.equal(ownAddress("10.0.0.1"), "10.0.0.1");
 * assert.throws(() => ownAddress("10.0.0.1:80"), RangeError);
 * ```
 */
export function ownAddress(text: string): string {
  const host = text.includes(":") && !text.startsWith("[") ? `[${text}]` : text;
  const isHost = host.startsWith("[") || !host.includes(":");
  if (isHost && ADDRESS_PATTERN.test(`${host}:1`)) return host;
  throw new RangeError("expected an address of this machine, such as 127.0.0.1 or ::1");
}

/** One of some words. */
export function choice<T extends string>(words: readonly T[]): (text: string) => T {
  return (text) => {
    const word = words.find((word) => word === text);
    if (word === undefined) throw new RangeError(`expected one of ${words.join(", ")}`);
    return word;
  };
}

/** The id of a table as `neo cluster recover` shows it: generation, version, and the beginning of its digest. */
export function tableId(text: string): string {
  if (/^\d{1,15}\.\d{1,15}-[0-9a-f]{8}$/.test(text)) return text;
  throw new RangeError("expected the id of a table, such as 1.7-0a1b2c3d");
}

const UNITS_MS: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A moment, as milliseconds since 1970: a date with its time zone, or how long ago it was, such as `90s`, `10m`, `2h`, `7d`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { moment } from "./parsers.ts";
 * assert.equal(moment("2024-05-01T12:00:00Z"), Date.UTC(2024, 4, 1, 12));
 * assert.ok(moment("10m") < Date.now());
 * assert.throws(() => moment("yesterday"), RangeError);
 * ```
 */
export function moment(text: string): number {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Date.now() - Number(count) * UNITS_MS[unit]!;
  if (/^\d{4}-/.test(text)) return dateOfTid(parseTidOrDate(text));
  throw new RangeError("expected a date such as 2026-11-22T10:00Z, or how long ago, such as 10m");
}
