import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { StorageNode } from "../roles/master/storages.ts";
import { asNode } from "../tests/machines.ts";
import { moveNode, nodeStates } from "./node_states.ts";
import type { NodeState } from "./node_states.ts";

test("nodeStates are the four, and no other (T1)", () => {
  assert.deepEqual([...nodeStates].sort(), ["pending", "running", "unavailable", "unknown"]);
});

/** Written out here once more: a step that is added or dropped must be decided twice. */
const allowed: { readonly [from in NodeState]: readonly NodeState[] } = {
  unavailable: ["unavailable", "pending", "running", "unknown"],
  pending: ["pending", "running", "unavailable", "unknown"],
  running: ["running", "pending", "unavailable", "unknown"],
  unknown: ["unknown"],
};
for (const from of nodeStates) {
  for (const to of nodeStates) {
    const may = allowed[from].includes(to);
    test(`moveNode() ${may ? "lets" : "doesn't let"} a node go from ${from} to ${to} (T1)`, () => {
      if (may) assert.equal(moveNode(from, to), to);
      else {
        const message = `Broken invariant: a node may go from ${from} to ${to}`;
        assert.throws(() => moveNode(from, to), { name: "InvariantError", message });
      }
    });
  }
}

test("StorageNode.become() obeys the table: what is forgotten doesn't come back (T1)", () => {
  const node = new StorageNode({
    index: asNode(2),
    name: "s1",
    address: "s1:1",
  });
  for (const state of ["pending", "running", "unavailable", "unknown"] as const) {
    node.become(state);
    assert.equal(node.info().state, state);
  }
  assert.throws(() => node.become("running"), { name: "InvariantError" });
  assert.equal(node.state, "unknown");
});

test("node_states.ts says the meaning of each state where it names them (T1)", () => {
  const source = readFileSync(new URL("./node_states.ts", import.meta.url), "utf8");
  const comment = source.slice(0, source.indexOf("export const nodeStates"));
  for (const state of nodeStates) assert.match(comment, new RegExp(`\`${state}\`: [a-z]`), state);
});
