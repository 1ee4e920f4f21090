/** The states of a node, and who may follow whom (T1). The primary decides them. */
import { invariant } from "./errors.ts";

/**
 * `unavailable`: known, not connected. `pending`: connected, takes no part yet (it is being fenced, verified or
 * started). `running`: takes part. `unknown`: forget it; never kept, only said. A draining node is a running one.
 */
export const nodeStates = ["unavailable", "pending", "running", "unknown"] as const;
/** One of them. */
export type NodeState = (typeof nodeStates)[number];

/** Which state may follow which. */
export const NODE_NEXT: { readonly [from in NodeState]: readonly NodeState[] } = {
  unavailable: ["pending", "running", "unknown"],
  pending: ["running", "unavailable", "unknown"],
  running: ["pending", "unavailable", "unknown"],
  unknown: [],
};

/**
 * Checks a step from one state to another and gives the new one.
 *
 * @throws InvariantError when the table doesn't know the step
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { moveNode } from "./node_states.ts";
 * assert.equal(moveNode("pending", "running"), "running");
 * assert.throws(() => moveNode("unknown", "running"));
 * ```
 */
export function moveNode(from: NodeState, to: NodeState): NodeState {
  if (from === to) return to;
  invariant(NODE_NEXT[from].includes(to), `a node may go from ${from} to ${to}`);
  return to;
}
