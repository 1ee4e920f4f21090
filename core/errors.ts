/** Every error a caller may meet, the table of wire codes behind them, and `invariant()` for our own mistakes. */
import { hexOf } from "./ids.ts";
import type { Oid, Partition, Tid, Ttid } from "./ids.ts";

/** What a peer may answer instead of an answer: one code per cause. `remedy` is for the person who reads it. */
export const errorCodes = {
  malformed: {
    number: 1,
    cause: "bytes that are no message of this protocol",
    remedy: "check what connects to this port",
  },
  wrongVersion: { number: 2, cause: "no protocol version in common", remedy: "upgrade the older side" },
  wrongCluster: {
    number: 3,
    cause: "the peer belongs to another cluster",
    remedy: "check name and addresses in the URI or neo.toml",
  },
  wrongRole: {
    number: 4,
    cause: "this role doesn't serve that role",
    remedy: "connect to a node of the role you need",
  },
  wrongNode: {
    number: 5,
    cause: "another node answers at this address",
    remedy: "check the addresses in neo.toml",
  },
  unknownNode: {
    number: 6,
    cause: "the storage's disk id isn't in the cluster's registry",
    remedy: "put its own folder back, or replace the node",
  },
  staleEpoch: {
    number: 7,
    cause: "the primary's epoch is older than one that this node has seen",
    remedy: "stop the older master; if it lost its disk, bring the right one back",
  },
  staleTable: {
    number: 8,
    cause: "the primary's partition table is older than this node's",
    remedy: "bring back the master that holds the newer one",
  },
  sessionEnded: {
    number: 10,
    cause: "the client's session is over",
    remedy: "identify at the primary again",
  },
  notReadable: {
    number: 11,
    cause: "this storage has no readable copy of the partition",
    remedy: "read another replica",
  },
  notAssigned: {
    number: 12,
    cause: "this storage has no cell of the partition",
    remedy: "fetch the table and write to its cells",
  },
  wrongPartition: {
    number: 13,
    cause: "a request names a partition that can't be",
    remedy: "the peer is broken; update it",
  },
  badChecksum: {
    number: 14,
    cause: "data that doesn't match its checksum",
    remedy: "send it again; if it stays, look at the peer's memory and disk",
  },
  oidUnknown: { number: 15, cause: "no object has this id", remedy: "check the id" },
  noSuchRevision: {
    number: 16,
    cause: "the object has no revision there",
    remedy: "it was created later; read at a later tid",
  },
  conflict: {
    number: 17,
    cause: "another transaction published the object first",
    remedy: "read it again and retry",
  },
  lockTimeout: {
    number: 18,
    cause: "another transaction held the object's lock for too long",
    remedy: "retry; a client may hang between store and commit",
  },
  noSpace: { number: 19, cause: "the storage is short of disk space", remedy: "free space on its disk" },
  tooLarge: { number: 20, cause: "larger than a limit allows", remedy: "split it" },
  lacks: {
    number: 21,
    cause: "the storage doesn't hold all that a vote names",
    remedy: "store again what the answer doesn't name, and vote again",
  },
  missing: {
    number: 22,
    cause: "votes are missing of nodes that must have the transaction",
    remedy: "store and vote there, then finish again",
  },
  incomplete: {
    number: 23,
    cause: "a partition of the transaction has no copy that locked it",
    remedy: "retry when its storages are back",
  },
  aborted: { number: 24, cause: "the transaction was given up", remedy: "retry it" },
  tidTaken: {
    number: 25,
    cause: "an explicit tid isn't above the last one",
    remedy: "import into an empty database, or from a later transaction",
  },
  outcomePending: {
    number: 26,
    cause: "no storage that knows the transaction's outcome is there",
    remedy: "ask again when they are back",
  },
  unknownTransaction: {
    number: 27,
    cause: "the storage doesn't hold the transaction's vote",
    remedy: "none: the primary gives the storage up",
  },
  denied: { number: 28, cause: "the request isn't allowed now", remedy: "see the reason" },
  stopping: { number: 29, cause: "the cluster stops", remedy: "start it again" },
  timedOut: {
    number: 30,
    cause: "the deadline passed before the condition was met",
    remedy: "see what it waited for; retry with more time",
  },
  lost: { number: 31, cause: "the connection ended", remedy: "none: it is made again by itself" },
  ioError: { number: 32, cause: "the storage's disk failed", remedy: "look at its log; replace the disk" },
  notPrimary: {
    number: 33,
    cause: "another master is the primary, or none is",
    remedy: "none: the primary is looked for by itself; see `neo status` if there is none",
  },
  untrusted: {
    number: 34,
    cause: "a certificate that isn't accepted, or none",
    remedy:
      "see the reason; `neo tls list` shows certificates, `neo tls issue` and `neo tls renew` make them",
  },
  badUri: {
    number: 35,
    cause: "a text that is no URI of a cluster",
    remedy: "write neo://NAME@HOST:PORT; the offset says where it is wrong",
  },
  readOnly: {
    number: 36,
    cause: "the cluster is a backup of another one",
    remedy: "write to the cluster that it is a backup of, or end that with `neo cluster promote`",
  },
  packed: {
    number: 37,
    cause: "that part of the past isn't kept any more: it was packed",
    remedy:
      "read at the pack's bound or later, `neo status` shows it; older data may be in a backup or an export",
  },
} as const;

/** The name of a cause. */
export type ErrorCode = keyof typeof errorCodes;

/** Base of all errors of neo: `code` says the cause in one word. */
export class DatabaseError extends Error {
  override name = "DatabaseError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** One object of a refused transaction: what the write started from, and what was published meanwhile. */
export interface Conflict {
  readonly oid: Oid;
  readonly base: Tid;
  readonly saved: Tid;
}

/** Other transactions published some of these objects first: read them again and retry. */
export class ConflictError extends DatabaseError {
  override name = "ConflictError";
  readonly conflicts: readonly Conflict[];

  constructor(conflicts: readonly Conflict[], options?: ErrorOptions) {
    const first = conflicts[0];
    const what = first === undefined
      ? "objects changed"
      : `object ${first.oid} changed at tid ${hexOf(first.saved)} after ${hexOf(first.base)}`;
    const more = conflicts.length > 1 ? ` and ${conflicts.length - 1} more did` : "";
    super("conflict", `Cannot commit: ${what}${more}; read again and retry`, options);
    this.conflicts = conflicts;
  }
}

/** A store waited too long for another transaction to end: retry, or look for a client that hangs. */
export class LockTimeoutError extends DatabaseError {
  override name = "LockTimeoutError";
  readonly oid: Oid;
  readonly holder: Ttid;

  constructor(oid: Oid, holder: Ttid, options?: ErrorOptions) {
    super("lockTimeout", `Cannot lock object ${oid}: transaction ${holder} holds it; retry`, options);
    this.oid = oid;
    this.holder = holder;
  }
}

/**
 * A transaction can't be undone. `changed`: an object was changed by another one since, and no resolver took the change out
 * (`changedBy` is that one); `gone`: a revision of it isn't there any more; `packed`: what was before it isn't kept; `unknown`: there is none with this tid in the snapshot.
 */
export class UndoError extends DatabaseError {
  override name = "UndoError";
  readonly reason: "changed" | "gone" | "packed" | "unknown";
  readonly tid: Tid;
  readonly oid: Oid | undefined;
  readonly changedBy: Tid | undefined;

  constructor(
    reason: UndoError["reason"],
    { tid, oid, changedBy }: { readonly tid: Tid; readonly oid?: Oid; readonly changedBy?: Tid },
    options?: ErrorOptions,
  ) {
    const why = {
      changed: `object ${oid} was changed by ${
        hexOf(changedBy ?? tid)
      } since; undo that first, or give a resolver`,
      packed: "what was before it isn't kept any more: history is packed beyond it",
      gone: `its revision of object ${oid} isn't there any more`,
      unknown: "the snapshot has no such transaction; `client.transactions()` lists them",
    }[reason];
    const code = reason === "changed" ? "denied" : reason === "packed" ? "packed" : "noSuchRevision";
    super(code, `Cannot undo ${hexOf(tid)}: ${why}`, options);
    this.reason = reason;
    this.tid = tid;
    this.oid = oid;
    this.changedBy = changedBy;
  }
}

/** What was asked for lies below the bound of a pack: it may be gone, and isn't shown if it isn't. Read at `bound` or later. */
export class PackedError extends DatabaseError {
  override name = "PackedError";
  readonly bound: Tid;

  constructor(message: string, bound: Tid, options?: ErrorOptions) {
    super("packed", message, options);
    this.bound = bound;
  }
}

/** The transaction was given up, by its client or by the cluster: nothing of it is stored. */
export class AbortedError extends DatabaseError {
  override name = "AbortedError";

  constructor(message: string, options?: ErrorOptions) {
    super("aborted", message, options);
  }
}

/**
 * The outcome of a commit isn't known yet, because everything that knows it is away: `Client.outcome()` asks again, with
 * the two facts of this error.
 */
export class OutcomePendingError extends DatabaseError {
  override name = "OutcomePendingError";
  readonly ttid: Ttid;
  /** The partition that keeps the transaction's outcome. */
  readonly home: Partition;

  constructor(ttid: Ttid, home: Partition, options?: ErrorOptions) {
    const message =
      `Cannot tell yet whether transaction ${ttid} is committed: what knows it is away; ask again`;
    super("outcomePending", message, options);
    this.ttid = ttid;
    this.home = home;
  }
}

/** A peer, a call or a whole cluster couldn't be reached before the deadline. */
export class UnreachableError extends DatabaseError {
  override name = "UnreachableError";

  constructor(message: string, options?: ErrorOptions & { code?: "timedOut" | "lost" | "stopping" }) {
    super(options?.code ?? "timedOut", message, options);
  }
}

/** A peer refused us at identification: nothing changes until somebody changes the configuration. */
export class RefusedError extends DatabaseError {
  override name = "RefusedError";
}

/** Bytes that can't be decoded, with where it stopped. */
export class MalformedError extends DatabaseError {
  override name = "MalformedError";

  constructor(message: string, options?: ErrorOptions) {
    super("malformed", message, options);
  }
}

/** Our own mistake: the process can't go on with what it believes. Recovery repairs. */
export class InvariantError extends Error {
  override name = "InvariantError";
}

/**
 * States what must hold, positively.
 *
 * @throws InvariantError naming the rule when it doesn't
 */
export function invariant(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new InvariantError(`Broken invariant: ${rule}`);
}

/** Closes a `switch`: the compiler names a forgotten case. */
export function unreachable(value: never): never {
  throw new InvariantError(`Broken invariant: every case is handled (${JSON.stringify(value)})`);
}
