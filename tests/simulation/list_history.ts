/** Histories of lists that transactions append to and read: what `anomalies.ts` judges. */

/** What names a list. */
export type Key = string | bigint;

/** What a transaction did, in its order. Each element is appended to a list once in a history, by whomever. */
export type ListStep =
  | { readonly do: "append"; readonly key: Key; readonly element: number }
  /** The whole list as it was seen, with what the transaction itself had appended before. */
  | { readonly do: "read"; readonly key: Key; readonly list: readonly number[] };

/** A transaction as its client knows it. */
export interface ListTransaction {
  /** For whoever reads what is wrong. */
  readonly name: string;
  readonly steps: readonly ListStep[];
  /** Reads alone are `committed`. */
  readonly fate: "committed" | "refused" | "unknown";
  /** Transactions of one session begin when the one before has ended, and see what it saw. */
  readonly session?: string | undefined;
  /** When its snapshot was asked for; undefined for one of the past, which needn't see what has ended before. */
  readonly begunMs?: number | undefined;
  /** When its end was known. */
  readonly endedMs?: number | undefined;
  /** Its snapshot: it sees what has a tid up to this. */
  readonly at?: bigint | undefined;
  /** Where it stands in the one order of commits. */
  readonly tid?: bigint | undefined;
}

/** All that was done to the lists. */
export interface ListHistory {
  /** In the order in which they began, within a session. */
  readonly transactions: readonly ListTransaction[];
  /** The lists at the end, where that is known. */
  readonly stored: ReadonlyMap<Key, readonly number[]>;
}

/** What is wrong with a history. */
export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly text: string;
}

/**
 * Cycles get `-order` where they need more than data: what had ended in time, in the session or before the snapshot. Those
 * that need no data at all are `order`.
 */
export type AnomalyKind = DirectKind | CycleKind | `${CycleKind}-order` | "order";

/** What is seen without looking for cycles. */
export type DirectKind =
  /** A transaction read something else than what it read or wrote itself before. */
  | "internal"
  /** An element that nobody appended. */
  | "garbage"
  /** An element that stands in a list twice. */
  | "duplicate"
  /** Two lists of which neither is the beginning of the other. */
  | "incompatibleOrder"
  /** What a refused transaction appended was read. */
  | "G1a"
  /** Of what a transaction appended, some was read without the rest. */
  | "G1b"
  /** What a refused transaction appended is part of what is stored. */
  | "dirtyUpdate"
  /** Two commits changed the same version, or what one of them appended is gone. */
  | "lostUpdate"
  /** A dependency on what was committed after the snapshot. */
  | "G-SIa";

/** Kinds of cycles that snapshot isolation forbids. */
export type CycleKind =
  /** Only of writes that follow writes. */
  | "G0"
  /** Of writes, and reads of what was written. */
  | "G1c"
  /** With one read of what was written over then. */
  | "G-single"
  /** With several, of which no two follow each other. */
  | "G-nonadjacent";
