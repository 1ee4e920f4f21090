import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexOf, ID_MAX, toTid } from "./ids.ts";
import type { Partition, Tid } from "./ids.ts";
import { advance, DATE_MS_MAX, DATE_MS_MIN, dateOfTid, nextTid, parseTidOrDate, tidOfDate } from "./tid.ts";

/** The layout as its definition says it, for fields that need not be a date. */
function tidOf(year: number, month: number, day: number, hour = 0, minute = 0, low = 0n): Tid {
  const minutes = ((((year - 1900) * 12 + month - 1) * 31 + day - 1) * 24 + hour) * 60 + minute;
  return toTid((BigInt(minutes) << 32n) + low);
}

/** Whether the calendar has the day that a tid names. */
function hasDate(tid: Tid): boolean {
  return tidOfDate(dateOfTid(tid)) >> 32n === tid >> 32n;
}

const LOW_MAX = (1n << 32n) - 1n;
const iso = (ms: number) => new Date(ms).toISOString();

/** Dates of all times, half of them within two minutes of a month's end. */
const anyMs = fc.oneof(
  fc.integer({ min: DATE_MS_MIN, max: DATE_MS_MAX }),
  fc.tuple(fc.integer({ min: 0, max: 4008 * 12 }), fc.integer({ min: -120_000, max: 120_000 }))
    .map(([months, ms]) => Math.max(DATE_MS_MIN, Date.UTC(1900, months, 1) + ms)),
);
/** Tids of all kinds: with and without a date, at the ends of minutes and months. */
const anyTid = fc.oneof(
  fc.bigInt(0n, ID_MAX),
  anyMs.map(tidOfDate),
  fc.tuple(
    fc.integer({ min: 1900, max: 5907 }),
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 28, max: 31 }),
    fc.constantFrom(0, 23),
    fc.constantFrom(0, 59),
    fc.oneof(fc.bigInt(0n, LOW_MAX), fc.constantFrom(0n, LOW_MAX), fc.bigInt(LOW_MAX - 100n, LOW_MAX)),
  ).map((fields) => tidOf(...fields)),
).map(toTid);
/** The same, but with room above. */
const earlyTid = anyTid.filter((tid) => tid < tidOf(5900, 1, 1));

test("tidOfDate() lays out minutes since 1900 in months of 31 days, and 2^32ths of a minute", () => {
  assert.equal(tidOfDate(Date.UTC(1900, 0, 1)), 0n);
  assert.equal(tidOfDate(Date.UTC(1900, 0, 1, 0, 0, 30)), 1n << 31n);
  assert.equal(tidOfDate(Date.UTC(2024, 1, 29, 12, 34)), tidOf(2024, 2, 29, 12, 34));
  assert.equal(tidOfDate(Date.UTC(2024, 1, 29, 12, 34, 45)), tidOf(2024, 2, 29, 12, 34, 3n << 30n));
  assert.equal(tidOfDate(Date.UTC(2024, 1, 29, 12, 34) + 0.9), tidOf(2024, 2, 29, 12, 34));
});

test("tidOfDate() and dateOfTid() give every millisecond back, month ends and leap days too", () => {
  fc.assert(fc.property(anyMs, (ms) => assert.equal(dateOfTid(tidOfDate(ms)), ms)));
});

test("tidOfDate() gives the first tid of a millisecond, so that tids and dates have one order", () => {
  fc.assert(fc.property(anyTid, anyMs, (tid, ms) => {
    assert.equal(dateOfTid(tid) >= ms, tid >= tidOfDate(ms), `${hexOf(tid)} ${iso(ms)}`);
  }));
  fc.assert(fc.property(anyMs, (ms) => {
    const before = toTid(tidOfDate(ms) - (ms === DATE_MS_MIN ? 0n : 1n));
    assert.equal(dateOfTid(before) < ms, ms !== DATE_MS_MIN);
  }));
});

test("tidOfDate() refuses dates that no tid of 63 bits names", () => {
  assert.equal(iso(DATE_MS_MAX), "5908-11-23T02:07:59.999Z");
  assert.equal(dateOfTid(toTid(ID_MAX)), DATE_MS_MAX);
  for (const ms of [DATE_MS_MIN - 1, DATE_MS_MAX + 1, Number.NaN, Infinity]) {
    assert.throws(() => tidOfDate(ms), RangeError, String(ms));
  }
});

const dateless = [
  { tid: tidOf(2023, 11, 31, 0, 0), date: "2023-11-30T23:59:59.999Z", after: tidOf(2023, 12, 1) },
  { tid: tidOf(2023, 11, 31, 23, 59, LOW_MAX), date: "2023-11-30T23:59:59.999Z", after: tidOf(2023, 12, 1) },
  { tid: tidOf(2023, 2, 29, 12, 0), date: "2023-02-28T23:59:59.999Z", after: tidOf(2023, 3, 1) },
  { tid: tidOf(2024, 2, 30, 12, 0), date: "2024-02-29T23:59:59.999Z", after: tidOf(2024, 3, 1) },
  { tid: tidOf(1900, 2, 29), date: "1900-02-28T23:59:59.999Z", after: tidOf(1900, 3, 1) },
];
for (const { tid, date, after } of dateless) {
  test(`dateOfTid() reads ${hexOf(tid)}, which names no date, as ${date}, and advance() goes on after it`, () => {
    assert.equal(iso(dateOfTid(tid)), date);
    assert.equal(advance(tid, 0), after);
  });
}

const steps = [
  { from: tidOf(2023, 11, 30, 23, 59, LOW_MAX), ms: 1, to: "2023-12-01T00:00:00.000Z" },
  { from: tidOf(2023, 11, 30, 23, 59), ms: 60_000, to: "2023-12-01T00:00:00.000Z" },
  { from: tidOf(2023, 2, 28, 23, 59), ms: 60_000, to: "2023-03-01T00:00:00.000Z" },
  { from: tidOf(2024, 2, 28, 23, 59), ms: 60_000, to: "2024-02-29T00:00:00.000Z" },
  { from: tidOf(2023, 12, 31, 23, 59), ms: 60_001, to: "2024-01-01T00:00:00.001Z" },
  { from: tidOf(2024, 1, 1), ms: -1, to: "2023-12-31T23:59:59.999Z" },
  { from: tidOf(2024, 3, 1), ms: -86_400_000, to: "2024-02-29T00:00:00.000Z" },
];
for (const { from, ms, to } of steps) {
  test(`advance() carries ${hexOf(from)} by ${ms} ms to ${to}`, () => {
    assert.equal(iso(dateOfTid(advance(from, ms))), to);
  });
}

test("advance() adds real time to any tid, keeps order, and gives tids with a date", () => {
  const spans = fc.integer({ min: 0, max: 400 * 86_400_000 });
  fc.assert(fc.property(earlyTid, earlyTid, spans, (one, other, ms) => {
    const [low, high] = one < other ? [one, other] : [other, one];
    const [lowEnd, highEnd] = [advance(low, ms), advance(high, ms)];
    assert.ok(hasDate(lowEnd), hexOf(lowEnd));
    assert.ok(lowEnd >= low && (ms === 0 || lowEnd > low));
    assert.ok(lowEnd <= highEnd);
    assert.ok(Math.abs(dateOfTid(lowEnd) - dateOfTid(low) - ms) <= 1);
    assert.ok(Math.abs(dateOfTid(advance(lowEnd, -ms)) - dateOfTid(low)) <= 1);
  }));
  fc.assert(fc.property(earlyTid.map(dateOfTid), spans, (date, ms) => {
    assert.equal(dateOfTid(advance(tidOfDate(date), ms)), date + ms);
  }));
});

test("advance() refuses to leave the calendar", () => {
  assert.throws(() => advance(toTid(0n), -1), RangeError);
  assert.throws(() => advance(toTid(ID_MAX), 1), RangeError);
});

/** What `nextTid()` promises, by looking at every candidate. */
function nextTidByCandidates(last: Tid, wallMs: number, home: number, partitions: number): bigint {
  let ideal = tidOfDate(wallMs) > last ? tidOfDate(wallMs) : toTid(last + 1n);
  if (!hasDate(ideal)) ideal = advance(ideal, 0);
  const fits = (tid: bigint) => tid % BigInt(partitions) === BigInt(home) && hasDate(toTid(tid));
  for (let tid: bigint = ideal; tid > last && tid > ideal - BigInt(partitions); tid--) {
    if (fits(tid)) return tid;
  }
  for (let tid: bigint = ideal;; tid = hasDate(toTid(tid + 1n)) ? tid + 1n : advance(toTid(tid + 1n), 0)) {
    if (fits(tid)) return tid;
  }
}

const places = fc.integer({ min: 1, max: 300 })
  .chain((partitions) => fc.tuple(fc.integer({ min: 0, max: partitions - 1 }), fc.constant(partitions)));

test("nextTid() is above the last one, at home, in the calendar, and as near to the clock as can be", () => {
  fc.assert(
    fc.property(earlyTid, fc.integer({ min: -500, max: 500 }), places, (last, off, [home, partitions]) => {
      const wallMs = Math.max(DATE_MS_MIN, dateOfTid(last) + off);

      const tid = nextTid({ last, wallMs, home: home as Partition, partitions });

      assert.equal(tid, nextTidByCandidates(last, wallMs, home, partitions));
      assert.ok(tid > last);
      assert.equal(tid % BigInt(partitions), BigInt(home));
      assert.ok(hasDate(tid));
    }),
  );
});

test("nextTid() grows over the ends of months and years, whatever the clock does", () => {
  const clock = fc.array(fc.integer({ min: -200, max: 200 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2400 }), clock, places, (months, offsets, [home, partitions]) => {
      const monthEnd = Date.UTC(1950, months, 1);
      let last = tidOfDate(monthEnd - 100);
      for (const offset of offsets) {
        const tid = nextTid({ last, wallMs: monthEnd + offset, home: home as Partition, partitions });
        assert.ok(tid > last && hasDate(tid) && tid % BigInt(partitions) === BigInt(home));
        assert.ok(dateOfTid(tid) >= Math.min(dateOfTid(last), monthEnd + offset) - 1);
        last = tid;
      }
    }),
  );
});

const nexts = [
  // Midnight ends in 0: home 7 is 3 below it, in the minute before.
  { last: tidOf(2024, 1, 1), wall: tidOf(2024, 1, 2), home: 7, of: 10, tid: tidOf(2024, 1, 2) - 3n },
  // At a month's end there is no such minute, and the next one up is taken.
  { last: tidOf(2023, 1, 1), wall: tidOf(2023, 12, 1), home: 7, of: 10, tid: tidOf(2023, 12, 1) + 7n },
  {
    last: tidOf(2023, 11, 30, 23, 59, LOW_MAX),
    wall: tidOf(2023, 11, 30),
    home: 0,
    of: 1,
    tid: tidOf(2023, 12, 1),
  },
  {
    last: tidOf(2023, 2, 28, 23, 59, LOW_MAX),
    wall: tidOf(2020, 1, 1),
    home: 0,
    of: 1,
    tid: tidOf(2023, 3, 1),
  },
  { last: toTid(0n), wall: tidOf(1900, 1, 1), home: 3, of: 4, tid: 3n },
];
for (const { last, wall, home, of, tid } of nexts) {
  test(`nextTid() after ${hexOf(last)} at ${hexOf(wall)} for ${home} of ${of} is ${hexOf(tid)}`, () => {
    const next = nextTid({ last, wallMs: dateOfTid(wall), home: home as Partition, partitions: of });
    assert.equal(next, tid);
  });
}

test("nextTid() says so when the calendar is used up", () => {
  assert.throws(
    () => nextTid({ last: toTid(ID_MAX), wallMs: 0, home: 0 as Partition, partitions: 1 }),
    RangeError,
  );
});

const readable = [
  { text: "03f6dcb000000000", tid: tidOf(2024, 2, 29, 12) },
  { text: "03F6DCB000000000", tid: tidOf(2024, 2, 29, 12) },
  { text: "7fffffffffffffff", tid: ID_MAX },
  { text: "tid:7", tid: 7n },
  { text: "tid:0000000000000010", tid: 10n },
  { text: "0000000000000010", tid: 16n },
  { text: "285618584694685696", tid: 285618584694685696n },
  { text: "0", tid: 0n },
  { text: "2024-02-29T12:00Z", tid: tidOf(2024, 2, 29, 12) },
  { text: "2024-02-29t12:00:00z", tid: tidOf(2024, 2, 29, 12) },
  { text: "2024-02-29 12:00:00Z", tid: tidOf(2024, 2, 29, 12) },
  { text: "2024-03-01T00:30+12:30", tid: tidOf(2024, 2, 29, 12) },
  { text: "2024-02-28T23:30:00.000-1230", tid: tidOf(2024, 2, 29, 12) },
  { text: "2024-02-29T12:00:45.000Z", tid: tidOf(2024, 2, 29, 12, 0, 3n << 30n) },
  { text: "2024-02-29T12:00:00.0019999Z", tid: tidOfDate(Date.UTC(2024, 1, 29, 12) + 1) },
  { text: "2024-02-29T12:00:00,5Z", tid: tidOfDate(Date.UTC(2024, 1, 29, 12) + 500) },
  { text: "2016-12-31T23:59:60Z", tid: tidOf(2016, 12, 31, 23, 59, LOW_MAX) },
  { text: "2017-01-01T01:59:60.9+02:00", tid: tidOf(2016, 12, 31, 23, 59, LOW_MAX) },
];
for (const { text, tid } of readable) {
  test(`parseTidOrDate() reads ${text}`, () => assert.equal(parseTidOrDate(text), tid));
}

const unreadable = [
  "",
  "x",
  "-1",
  "1.5",
  " 1",
  "tid:",
  "tid:x",
  "tid:-1",
  "8000000000000000",
  "9223372036854775808",
  "03f6dcb00000000",
  "2024-02-29",
  "2024-02-29T12:00:00",
  "2024-02-30T12:00Z",
  "2023-02-29T12:00Z",
  "2024-13-01T12:00Z",
  "2024-00-01T12:00Z",
  "2024-01-00T12:00Z",
  "2024-01-01T24:00Z",
  "2024-01-01T12:60Z",
  "2024-01-01T12:00:61Z",
  "2024-01-01T12:00+24:00",
  "1899-12-31T23:59Z",
  "5909-01-01T00:00Z",
  "9917-01-01T00:00Z",
  "yesterday",
];
test("parseTidOrDate() says what it expected", () => {
  for (const text of unreadable) {
    assert.throws(
      () => parseTidOrDate(text),
      { name: "RangeError", message: /16 hexadecimal.*time zone/ },
      text,
    );
  }
});

test("parseTidOrDate() reads a tid or throws a RangeError, whatever it is given", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom(..."0123456789abcdef-:TZ+. tid") }),
    anyMs.map(iso),
  );
  fc.assert(fc.property(texts, (text) => {
    try {
      assert.equal(typeof parseTidOrDate(text), "bigint");
    } catch (error) {
      assert.ok(error instanceof RangeError);
    }
  }));
  fc.assert(fc.property(anyMs, (ms) => assert.equal(parseTidOrDate(iso(ms)), tidOfDate(ms))));
  fc.assert(fc.property(anyTid, (tid) => {
    assert.equal(parseTidOrDate(hexOf(tid)), tid);
    assert.equal(parseTidOrDate(`tid:${tid}`), tid);
  }));
});

test("a leap second stays below the next minute and above every other second of its own", () => {
  const leap = parseTidOrDate("2016-12-31T23:59:60.5Z");
  assert.ok(tidOfDate(Date.UTC(2016, 11, 31, 23, 59, 59, 999)) < leap);
  assert.ok(leap < tidOfDate(Date.UTC(2017, 0, 1)));
  assert.equal(advance(leap, 1) >> 32n, tidOf(2017, 1, 1) >> 32n);
  assert.equal(nextTid({ last: leap, wallMs: 0, home: 0 as Partition, partitions: 1 }), tidOf(2017, 1, 1));
});
