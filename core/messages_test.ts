import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { bytesOf, encodePacket, hexOf, samples, scanned } from "../tests/samples.ts";
import { decodePacket } from "./codec.ts";
import { errorCodes } from "./errors.ts";
import { details, lanes, messages, roles } from "./messages.ts";

const rows = Object.entries(messages);

test("messages have a code each, which one CBOR item of two bytes holds (T20)", () => {
  const codes = rows.map(([, row]) => row.code);
  assert.equal(new Set(codes).size, codes.length);
  assert.ok(codes.every((code) => Number.isInteger(code) && 0 < code && code < 256));
});

test("messages say who says them to whom, each way once (T20)", () => {
  for (const [name, { route }] of rows) {
    const parts = route.split(", ");
    assert.ok(parts.every((part) => /^[CMSA*]>[CMSA*]$/.test(part)), `${name}: ${route}`);
    assert.equal(new Set(parts).size, parts.length, name);
  }
  assert.equal(roles.length, 4);
});

test("messages from the primary to storages carry its epoch", () => {
  for (const [name, row] of rows) {
    if (row.route.includes("M>S")) assert.ok("epoch" in row.body, name);
  }
});

test("only heartbeats, the masters' agreement and lost notices are more urgent than commits, and only reads and copies give way", () => {
  for (const [name, { lane, route }] of rows) {
    const isRepair = name === "missed"; // commits wait for what was lost
    if (lanes[lane] < lanes.commit && !isRepair) assert.match(route, /^(\*>\*|M>M)$/, name);
    if (lane === "bulk") assert.match(route, /^(C>S|C>S, S>S|S>S|S>M)$/, name);
  }
});

test("error codes have a number each, 1 and up, and a cause of their own (T2)", () => {
  const errors = Object.values(errorCodes);
  assert.equal(new Set(errors.map(({ number }) => number)).size, errors.length);
  assert.equal(new Set(errors.map(({ cause }) => cause)).size, errors.length);
  assert.ok(errors.every(({ number }) => Number.isInteger(number) && number > 0));
  for (const code of Object.keys(details)) assert.ok(code in errorCodes, code);
});

/** Golden bytes by title: three lines each. `scripts/wire_vectors.ts` writes them. */
const vectors = new Map(
  readFileSync(new URL("../tests/vectors/wire.txt", import.meta.url), "utf8").trimEnd().split("\n\n")
    .map((entry) => {
      const [title = "", json = "", hex = ""] = entry.split("\n");
      return [title, { json, hex }];
    }),
);

test("tests/vectors/wire.txt has the bytes of every message, error and answer (T20)", () => {
  assert.deepEqual([...vectors.keys()].sort(), [...samples().keys()].sort());
});

for (const [title, { json, hex }] of vectors) {
  test(`${title} has the bytes that it always had (T20)`, () => {
    const packet = scanned(json);

    assert.equal(hexOf(encodePacket(packet)), hex);
    assert.deepEqual(decodePacket(bytesOf(hex)), packet);
  });
}
