import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, toTid } from "../../mod.ts";
import {
  append,
  breachesOf,
  decodeSegment,
  EMPTY,
  encodeSegment,
  HEAD_ENTRIES_MAX,
  isFull,
  mergeAppends,
  parseEntry,
} from "./logs.ts";
import type { Segment } from "./logs.ts";

const [one, two] = [toOid(1n), toOid(2n)];

function merged(base: Segment | undefined, saved: Segment, mine: Segment): Segment | undefined {
  const data = mergeAppends({
    oid: one,
    base: base && encodeSegment(base),
    saved: encodeSegment(saved),
    mine: encodeSegment(mine),
    baseTid: toTid(1n),
    savedTid: toTid(2n),
  });
  return data && decodeSegment(data);
}

const of = (before: typeof one | undefined, ...entries: string[]): Segment => ({ before, entries });

test("decodeSegment() reads what encodeSegment() wrote", () => {
  for (const segment of [EMPTY, of(two, "a 1", "b 2"), of(one)]) {
    assert.deepEqual(decodeSegment(encodeSegment(segment)), segment);
  }
  assert.deepEqual(decodeSegment(undefined), EMPTY);
  assert.deepEqual(parseEntry("client-3/1 77"), { worker: "client-3/1", counter: 77 });
});

test("append() adds to a head, or begins a new one before which the old one stands", () => {
  const full = of(one, ...Array.from({ length: HEAD_ENTRIES_MAX }, (_, at) => `a ${at + 1}`));
  const grown = of(one, ...full.entries.slice(1));
  const entry = { worker: "b", counter: 1 };

  assert.deepEqual([grown, full].map(isFull), [false, true]);
  assert.deepEqual(append(grown, entry), of(one, ...grown.entries, "b 1"));
  assert.deepEqual(append(full, entry, two), of(two, "b 1"));
});

const base = of(undefined, "a 1");
const merges: readonly { what: string; saved: Segment; mine: Segment; gives: Segment | undefined }[] = [
  {
    what: "two appends",
    saved: of(undefined, "a 1", "b 1"),
    mine: of(undefined, "a 1", "c 1"),
    gives: of(undefined, "a 1", "b 1", "c 1"),
  },
  {
    what: "theirs, which has cut the head",
    saved: of(one, "b 1"),
    mine: of(undefined, "a 1", "c 1"),
    gives: of(one, "b 1", "c 1"),
  },
  {
    what: "mine, which has cut the head",
    saved: of(undefined, "a 1", "b 1"),
    mine: of(one, "c 1"),
    gives: of(one, "b 1", "c 1"),
  },
  { what: "two that have both cut the head", saved: of(one, "b 1"), mine: of(two, "c 1"), gives: undefined },
];
for (const { what, saved, mine, gives } of merges) {
  test(`mergeAppends() makes one of ${what}`, () => assert.deepEqual(merged(base, saved, mine), gives));
}

test("mergeAppends() makes one of the first two appends to a new log", () => {
  assert.deepEqual(
    merged(undefined, of(undefined, "a 1"), of(undefined, "b 1")),
    of(undefined, "a 1", "b 1"),
  );
});

test("mergeAppends() keeps the order of what came between two merges of one commit", () => {
  for (const before of [undefined, two]) {
    const first = merged(
      base,
      of(undefined, "a 1", "b 1"),
      before ? of(before, "c 1") : of(undefined, "a 1", "c 1"),
    );
    const second = merged(
      of(undefined, "a 1", "b 1"),
      of(undefined, "a 1", "b 1", "b 2"),
      first ?? assert.fail(),
    );
    const expected = before ? of(before, "b 1", "b 2", "c 1") : of(undefined, "a 1", "b 1", "b 2", "c 1");
    assert.deepEqual(second, expected);
  }
});

const entries = (...texts: readonly string[]) => texts.map(parseEntry);
const counts = new Map([["a", 2], ["b", 1]]);

test("breachesOf() is content with logs that hold each counter twice, in order", () => {
  assert.deepEqual(
    breachesOf([entries("a 1", "b 1"), entries("b 1", "a 1", "a 2"), entries("a 2")], counts),
    [],
  );
});

test("breachesOf() takes one more of a worker that hangs", () => {
  const logs = [entries("a 1", "b 1", "a 2"), entries("b 1", "a 1", "a 2", "b 2")];

  assert.deepEqual(breachesOf(logs, counts, new Set(["b"])), []);
  assert.equal(breachesOf(logs, counts, new Set(["a"])).length, 1);
});

const wrong: readonly { what: string; logs: readonly string[][]; says: RegExp }[] = [
  { what: "one that is lost", logs: [["a 1", "b 1"], ["b 1", "a 1", "a 2"]], says: /a 2 stands 1 times/ },
  {
    what: "one that was done twice",
    logs: [["a 1", "b 1", "a 2"], ["b 1", "a 1", "a 2"], ["a 2"]],
    says: /a 2 stands 3 times/,
  },
  {
    what: "a wrong order",
    logs: [["a 2", "a 1", "b 1"], ["a 1", "a 2", "b 1"]],
    says: /log 0 holds a 1 behind 2/,
  },
  {
    what: "one twice in one log",
    logs: [["a 1", "a 1", "a 2"], ["a 2", "b 1"], ["b 1"]],
    says: /log 0 holds a 1 behind 1/,
  },
  {
    what: "one that nobody has acknowledged",
    logs: [["a 1", "a 2", "b 1"], ["a 1", "a 2", "a 3", "b 1"]],
    says: /a 3, which nobody/,
  },
  {
    what: "a stranger",
    logs: [["a 1", "a 2", "b 1"], ["a 1", "a 2", "b 1", "z 1"]],
    says: /z 1, which nobody/,
  },
];
for (const { what, logs, says } of wrong) {
  test(`breachesOf() finds ${what}`, () => {
    const found = breachesOf(logs.map((texts) => entries(...texts)), counts);
    assert.equal(found.length, 1, found.join("; "));
    assert.match(found[0]!, says);
  });
}
