import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cluster } from "./cluster.ts";
import { remainsOf } from "./watch.ts";

const quiet = {
  indexes: new Map([["s1", 2]]),
  masters: [{ name: "m1", machine: { view: { phase: "running", epoch: 1, pending: 0, table: "" } } }],
  storages: [{ name: "s1", machine: { load: { transactions: 0, parked: 0, reads: 0 } }, plan: {} }],
  clients: [{
    name: "c1",
    session: { running: 0, calls: 0 },
    node: { machine: { load: { commits: 0, reads: 0 }, due: () => undefined } },
  }],
};

/** As far as `remainsOf()` looks at it. */
function remains(changes: object): string[] {
  return remainsOf({ ...quiet, ...changes } as unknown as Cluster);
}

test("remainsOf() is empty when nothing is held, parked or under way", () => {
  assert.deepEqual(remains({}), []);
});

test("remainsOf() names what the master hasn't published, and a phase in which it serves nobody", () => {
  const view = { ...quiet.masters[0]!.machine.view, pending: 2, phase: "verifying" };

  assert.deepEqual(remains({ masters: [{ name: "m1", machine: { view } }] }), [
    "the primary: 2 pending",
    "the primary is verifying",
  ]);
});

test("remainsOf() names what storages hold and keep waiting", () => {
  const load = { transactions: 1, parked: 2, reads: 3 };

  assert.deepEqual(remains({ storages: [{ name: "s1", machine: { load }, plan: {} }] }), [
    "s1: 1 transactions, 2 parked, 3 reads",
  ]);
});

test("remainsOf() names workers, calls, commits, reads and deadlines of clients", () => {
  const machine = { load: { commits: 3, reads: 4 }, due: () => 17 };
  const client = { name: "c1", session: { running: 1, calls: 2 }, node: { machine } };

  assert.deepEqual(remains({ clients: [client] }), [
    "c1: 1 workers, 2 calls, 3 commits, 4 reads, 1 deadlines",
  ]);
});

test("remainsOf() names who is down, and doesn't take an unknown count for none", () => {
  const client = { name: "c1", session: undefined, node: { machine: { due: () => undefined } } };

  assert.deepEqual(
    remains({
      masters: [{ name: "m1" }],
      storages: [{ name: "s1", machine: undefined, plan: {} }],
      clients: [client],
    }),
    [
      "the primary is down",
      "s1 is down",
      "c1: undefined workers, undefined calls, undefined commits, undefined reads",
    ],
  );
});
