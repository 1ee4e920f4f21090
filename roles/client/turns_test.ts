import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid } from "../../core/ids.ts";
import { Turns } from "./turns.ts";

const [a, b, c] = [toOid(1n), toOid(2n), toOid(3n)];

/** Lets what is ready happen. */
async function turn(): Promise<void> {
  for (let left = 20; left > 0; left--) await Promise.resolve();
}

test("Turns come in the order in which they were asked for, of each object", async () => {
  const turns = new Turns();
  const came: string[] = [];
  const take = (name: string, ...oids: typeof a[]) => {
    const taken = turns.take(oids);
    void taken.come.then(() => came.push(name));
    return taken;
  };
  const first = take("a1", a);
  const both = take("ab", a, b);
  const second = take("b2", b);
  take("c1", c).end();
  await turn();
  assert.deepEqual(came, ["a1", "c1"]);
  first.end();
  await turn();
  assert.deepEqual(came, ["a1", "c1", "ab"]);
  both.end();
  second.end();
  await turn();
  assert.deepEqual(came, ["a1", "c1", "ab", "b2"]);
  assert.equal(turns.objects, 0);
});

test("Turns that end before they come let nobody past those before them", async () => {
  const turns = new Turns();
  const first = turns.take([a]);
  turns.take([a]).end();
  let hasCome = false;
  const third = turns.take([a]);
  void third.come.then(() => hasCome = true);
  await turn();
  assert.equal(hasCome, false);
  first.end();
  await turn();
  assert.equal(hasCome, true);
  third.end();
  await turn();
  assert.equal(turns.objects, 0);
});

test("A turn sees those before it end, one after another", async () => {
  const turns = new Turns();
  const [first, second] = [turns.take([a]), turns.take([a, b])];
  const third = turns.take([b, c]);
  const seen = [third.progress];
  for (const taken of [first, second]) {
    taken.end();
    await turn();
    seen.push(third.progress);
  }
  assert.deepEqual(seen, [0, 0, 1]); // the first one was for another object
});

test("A turn covers the objects that it was asked for", () => {
  const taken = new Turns().take([a, b]);
  assert.ok(taken.covers([b]) && taken.covers([]));
  assert.ok(!taken.covers([a, c]));
});
