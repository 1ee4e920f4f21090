import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store } from "../../core/ports.ts";
import { SimRandom } from "../simulation/random.ts";
import { late, type Schedule, shuffled } from "./late.ts";

/** A store of one number: a write adds to it, a read tells it. */
class Counter implements Store<number, string, string> {
  readonly state = "empty";
  readonly calls: string[] = [];
  #sum = 0;

  apply(writes: readonly number[]): void {
    this.calls.push(`apply ${writes}`);
    if (writes.includes(0)) throw new RangeError("zero");
    this.#sum += writes.reduce((sum, write) => sum + write, 0);
  }

  read(query: string): string {
    this.calls.push(`read ${query}`);
    if (query === "broken") throw new RangeError("broken");
    return `${query} ${this.#sum}`;
  }

  freeBytes(): number {
    return 7;
  }

  close(): void {
    this.calls.push("close");
  }
}

/** A schedule whose tasks the test runs. */
function byHand(): { schedule: Schedule; tasks: (() => void)[]; settle: () => Promise<void> } {
  const tasks: (() => void)[] = [];
  const settle = async () => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { schedule: (task) => void tasks.push(task), tasks, settle };
}

test("late() does nothing within a call, and answers later than it does", async () => {
  const { schedule, tasks, settle } = byHand();
  const counter = new Counter();
  const store = late(counter, schedule);
  assert.deepEqual([store.state, store.freeBytes()], ["empty", 7]);
  let answered = false;
  void Promise.resolve(store.apply([1], { durable: true })).then(() => answered = true);
  await settle();
  assert.deepEqual(counter.calls, []);

  tasks.shift()?.();
  await settle();
  assert.deepEqual([counter.calls, answered], [["apply 1"], false]);
  tasks.shift()?.();
  await settle();

  assert.equal(answered, true);
});

test("late() keeps the order of rounds, however they are scheduled", async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const counter = new Counter();
    const store = late(counter, shuffled(new SimRandom(seed)));
    await Promise.all([1, 2, 3, 4].map((write) => store.apply([write], { durable: false })));
    assert.deepEqual(counter.calls, ["apply 1", "apply 2", "apply 3", "apply 4"], `seed ${seed}`);
  }
});

test("late() answers reads in any order, each after the rounds that had been answered (C2)", async () => {
  const orders = new Set<string>();
  for (let seed = 1; seed <= 50; seed++) {
    const store = late(new Counter(), shuffled(new SimRandom(seed)));
    const order: string[] = [];
    await store.apply([5], { durable: true });
    const read = async (query: string) => void order.push(String(await store.read(query)));
    await Promise.all([read("a"), read("b"), read("c")]);
    assert.deepEqual([...order].sort(), ["a 5", "b 5", "c 5"], `seed ${seed}`);
    orders.add(order.join());
  }
  assert.equal(orders.size, 6);
});

test("late() may answer a read from before or after a round that is under way", async () => {
  const seen = new Set<string>();
  for (let seed = 1; seed <= 50; seed++) {
    const store = late(new Counter(), shuffled(new SimRandom(seed)));
    const round = store.apply([5], { durable: true });
    seen.add(await store.read("a"));
    await round;
  }
  assert.deepEqual([...seen].sort(), ["a 0", "a 5"]);
});

test("late() passes errors on, and goes on to the next round", async () => {
  const store = late(new Counter(), shuffled(new SimRandom(1)));
  const failing = assert.rejects(async () => await store.apply([0], { durable: true }), /zero/);
  const next = store.apply([2], { durable: true });
  await failing;
  await next;
  await assert.rejects(async () => await store.read("broken"), /broken/);
  assert.equal(await store.read("a"), "a 2");
});

test("late() closes after everything that was asked before", async () => {
  for (let seed = 1; seed <= 50; seed++) {
    const counter = new Counter();
    const store = late(counter, shuffled(new SimRandom(seed)));
    await Promise.all([store.apply([1], { durable: true }), store.read("a"), store.close()]);
    assert.equal(counter.calls.at(-1), "close", `seed ${seed}`);
    assert.equal(counter.calls.length, 3);
  }
});
