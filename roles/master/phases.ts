/**
 * A cluster's phases. `recovering`: the primary opens an epoch and gathers an operational set of storages.
 * `verifying`: what was in doubt is committed everywhere or dropped. `starting`: storages begin to serve. `running`.
 * `stopping`: finishes are served until a deadline. `ended`.
 */
import { invariant } from "../../core/errors.ts";

/** Which phase may follow which. */
export const MASTER_NEXT = {
  recovering: ["recovering", "verifying", "stopping"],
  verifying: ["starting", "recovering", "stopping"],
  starting: ["running", "recovering", "stopping"],
  running: ["stopping", "recovering"],
  stopping: ["ended"],
  ended: [],
} as const;
/** One of them. */
export type Phase = keyof typeof MASTER_NEXT;

/** Checks a step and gives the new phase. */
export function movePhase(from: Phase, to: Phase): Phase {
  const next: readonly Phase[] = MASTER_NEXT[from];
  invariant(next.includes(to), `a cluster may go from ${from} to ${to}`);
  return to;
}
