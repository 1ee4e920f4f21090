/** The promises of a storage's database: what is written to it, what it is asked, what it finds when it opens. */
import type { Oid, Partition, Tid, Ttid } from "./ids.ts";
import type { Note, TransactionInfo } from "./messages.ts";
import type { Store } from "./store.ts";

/** Data of an object, or a part of it, as it travels and is kept. */
export interface StoredData {
  /** 0 none, 1 deflate, 2 the data is a manifest (`core/parts.ts`) and the value is kept in parts. */
  readonly compression: number;
  readonly checksum: Uint8Array;
  readonly data: Uint8Array;
}

/** A change of a storage's database. Tids and states were decided by its machine. */
export type DatabaseWrite =
  /** A higher epoch was seen. */
  | { readonly op: "epoch"; readonly epoch: number }
  /** The newest table that the primary sent. */
  | { readonly op: "image"; readonly image: Uint8Array }
  /** The newest metadata of the masters: no storage reads it, only the recovery of a cluster whose masters are lost. */
  | { readonly op: "registry"; readonly state: Uint8Array }
  /**
   * Keeps a part of a value before its `store`: `seq` 0 begins a value, in place of parts that came before, and each
   * later one follows the one before it.
   */
  | {
    readonly op: "part";
    readonly ttid: Ttid;
    readonly oid: Oid;
    readonly seq: number;
    readonly stored: StoredData;
  }
  /**
   * Keeps one object of a transaction, unseen by readers; replaces what the transaction stored for it before.
   * `stored` null: a deletion, or, with `link`, the data of that earlier revision. `mode` "check" keeps no revision.
   * A manifest takes the object's parts along; with anything else they are gone.
   */
  | {
    readonly op: "store";
    readonly ttid: Ttid;
    readonly oid: Oid;
    readonly partition: Partition;
    readonly base: Tid;
    readonly mode: "store" | "check";
    readonly lockless: boolean;
    readonly stored: StoredData | null;
    readonly link: Tid | null;
  }
  /** Forgets one object of a transaction, and its parts. */
  | { readonly op: "unstore"; readonly ttid: Ttid; readonly oid: Oid }
  /** The node promises the transaction: it survives a restart until `unlock` or `abort`. */
  | {
    readonly op: "vote";
    readonly ttid: Ttid;
    readonly home: Partition;
    readonly ageMs: number;
    readonly note: Note | null;
  }
  /** The vote no longer counts; what was stored stays. */
  | { readonly op: "unvote"; readonly ttid: Ttid }
  /** The transaction's tid is known: it commits. */
  | { readonly op: "lock"; readonly ttid: Ttid; readonly tid: Tid }
  /**
   * Makes a locked transaction's revisions final under its tid; no-op when the ttid isn't held. Rows that `copy` has brought
   * meanwhile are replaced.
   */
  | { readonly op: "unlock"; readonly ttid: Ttid; readonly tid: Tid }
  /** Forgets a transaction; no-op when the ttid isn't held. */
  | { readonly op: "abort"; readonly ttid: Ttid }
  /**
   * Final rows of a partition as another copy has them, best in the order of `rows`: it is faster. One that is here already
   * is replaced, and its data goes unless another row shares it. A manifest takes along the parts that `copyPart` brought
   * for its revision; if none were brought and the same manifest is here, that keeps its parts.
   */
  | {
    readonly op: "copy";
    readonly partition: Partition;
    readonly transactions: readonly TransactionInfo[];
    readonly revisions: readonly CopiedRevision[];
  }
  /** Keeps a part of a value before the `copy` of its revision; as with `part`, 0 begins and each later one follows. */
  | {
    readonly op: "copyPart";
    readonly oid: Oid;
    readonly tid: Tid;
    readonly seq: number;
    readonly stored: StoredData;
  }
  /** Deletes final rows of a partition that no good copy has; no-op for one that isn't there. */
  | {
    readonly op: "uncopy";
    readonly partition: Partition;
    readonly transactions: readonly Tid[];
    readonly revisions: readonly RevisionKey[];
  }
  /**
   * The cell that was outdated or created at table version `since` has everything up to `tid`. One a partition. `since` 0: the
   * database is a copy of another storage's, and so would a new cell have.
   */
  | {
    readonly op: "resume";
    readonly partition: Partition;
    readonly since: number;
    readonly tid: Tid;
  }
  /**
   * Deletes the first final rows of a partition, `rowsMax` at most, copied parts that wait, and its resume point: its cell
   * was discarded.
   */
  | { readonly op: "erase"; readonly partition: Partition; readonly rowsMax: number }
  /**
   * Deletes every final row above `tid`, in all partitions, and remembers the truncation's number. Resume points above it
   * come down to it; transactions that aren't final stay as they are.
   */
  | { readonly op: "truncate"; readonly number: number; readonly tid: Tid }
  /** A pack was decided: of each object only the newest revision up to this tid is needed, and what is above. */
  | { readonly op: "packBound"; readonly tid: Tid }
  /** Deletes revisions that a pack to `bound` takes, and remembers how far it has come; null: it is done. */
  | {
    readonly op: "pack";
    readonly revisions: readonly RevisionKey[];
    readonly bound: Tid;
    readonly after: RevisionKey | null;
  };

/** One revision of an object. */
export interface RevisionKey {
  readonly oid: Oid;
  readonly tid: Tid;
}

/** A final revision as it goes from one copy to another. `stored` null: a deletion. */
export interface CopiedRevision extends RevisionKey {
  readonly stored: StoredData | null;
  /** The earlier revision that has the same data; it is shared with that one where it is here and really the same. */
  readonly link: Tid | null;
}

/**
 * A place between the final rows of a partition, which are ordered by tid; of one tid the transaction comes first, then
 * its revisions by oid. It lies behind the revision of `oid`, or, with null, behind all of the tid.
 */
export interface RowPlace {
  readonly tid: Tid;
  readonly oid: Oid | null;
}

/** A pack that was done, or has come so far: behind `after`, in the order of oid and tid, it still has to look. Null: it is done. */
export interface PackPlace {
  readonly bound: Tid;
  readonly after: RevisionKey | null;
}

/** A piece of a range of tids: from where the piece before it ends up to here. */
export interface Slice {
  readonly upTo: Tid;
  /** Transactions and revisions. */
  readonly rows: number;
  /** As `digest` gives it for the rows of the piece. */
  readonly digest: Uint8Array;
}

/** A transaction that a database holds and that isn't final. */
export interface HeldTransaction {
  readonly ttid: Ttid;
  readonly home: Partition;
  readonly ageMs: number;
  readonly tid: Tid | null;
  readonly noted: boolean;
  readonly objects: readonly {
    readonly oid: Oid;
    readonly partition: Partition;
    readonly base: Tid;
    readonly mode: "store" | "check";
    readonly lockless: boolean;
    /** Null for deletions and checks. */
    readonly checksum: Uint8Array | null;
  }[];
}

/** One revision, as a database gives it. `next` null: no later one is final here. */
export interface StoredRevision {
  readonly tid: Tid;
  readonly next: Tid | null;
  readonly stored: StoredData | null;
  readonly link: Tid | null;
}

/** Questions to a storage's database, about what is final. */
export type DatabaseQuery =
  /** The newest tid of an object, `ZERO_TID` if there is none. */
  | { readonly read: "latest"; readonly oid: Oid }
  /** The newest revision with tid <= at. */
  | { readonly read: "load"; readonly oid: Oid; readonly at: Tid }
  | { readonly read: "loadExact"; readonly oid: Oid; readonly tid: Tid }
  /** One part of a value whose revision is a manifest. */
  | { readonly read: "loadPart"; readonly oid: Oid; readonly tid: Tid; readonly seq: number }
  | { readonly read: "loadMany"; readonly oids: readonly Oid[]; readonly at: Tid; readonly bytesMax: number }
  /** Transactions of these home partitions with after < tid <= upTo, ascending, `count` at most. */
  | {
    readonly read: "transactions";
    readonly partitions: readonly Partition[];
    readonly after: Tid;
    readonly upTo: Tid;
    readonly count: number;
  }
  /** The tid of a final transaction. */
  | { readonly read: "fate"; readonly ttid: Ttid }
  /** Newest final tid of each partition's transactions, and the highest oid and ttid that are here, final or not. */
  | { readonly read: "marks" }
  /** How large it is; from counters, not by looking at rows. */
  | { readonly read: "size" }
  /** A digest over all final rows of a partition with tid <= upTo: transactions in tid order, then revisions by (tid, oid). */
  | { readonly read: "digest"; readonly partition: Partition; readonly upTo: Tid } & Packed
  /**
   * The final rows of a partition with after < tid <= upTo in at most `count` slices of about as many rows each; a tid
   * is never cut. The last slice ends at `upTo`, or where `rowsMax` rows were looked at. One that has no rows in the whole
   * range is one slice of none.
   */
  | {
    readonly read: "slices";
    readonly partition: Partition;
    readonly after: Tid;
    readonly upTo: Tid;
    readonly count: number;
    readonly rowsMax: number;
  } & Packed
  /** Which final rows of a partition have after < tid <= upTo: `rowsMax` at most, but the first tid is never cut. */
  | {
    readonly read: "keys";
    readonly partition: Partition;
    readonly after: Tid;
    readonly upTo: Tid;
    readonly rowsMax: number;
  } & Packed
  /**
   * Final rows of a partition behind `after` up to tid `upTo`, with data: `rowsMax` and `bytesMax` at most (of data, notes
   * and oids), but at least one; a page never ends between a transaction and the first of its revisions. Data of a link is
   * that of the linked revision; parts are asked for with `loadPart`.
   */
  | {
    readonly read: "rows";
    readonly partition: Partition;
    readonly after: RowPlace;
    readonly upTo: Tid;
    readonly rowsMax: number;
    readonly bytesMax: number;
  } & Packed
  /** These final rows, as far as they are here, in this order: `bytesMax` at most, counted as for `rows`, but at least one. */
  | {
    readonly read: "pick";
    readonly partition: Partition;
    readonly transactions: readonly Tid[];
    readonly revisions: readonly RevisionKey[];
    readonly bytesMax: number;
  }
  /** Partitions that have final rows. */
  | { readonly read: "stocked" }
  /**
   * Reads final revisions of a partition behind `after` and says whose data, or one of whose parts, doesn't match its
   * checksum any more, isn't there or can't be read. It ends once `bytesMax` is reached, where each revision counts
   * `SCRUB_ROW_BYTES` more than its bytes; a revision is never cut, however many parts it has.
   */
  | {
    readonly read: "scrub";
    readonly partition: Partition;
    readonly after: RowPlace;
    readonly bytesMax: number;
  }
  /**
   * Which revisions a pack to `bound` takes, of the next `rowsMax` behind `after` in the order of oid and tid: those whose object
   * has a newer one up to the bound.
   */
  | {
    readonly read: "packable";
    readonly bound: Tid;
    readonly after: RevisionKey;
    readonly rowsMax: number;
  };

/**
 * Rows as they are after a pack to `bound`, whether it was done here or not: a revision with a newer one of its object up to
 * the bound doesn't count. All count unless it is told.
 */
export interface Packed {
  readonly bound?: Tid;
}

/** Answers, by the question's `read`. */
export interface DatabaseAnswers {
  readonly latest: { readonly read: "latest"; readonly tid: Tid };
  readonly load: { readonly read: "load"; readonly known: boolean; readonly revision: StoredRevision | null };
  readonly loadExact: {
    readonly read: "loadExact";
    readonly known: boolean;
    readonly revision: StoredRevision | null;
  };
  /** `part` null: no such part, no such revision, or none that has parts; `known`: the object exists. */
  readonly loadPart: { readonly read: "loadPart"; readonly known: boolean; readonly part: StoredData | null };
  readonly loadMany: {
    readonly read: "loadMany";
    /** In the order of the question; fewer when `bytesMax` was reached, but at least one. */
    readonly objects: readonly {
      readonly oid: Oid;
      readonly known: boolean;
      readonly revision: StoredRevision | null;
    }[];
  };
  readonly transactions: { readonly read: "transactions"; readonly transactions: readonly TransactionInfo[] };
  readonly fate: { readonly read: "fate"; readonly tid: Tid | null };
  readonly marks: {
    readonly read: "marks";
    readonly lastTids: readonly { readonly partition: Partition; readonly tid: Tid }[];
    readonly lastOid: Oid | null;
    readonly lastTtid: Ttid | null;
  };
  readonly digest: { readonly read: "digest"; readonly count: number; readonly digest: Uint8Array };
  readonly slices: { readonly read: "slices"; readonly slices: readonly Slice[] };
  readonly keys: {
    readonly read: "keys";
    /** Each with the digest of its one row, 8 bytes. */
    readonly transactions: readonly { readonly tid: Tid; readonly digest: Uint8Array }[];
    readonly revisions: readonly (RevisionKey & { readonly digest: Uint8Array })[];
    /** Up to here these are all. */
    readonly upTo: Tid;
  };
  readonly rows: {
    readonly read: "rows";
    readonly transactions: readonly TransactionInfo[];
    readonly revisions: readonly CopiedRevision[];
    /** Where the next page begins; null: there are no more. */
    readonly next: RowPlace | null;
  };
  readonly pick: {
    readonly read: "pick";
    readonly transactions: readonly TransactionInfo[];
    readonly revisions: readonly CopiedRevision[];
    /** Keys that were looked at, transactions first; the rest is asked again. */
    readonly seen: number;
  };
  readonly size: {
    readonly read: "size";
    /** Bytes of all final revisions with their parts, as they are compressed; null: that isn't counted there. */
    readonly bytes: number | null;
    /** Those of them that are the newest of their object. */
    readonly live: number | null;
    /** What `bytes` was before the first commit of each of the last days, counted since 1970. */
    readonly days: readonly { readonly day: number; readonly bytes: number }[];
    /** What the database takes on its disk, and how much of that is free for what is written next; null: unknown. */
    readonly fileBytes: number | null;
    readonly reusableBytes: number | null;
  };
  readonly stocked: { readonly read: "stocked"; readonly partitions: readonly Partition[] };
  readonly scrub: {
    readonly read: "scrub";
    readonly broken: readonly RevisionKey[];
    /** Bytes of data that were read. */
    readonly bytes: number;
    readonly next: RowPlace | null;
  };
  readonly packable: {
    readonly read: "packable";
    readonly revisions: readonly RevisionKey[];
    /** The last revision that was looked at; null: there are no more. */
    readonly next: RevisionKey | null;
  };
}
export type DatabaseAnswer = DatabaseAnswers[DatabaseQuery["read"]];

/** Who a database belongs to; made once, by `init`. */
export interface DatabaseIdentity {
  readonly clusterId: string;
  readonly cluster: string;
  readonly name: string;
  /** Random, made with the database: the node's identity. */
  readonly diskId: string;
  readonly partitions: number;
}

/**
 * What a storage finds when it opens its database. Transactions that were stored and never voted are gone, and so are parts
 * whose store didn't come.
 */
export interface DatabaseState {
  readonly identity: DatabaseIdentity;
  readonly epoch: number;
  /** The newest table that was saved, null before the first. */
  readonly image: Uint8Array | null;
  /** The newest metadata of the masters that was saved, null before the first. */
  readonly registry: Uint8Array | null;
  readonly held: readonly HeldTransaction[];
  /** How far cells that were outdated are complete, at most one a partition. */
  readonly resumes: readonly { readonly partition: Partition; readonly since: number; readonly tid: Tid }[];
  /** The newest tid among the final rows of each partition that has some. */
  readonly newest: readonly { readonly partition: Partition; readonly tid: Tid }[];
  /** The number of the last truncation that was done here; 0: none. */
  readonly truncations: number;
  /** The highest bound of a pack that is known here, and the pack that was begun last. */
  readonly packBound: Tid;
  readonly packed: PackPlace;
}

/** The database of a storage. One process at a time may have it open. */
export interface Database extends Store<DatabaseWrite, DatabaseQuery, DatabaseAnswer> {
  /** What stood there when it was opened. */
  readonly state: DatabaseState;
}
