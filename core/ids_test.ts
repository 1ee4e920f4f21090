import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CLIENT_SESSION_MAX,
  hexOf,
  ID_MAX,
  partitionOf,
  sessionOf,
  toOid,
  toTid,
  toTtid,
  TTID_COUNTER_MAX,
  ttidOf,
} from "./ids.ts";
import type { ClientSession } from "./ids.ts";

const gates = [
  { name: "toOid", gate: toOid, least: 0n },
  { name: "toTid", gate: toTid, least: 0n },
  { name: "toTtid", gate: toTtid, least: 1n },
];
for (const { name, gate, least } of gates) {
  test(`${name}() takes ${least} to 2^63-1, and says its bounds to everything else`, () => {
    assert.equal(gate(least), least);
    assert.equal(gate(ID_MAX), ID_MAX);
    assert.equal(gate(Number(least)), least);

    for (const wrong of [least - 1n, ID_MAX + 1n, -ID_MAX]) {
      assert.throws(() => gate(wrong), {
        name: "RangeError",
        message: /^Cannot use -?\d+ as a.*: expected \d to 9223372036854775807$/,
      });
    }
    assert.throws(() => gate(1.5), RangeError);
  });
}

test("ttidOf() and sessionOf() are each other's inverse, over all sessions and counters", () => {
  const session = fc.integer({ min: 1, max: CLIENT_SESSION_MAX });
  const counter = fc.integer({ min: 0, max: TTID_COUNTER_MAX });
  fc.assert(fc.property(session, counter, (session, counter) => {
    assert.equal(sessionOf(ttidOf(session as ClientSession, counter)), session);
  }));
  assert.equal(sessionOf(ttidOf(CLIENT_SESSION_MAX as ClientSession, TTID_COUNTER_MAX)), CLIENT_SESSION_MAX);
});

test("ttidOf() gives each transaction of each session a ttid of its own, in the order of their begin", () => {
  const ttids = [1, 2, 3].flatMap((session) =>
    [0, 1, TTID_COUNTER_MAX].map((counter) => ttidOf(session as ClientSession, counter))
  );
  assert.deepEqual(ttids, [...new Set(ttids)].sort((a, b) => (a < b ? -1 : 1)));
});

const residues = [
  { id: 0n, partitions: 4, expected: 0 },
  { id: 7n, partitions: 4, expected: 3 },
  { id: 7n, partitions: 1, expected: 0 },
  { id: ID_MAX, partitions: 240, expected: Number(ID_MAX % 240n) },
];
for (const { id, partitions, expected } of residues) {
  test(`partitionOf() puts ${id} into partition ${expected} of ${partitions}`, () => {
    assert.equal(partitionOf(toOid(id), partitions), expected);
  });
}

test("hexOf() prints 16 digits, as other tools of the ZODB world do", () => {
  assert.equal(hexOf(0n), "0000000000000000");
  assert.equal(hexOf(ID_MAX), "7fffffffffffffff");
  assert.equal(hexOf(255n), "00000000000000ff");
});
