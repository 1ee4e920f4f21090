/**
 * Values of arguments, from text. What they throw is shown behind the argument's name. Each says what it accepts, for
 * `docs/cli.json`; the bounds of a number stand there too.
 */
import { isIPv6 } from "node:net";
import { toOid } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import { PATH_LENGTH_MAX } from "../core/limits.ts";
import { dateOfTid, parseTidOrDate } from "../core/tid.ts";
import type { JsonSchema } from "./answers.ts";
import { ADDRESS_PATTERN, NAME_PATTERN, NAME_RULE } from "./config.ts";

/** A parser that says what it takes. */
export interface Parser<T> {
  (text: string): T;
  readonly accepts: JsonSchema;
}

function parser<T>(accepts: JsonSchema, parse: (text: string) => T): Parser<T> {
  return Object.assign((text: string) => parse(text), { accepts });
}

/** The name of a node. */
export const nodeName: Parser<string> = parser({ type: "string", pattern: NAME_PATTERN.source }, (text) => {
  if (NAME_PATTERN.test(text)) return text;
  throw new RangeError(`expected ${NAME_RULE}`);
});

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
export const topologyPath: Parser<string[]> = parser(
  { type: "string", description: `1 to ${PATH_LENGTH_MAX} names with / between them` },
  (text) => {
    const names = text.split("/");
    if (names.length <= PATH_LENGTH_MAX && names.every((name) => NAME_PATTERN.test(name))) return names;
    throw new RangeError(`expected 1 to ${PATH_LENGTH_MAX} names with / between them`);
  },
);

/** A parser of one of some words. */
export function oneOf(words: readonly string[]): Parser<string> {
  return choice(words);
}

/** A parser of whole numbers within bounds. */
export function whole(least: number, most: number): Parser<number> {
  return parser({ type: "integer", minimum: least, maximum: most }, (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && least <= value && value <= most) return value;
    throw new RangeError(`expected a whole number from ${least} to ${most}`);
  });
}

const SECONDS_MAX = 86_400;

/** Seconds, as whole milliseconds. */
export const seconds: Parser<number> = parser(
  { type: "number", minimum: 0, maximum: SECONDS_MAX },
  (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value <= SECONDS_MAX) return Math.round(value * 1000);
    throw new RangeError(`expected seconds, 0 to ${SECONDS_MAX}`);
  },
);

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
export const oid: Parser<Oid> = parser(
  { type: "string", pattern: "^([0-9a-fA-F]{16}|0[xX][0-9a-fA-F]+|\\d+)$" },
  (text) => {
    if (/^[0-9a-fA-F]{16}$/.test(text)) return toOid(BigInt(`0x${text}`));
    if (/^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)) return toOid(BigInt(text));
    throw new RangeError("expected an oid: decimal, 0x..., or 16 hexadecimal digits");
  },
);

/** A transaction's id, or the moment up to which transactions are meant. */
export const tidOrDate: Parser<Tid> = parser(
  { type: "string", description: "A tid, or a date with its time zone" },
  parseTidOrDate,
);

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
export const ownAddress: Parser<string> = parser({ type: "string", description: "An IP address" }, (text) => {
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  const host = isIPv6(bare) ? `[${bare}]` : text;
  const isHost = isIPv6(bare) || !/[:[\]]/.test(host);
  if (isHost && ADDRESS_PATTERN.test(`${host}:1`)) return host;
  throw new RangeError("expected an address of this machine, such as 127.0.0.1 or ::1");
});

/** One of some words. */
export function choice<T extends string>(words: readonly T[]): Parser<T> {
  return parser({ enum: words }, (text) => {
    const word = words.find((word) => word === text);
    if (word === undefined) throw new RangeError(`expected one of ${words.join(", ")}`);
    return word;
  });
}

const TABLE_ID = /^\d{1,15}\.\d{1,15}-[0-9a-f]{8}$/;

/** The id of a table as `neo cluster recover` shows it: generation, version, and the beginning of its digest. */
export const tableId: Parser<string> = parser({ type: "string", pattern: TABLE_ID.source }, (text) => {
  if (TABLE_ID.test(text)) return text;
  throw new RangeError("expected the id of a table, such as 1.7-0a1b2c3d");
});

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
export const moment: Parser<number> = parser(
  { type: "string", description: "A date, or how long ago" },
  (text) => {
    const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
    if (count !== undefined && unit !== undefined) return Date.now() - Number(count) * UNITS_MS[unit]!;
    if (/^\d{4}-/.test(text)) return dateOfTid(parseTidOrDate(text));
    throw new RangeError("expected a date such as 2026-11-22T10:00Z, or how long ago, such as 10m");
  },
);
