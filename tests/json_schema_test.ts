import assert from "node:assert/strict";
import { test } from "node:test";
import * as is from "../cli/answers.ts";
import { mistakesIn } from "./json_schema.ts";

const answer = is.object({
  name: is.text,
  cells: is.count,
  state: is.word("up", "down"),
  last: is.nullable(is.id),
  data: is.optional(is.base64),
  nodes: is.list(is.object({ pid: is.count })),
  facts: is.byName(is.flag),
  at: is.time,
});
const whole = {
  name: "s1",
  cells: 3,
  state: "up",
  last: "000000000000002a",
  data: "AQI=",
  nodes: [{ pid: 7 }],
  facts: { a: true },
  at: "2026-11-22T10:00:00.000Z",
};

test("mistakesIn() finds none in what the schema describes", () => {
  assert.deepEqual(mistakesIn(whole, answer.json), []);
  assert.deepEqual(mistakesIn({ ...whole, last: null }, answer.json), []);
  const { data: _, ...rest } = whole;
  assert.deepEqual(mistakesIn(rest, answer.json), []);
});

const wrong: readonly { readonly change: object; readonly place: string }[] = [
  { change: { name: 1 }, place: "$.name" },
  { change: { name: undefined }, place: "$.name" },
  { change: { cells: -1 }, place: "$.cells" },
  { change: { cells: 1.5 }, place: "$.cells" },
  { change: { state: "sideways" }, place: "$.state" },
  { change: { last: "2A" }, place: "$.last" },
  { change: { data: "AQ" }, place: "$.data" },
  { change: { nodes: {} }, place: "$.nodes" },
  { change: { nodes: [{ pid: "7" }] }, place: "$.nodes[0].pid" },
  { change: { nodes: [{ pid: 7, name: "x" }] }, place: "$.nodes[0].name" },
  { change: { facts: { a: 1 } }, place: "$.facts.a" },
  { change: { at: "yesterday" }, place: "$.at" },
  { change: { more: 1 }, place: "$.more" },
];

for (const { change, place } of wrong) {
  test(`mistakesIn() says what is wrong with ${JSON.stringify(change)}`, () => {
    const value = JSON.parse(JSON.stringify({ ...whole, ...change }));
    const mistakes = mistakesIn(value, answer.json);
    assert.equal(mistakes.length, 1, mistakes.join("; "));
    assert.equal(mistakes[0]?.split(":", 1)[0], place);
  });
}

test("mistakesIn() of an alternative tells those of the one that fits best", () => {
  const two = is.either(is.object({ a: is.text }), is.object({ b: is.text, c: is.text }));
  assert.deepEqual(mistakesIn({ b: "", c: "" }, two.json), []);
  assert.deepEqual(mistakesIn({ b: "", c: 1 }, two.json), ["$.c: 1 is no string"]);
});
