/**
 * A storage's phases. `seeking`: no primary has fenced it since it started. `fenced`: it answers to one primary's epoch and
 * takes part in verification. `serving`: clients read and write. `orphaned`: the primary is lost; what is announced
 * goes on reading, until another epoch. `ended`: it stops.
 */
import { invariant } from "../../core/errors.ts";

/** Which phase may follow which. */
export const STORAGE_NEXT = {
  seeking: ["fenced", "ended"],
  fenced: ["fenced", "serving", "seeking", "ended"],
  serving: ["fenced", "orphaned", "ended"],
  orphaned: ["fenced", "ended"],
  ended: [],
} as const;
/** One of them. */
export type StoragePhase = keyof typeof STORAGE_NEXT;

/** Checks a step and gives the new phase. */
export function moveStorage(from: StoragePhase, to: StoragePhase): StoragePhase {
  if (from === to && to !== "fenced") return to;
  const next: readonly StoragePhase[] = STORAGE_NEXT[from];
  invariant(next.includes(to), `a storage may go from ${from} to ${to}`);
  return to;
}
