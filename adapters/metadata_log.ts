/** The rules that every metadata store keeps about its log. An empty store stands as if snapshot 0 had been taken. */
import { invariant } from "../core/errors.ts";
import type { LogEntry, MetadataState } from "../core/ports.ts";

/** Indices that a log reaches: everything up to `snapshot` is contained in a snapshot, `last` is the newest. */
export interface LogBounds {
  readonly snapshot: number;
  readonly last: number;
}

/**
 * Checks that entries may be written to a log: without a gap, and above the snapshot. The first may be one that stands
 * there: it and all after it are replaced.
 */
export function checkAppend(log: LogBounds, entries: readonly LogEntry[]): void {
  const [head] = entries;
  if (head === undefined) return;
  invariant(head.index > log.snapshot, "what a snapshot contains isn't appended again");
  invariant(head.index <= log.last + 1, "a log has no gap");
  invariant(
    entries.every((entry, i) => entry.index === head.index + i),
    "entries are appended in their order",
  );
}

/** Checks that a snapshot may take the place of the one at `before`. */
export function checkSnapshot(before: number, index: number): void {
  invariant(index >= before, "a snapshot isn't older than the one before");
}

/** Checks that a ballot may take the place of the one before: terms grow, and a vote isn't given twice in one. */
export function checkBallot(before: MetadataState["ballot"], now: MetadataState["ballot"]): void {
  invariant(now.term >= before.term, "terms don't go back");
  const isOther = before.votedFor !== null && before.votedFor !== now.votedFor;
  invariant(now.term > before.term || !isOther, "a master votes once in a term");
}
