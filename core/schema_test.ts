import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { anyOf } from "../tests/arbitraries.ts";
import { ID_MAX, toOid } from "./ids.ts";
import { LIST_LENGTH_MAX, TEXT_LENGTH_MAX } from "./limits.ts";
import {
  bytes,
  flag,
  integer,
  list,
  maybe,
  oid,
  readFields,
  record,
  text,
  tid,
  withDefault,
  writeFields,
} from "./schema.ts";
import type { Type } from "./schema.ts";

const cell = record({ partition: integer, since: withDefault(integer, 7) });

const types: { name: string; type: Type<unknown> }[] = [
  { name: "integer", type: integer },
  { name: "oid", type: oid },
  { name: "bytes", type: bytes },
  { name: "text", type: text },
  { name: "flag", type: flag },
  { name: "list(list(tid))", type: list(list(tid)) as Type<unknown> },
  { name: "maybe(bytes)", type: maybe(bytes) },
  { name: "withDefault(flag)", type: withDefault(flag, true) },
  { name: "record", type: record({ oid, cells: list(cell), link: maybe(tid) }) as Type<unknown> },
];
for (const { name, type } of types) {
  test(`${name}.read() gives back what write() made of it`, () => {
    fc.assert(
      fc.property(anyOf(type.shape), (value) => assert.deepEqual(type.read(type.write(value), "x"), value)),
    );
  });
}

const all: unknown[] = [
  0,
  7,
  -1,
  0.5,
  NaN,
  Infinity,
  2 ** 53,
  7n,
  -1n,
  ID_MAX,
  ID_MAX + 1n,
  "7",
  true,
  null,
  undefined,
];
all.push(new Uint8Array(1), [], [7], {}, new Uint16Array(1), new ArrayBuffer(1), () => 7);

const takes = [
  { name: "integer", type: integer, taken: [0, 7] },
  { name: "oid", type: oid, taken: [0, 7, 7n, ID_MAX] },
  { name: "bytes", type: bytes, taken: [new Uint8Array(1)] },
  { name: "text", type: text, taken: ["7"] },
  { name: "flag", type: flag, taken: [true] },
  { name: "list(integer)", type: list(integer), taken: [[], [7]] },
  { name: "maybe(flag)", type: maybe(flag), taken: [true, null, undefined] },
  { name: "record({})", type: record({}), taken: [[], [7]] },
];
for (const { name, type, taken } of takes) {
  test(`${name}.read() takes ${taken.map(String).join(", ")} and nothing else of ${all.length} values`, () => {
    const read = all.filter((value) => {
      try {
        type.read(value, "x");
        return true;
      } catch (error) {
        assert.equal((error as { code?: string }).code, "malformed");
        return false;
      }
    });
    assert.deepEqual(read, taken);
  });
}

test("an id reads the same from a number and a bigint", () => {
  assert.equal(oid.read(7, "x"), toOid(7));
  assert.equal(oid.read(7n, "x"), toOid(7));
});

test("text.read() and list.read() have their limits", () => {
  assert.equal(text.read("x".repeat(TEXT_LENGTH_MAX), "x"), "x".repeat(TEXT_LENGTH_MAX));
  assert.throws(() => text.read("x".repeat(TEXT_LENGTH_MAX + 1), "x"), { code: "malformed" });
  assert.throws(() => list(flag).read(new Array(LIST_LENGTH_MAX + 1).fill(true), "x"), { code: "malformed" });
});

test("a malformed field is named with the way to it", () => {
  const type = record({ cells: list(cell) });
  assert.throws(() => type.read([[[1, 2], [1, "2"]]], "vote"), {
    message: "Cannot read vote.cells[1].since: expected an integer",
  });
});

test("record.read() fills in defaults, and only those", () => {
  assert.deepEqual(cell.read([1], "x"), { partition: 1, since: 7 });
  assert.throws(() => cell.read([], "x"), { code: "malformed", message: /x\.partition/ });
  assert.throws(() => cell.read([1, null], "x"), { code: "malformed", message: /x\.since/ });
});

test("record.read() ignores further fields", () => {
  assert.deepEqual(cell.read([1, 2, "new", [null]], "x"), { partition: 1, since: 2 });
});

test("readFields() begins where it is told, and writeFields() appends", () => {
  const entries = Object.entries({ partition: integer, since: withDefault(integer, 7) });
  assert.deepEqual(readFields(entries, ["a", "b", 1], 2, "x"), { partition: 1, since: 7 });
  assert.deepEqual(writeFields(entries, { since: 2, partition: 1 }, ["a"]), ["a", 1, 2]);
});
