import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "./deadlines.ts";

/** What `Deadlines` promises, without its heap. */
class NaiveDeadlines {
  readonly atMs = new Map<number, number>();

  next(): number | undefined {
    return this.atMs.size === 0 ? undefined : Math.min(...this.atMs.values());
  }

  take(nowMs: number): number[] {
    const due = [...this.atMs].filter(([, at]) => at <= nowMs);
    for (const [key] of due) this.atMs.delete(key);
    return due.map(([key]) => key);
  }
}

const key = fc.nat(20);
const action = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, atMs: fc.nat(100) }),
  fc.record({ do: fc.constant("delete" as const), key }),
  fc.record({ do: fc.constant("take" as const), nowMs: fc.nat(100) }),
);

test("Deadlines does what a plain map of times does, whatever is set, moved, deleted and taken (T10)", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 400 }), (actions) => {
      const deadlines = new Deadlines<number>();
      const naive = new NaiveDeadlines();
      for (const one of actions) {
        if (one.do === "set") {
          deadlines.set(one.key, one.atMs);
          naive.atMs.set(one.key, one.atMs);
        } else if (one.do === "delete") {
          deadlines.delete(one.key);
          naive.atMs.delete(one.key);
        } else {
          const before = new Map(naive.atMs);
          const taken = deadlines.take(one.nowMs);
          const times = taken.map((key) => before.get(key)!);
          assert.deepEqual(times, times.toSorted((a, b) => a - b), "earliest first");
          assert.deepEqual(taken.toSorted((a, b) => a - b), naive.take(one.nowMs).sort((a, b) => a - b));
        }
        assert.equal(deadlines.next(), naive.next());
      }
      for (let key = 0; key <= 20; key++) assert.equal(deadlines.get(key), naive.atMs.get(key));
    }),
    { numRuns: 200 },
  );
});

test("Deadlines gives a key once, though it was moved many times", () => {
  const deadlines = new Deadlines<string>();
  for (let atMs = 10; atMs < 500; atMs += 10) deadlines.set("a", atMs);

  assert.deepEqual(deadlines.take(489), []);
  assert.deepEqual(deadlines.take(490), ["a"]);
  assert.deepEqual(deadlines.take(1_000), []);
  assert.equal(deadlines.next(), undefined);
});

test("Deadlines forgets a deadline that was deleted, among many that were", () => {
  const deadlines = new Deadlines<number>();
  for (let key = 0; key < 1_000; key++) deadlines.set(key, key);
  for (let key = 0; key < 999; key++) deadlines.delete(key);

  assert.equal(deadlines.next(), 999);
  assert.deepEqual(deadlines.take(2_000), [999]);
});
