/**
 * Tids and the calendar. The high 32 bits of a tid count minutes in a calendar whose months all have 31 days,
 * `((((year - 1900) * 12 + month - 1) * 31 + day - 1) * 24 + hour) * 60 + minute` in UTC; the low 32 bits are the time
 * within the minute, scaled so that 60 s = 2^32. So tids sort as their dates do, but a few of them (30 February) name
 * no date: arithmetic steps over those, and reads them as the last millisecond before. With 64 bits the layout
 * reaches from 1900 to 9917; our tids have 63 and end in 5908.
 */
import { invariant } from "./errors.ts";
import { ID_MAX, toTid } from "./ids.ts";
import type { Partition, Tid } from "./ids.ts";

const MINUTE_MS = 60_000;
/** The time within a minute: the low 32 bits. */
const LOW_BITS = (1n << 32n) - 1n;
const LEAP_SECOND = 60;
const YEAR_MIN = 1900;

/** 1900-01-01T00:00Z in ms since 1970: the first date that a tid can name. */
export const DATE_MS_MIN: number = Date.UTC(YEAR_MIN, 0, 1);
/** The last millisecond that a tid of 63 bits can name: 5908-11-23T02:07:59.999Z. */
export const DATE_MS_MAX: number = dateOfTid(ID_MAX as Tid);

/**
 * The first tid of a millisecond.
 *
 * @param wallMs milliseconds since 1970; what is below a millisecond is dropped
 * @throws RangeError when the date isn't within `DATE_MS_MIN` to `DATE_MS_MAX`
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { dateOfTid, tidOfDate } from "./tid.ts";
 * const tid = tidOfDate(Date.UTC(2024, 1, 29, 12));
 * assert.equal(tid, 0x3f6dcb000000000n);
 * assert.equal(dateOfTid(tid), Date.UTC(2024, 1, 29, 12));
 * ```
 */
export function tidOfDate(wallMs: number): Tid {
  const ms = Math.floor(wallMs);
  if (!(DATE_MS_MIN <= ms && ms <= DATE_MS_MAX)) {
    const [first, last] = [DATE_MS_MIN, DATE_MS_MAX].map((bound) => new Date(bound).toISOString());
    throw new RangeError(`Cannot make a tid of date ${wallMs}: expected ${first} to ${last}`);
  }
  const minute = Math.floor(ms / MINUTE_MS);
  return toTid((minuteFieldOf(minute) << 32n) + unitsOf(ms - minute * MINUTE_MS));
}

/**
 * The millisecond that a tid falls into, since 1970. A tid that names no date gives the last one before it, so that
 * later tids never give earlier dates.
 */
export function dateOfTid(tid: Tid): number {
  const { minute, nextMonth } = minuteOf(tid);
  if (minute === undefined) return nextMonth * MINUTE_MS - 1;
  return minute * MINUTE_MS + Number(((tid & LOW_BITS) * BigInt(MINUTE_MS)) >> 32n);
}

/**
 * The tid `ms` later (or earlier, if negative) in the real calendar. A tid that names no date counts as the first one
 * after it.
 *
 * @throws RangeError when the result isn't within what tids can name
 */
export function advance(tid: Tid, ms: number): Tid {
  const { minute, nextMonth } = minuteOf(tid);
  const start = minute === undefined ? BigInt(nextMonth) << 32n : (BigInt(minute) << 32n) + (tid & LOW_BITS);
  const end = start + unitsOf(Math.floor(ms));
  const endMinute = Number(end >> 32n);
  if (endMinute * MINUTE_MS < DATE_MS_MIN || DATE_MS_MAX < endMinute * MINUTE_MS) {
    throw new RangeError(`Cannot advance tid ${tid} by ${ms} ms: no tid has such a date`);
  }
  return toTid((minuteFieldOf(endMinute) << 32n) + (end & LOW_BITS));
}

/**
 * The tid of the next transaction: above `last`, with a date, in the residue of its home partition, and as near to the
 * clock as these allow (a little before it rather than after).
 *
 * @throws RangeError when tids or the clock have reached the end of the calendar
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toTid } from "./ids.ts";
 * import type { Partition } from "./ids.ts";
 * import { nextTid, tidOfDate } from "./tid.ts";
 * const wallMs = Date.UTC(2024, 0, 1);
 * const last = tidOfDate(wallMs + 5_000); // the clock went back
 * const tid = nextTid({ last, wallMs, home: 3 as Partition, partitions: 10 });
 * assert.equal(tid % 10n, 3n);
 * assert.ok(last < tid && tid <= last + 10n);
 * ```
 */
export function nextTid(
  { last, wallMs, home, partitions }: { last: Tid; wallMs: number; home: Partition; partitions: number },
): Tid {
  invariant(0 <= home && home < partitions, "a transaction's home is a partition");
  const after = toTid(last + 1n);
  const wall = tidOfDate(wallMs);
  const ideal = after > wall ? after : wall;
  const modulus = BigInt(partitions);
  const below = ideal - residue(ideal - BigInt(home), modulus);
  const tid = below > last && hasDate(below) ? below : residueFrom(ideal, home, modulus);
  invariant(tid > last && tid % modulus === BigInt(home), "tids grow and belong to their home");
  return toTid(tid);
}

/** The first tid with a date, at or above `from`, in the residue `home`. */
function residueFrom(from: bigint, home: Partition, modulus: bigint): bigint {
  const found = from + residue(BigInt(home) - from, modulus);
  return hasDate(found) ? found : residueFrom(upward(toTid(found)), home, modulus);
}

/** `value` modulo `modulus`, from 0 up for negative values too. */
function residue(value: bigint, modulus: bigint): bigint {
  return ((value % modulus) + modulus) % modulus;
}

/**
 * Reads what a person gives to name a point in the database's history.
 *
 * - 16 hexadecimal digits, as ZODB tools print tids (so 16 decimal digits are read as hexadecimal: write `tid:` before);
 * - `tid:` and a decimal number, or another count of digits alone;
 * - a date with time zone, `2024-05-01T12:00Z` or `2024-05-01T12:00:00.5+02:00`: the first tid of its millisecond. A
 *   leap second is the last tid of its minute.
 *
 * @throws RangeError naming what was expected
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseTidOrDate } from "./tid.ts";
 * const tid = 0x3f6dcb000000000n;
 * assert.equal(parseTidOrDate("03f6dcb000000000"), tid);
 * assert.equal(parseTidOrDate(`tid:${tid}`), tid);
 * assert.equal(parseTidOrDate("2024-02-29T13:00+01:00"), tid);
 * assert.throws(() => parseTidOrDate("2024-02-30T12:00Z"), RangeError);
 * ```
 */
export function parseTidOrDate(text: string): Tid {
  const value = /^[0-9a-f]{16}$/i.test(text)
    ? BigInt(`0x${text}`)
    : /^(tid:)?[0-9]{1,19}$/.test(text)
    ? BigInt(text.replace("tid:", ""))
    : tidOfIso(text);
  if (value !== undefined && value <= ID_MAX) return toTid(value);
  throw new RangeError(
    `Cannot read ${
      JSON.stringify(text)
    } as a tid or date: expected 16 hexadecimal digits up to 7fffffffffffffff, `
      + `a number up to ${ID_MAX} (also as tid:NUMBER), or a date from 1900 to 5908 with time zone, such as `
      + `2024-05-01T12:00:00Z`,
  );
}

const ISO_DATE = new RegExp(
  /^(?<year>[1-9]\d{3})-(?<month>\d\d)-(?<day>\d\d)/.source
    + /[Tt ](?<hour>\d\d):(?<minute>\d\d)(:(?<second>\d\d)([.,](?<fraction>\d{1,9}))?)?/.source
    + /([Zz]|(?<sign>[+-])(?<zoneHours>\d\d):?(?<zoneMinutes>\d\d))$/.source,
);

function tidOfIso(text: string): bigint | undefined {
  const fields = ISO_DATE.exec(text)?.groups;
  if (fields === undefined) return undefined;
  const field = (name: string): number => Number(fields[name] ?? 0);
  const [year, month, day, second] = [field("year"), field("month"), field("day"), field("second")];
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined;
  const within = [["hour", 23], ["minute", 59], ["second", LEAP_SECOND], ["zoneHours", 23], [
    "zoneMinutes",
    59,
  ]];
  if (within.some(([name, most]) => field(name as string) > (most as number))) return undefined;
  const zone = (field("zoneHours") * 60 + field("zoneMinutes")) * (fields["sign"] === "-" ? -1 : 1);
  const minuteMs = date.getTime() + (field("hour") * 60 + field("minute") - zone) * MINUTE_MS;
  const fractionMs = Number((fields["fraction"] ?? "").padEnd(3, "0").slice(0, 3));
  const ms = minuteMs + (second === LEAP_SECOND ? 0 : second * 1_000 + fractionMs);
  if (ms < DATE_MS_MIN || DATE_MS_MAX < ms) return undefined;
  return second === LEAP_SECOND ? tidOfDate(ms) + LOW_BITS : tidOfDate(ms);
}

/** The 2^32ths of a minute that `ms` are, rounded up: so the tid of a millisecond lies within it. */
function unitsOf(ms: number): bigint {
  const scaled = BigInt(ms) << 32n;
  const divisor = BigInt(MINUTE_MS);
  return scaled > 0n ? (scaled + divisor - 1n) / divisor : scaled / divisor;
}

/** The high 32 bits of a tid, of a minute counted from 1970. */
function minuteFieldOf(minute: number): bigint {
  const date = new Date(minute * MINUTE_MS);
  const months = (date.getUTCFullYear() - YEAR_MIN) * 12 + date.getUTCMonth();
  return BigInt(
    ((months * 31 + date.getUTCDate() - 1) * 24 + date.getUTCHours()) * 60 + date.getUTCMinutes(),
  );
}

/** The minute since 1970 that a tid names, undefined when its day doesn't exist, and the first of the next month. */
function minuteOf(tid: bigint): { minute: number | undefined; nextMonth: number } {
  const field = Number(tid >> 32n);
  const [minutes, days] = [field % (24 * 60), Math.floor(field / (24 * 60))];
  const [day, months] = [days % 31, Math.floor(days / 31)];
  const nextMonth = Date.UTC(YEAR_MIN, months + 1, 1) / MINUTE_MS;
  const minute = Date.UTC(YEAR_MIN, months, day + 1, 0, minutes) / MINUTE_MS;
  return { minute: minute < nextMonth ? minute : undefined, nextMonth };
}

function hasDate(tid: bigint): boolean {
  return minuteOf(tid).minute !== undefined;
}

/** The tid itself, or the first one above it that has a date. */
function upward(tid: Tid): Tid {
  const { minute, nextMonth } = minuteOf(tid);
  return minute === undefined ? toTid(minuteFieldOf(nextMonth) << 32n) : tid;
}
