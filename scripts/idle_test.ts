import assert from "node:assert/strict";
import { test } from "node:test";
import { percentOf, ticksOf } from "./idle.ts";

test("ticksOf adds user and system time, whatever a program's name holds (T10)", () => {
  const stat = "4711 (neo: s) R 1 (2) S 1 4711 4711 0 -1 4194560 9000 0 3 0 17 25 0 0 20 0 11 0 99 1 2 3";
  assert.equal(ticksOf(stat), 42);
});

test("percentOf says which part of one core ticks are", () => {
  assert.equal(percentOf(15, 30_000), 0.5);
  assert.equal(percentOf(3_000, 30_000), 100);
});
