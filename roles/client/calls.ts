/** What a program asks of a client machine, and what it gets: the narrow waist under `mod.ts`, CLI and simulator. */
import type { DatabaseError } from "../../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import type { Answer, NodeInfo, TransactionInfo } from "../../core/messages.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { Manifest } from "../../core/parts.ts";

/** One object that a transaction writes. */
export interface Write {
  readonly oid: Oid;
  /** The revision that the write started from; `ZERO_TID` for a new object. */
  readonly base: Tid;
  /** Null deletes the object, or, with `link`, says that the linked revision is a deletion. */
  readonly data: Uint8Array | null;
  /** Repeats an earlier revision of the object (an undo). */
  readonly link?: Tid;
  /** The value was given part by part, under the commit's draft; `data` is null then. */
  readonly streamed?: boolean;
}

/** A transaction to commit. */
export interface Commit {
  readonly writes: readonly Write[];
  /** Objects that must still be as they were read. */
  readonly checks: readonly { readonly oid: Oid; readonly base: Tid }[];
  readonly user: Uint8Array;
  readonly description: Uint8Array;
  readonly extension: Uint8Array;
  /** `" "`, or `"p"` for a transaction that was packed where it comes from. */
  readonly status: string;
  /** Keeps a given tid and skips consistency checks: only while the cluster imports. */
  readonly restoreTid?: Tid;
  /** With that: a transaction before it, which is on its way; this one waits until that is accepted. */
  readonly behind?: Tid;
  /** When the first attempt began, on the primary's clock; older transactions get locks first. */
  readonly ageMs?: number;
  /** The call number under which parts of streamed values were given. */
  readonly draft?: number;
  /** Whether conflicts of its writes are put out to be resolved, in place of failing it. */
  readonly resolves?: boolean;
}

/** What a program makes of a conflict: the write as it shall be, on top of what was saved meanwhile. */
export interface Resolution {
  readonly oid: Oid;
  readonly data: Uint8Array | null;
}

/** An object as a program sees it. `data` null: deleted there. */
export interface LoadedRevision {
  readonly tid: Tid;
  /** The tid of the next revision, null while this one is current. */
  readonly next: Tid | null;
  readonly data: Uint8Array | null;
  readonly link: Tid | null;
  /** How a larger value was cut; `data` is null then, and each part is loaded by itself. */
  readonly parts?: Manifest;
}

/** A call and its result, by name. */
export interface Calls {
  /** Waits until the cluster lets this client in. */
  readonly connect: { readonly request: Record<never, never>; readonly result: { readonly lastTid: Tid } };
  /** The newest tid, after all invalidations up to it have been applied. `ageMs`: the primary's time. */
  readonly sync: {
    readonly request: Record<never, never>;
    readonly result: { readonly lastTid: Tid; readonly ageMs: number };
  };
  /** The newest revision with tid <= at; undefined: no such object there. */
  readonly load: {
    readonly request: { readonly oid: Oid; readonly at: Tid };
    readonly result: LoadedRevision | undefined;
  };
  readonly loadMany: {
    readonly request: { readonly oids: readonly Oid[]; readonly at: Tid };
    readonly result: readonly (LoadedRevision | undefined)[];
  };
  readonly loadExact: {
    readonly request: { readonly oid: Oid; readonly tid: Tid };
    readonly result: LoadedRevision | undefined;
  };
  /** One part of a value, checked and expanded; undefined: its revision is gone. */
  readonly loadPart: {
    readonly request: {
      readonly oid: Oid;
      readonly tid: Tid;
      readonly seq: number;
      readonly parts: Manifest;
    };
    readonly result: Uint8Array | undefined;
  };
  /**
   * The next part of a value that a transaction writes: `PART_BYTES_MAX` bytes, the last one fewer. Done when more may be
   * given. `draft`: a call number of the transaction's own.
   */
  readonly part: {
    readonly request: {
      readonly draft: number;
      readonly oid: Oid;
      readonly data: Uint8Array;
      readonly ageMs: number | undefined;
    };
    readonly result: Record<never, never>;
  };
  readonly newOids: { readonly request: { readonly count: number }; readonly result: readonly Oid[] };
  readonly commit: { readonly request: Commit; readonly result: { readonly tid: Tid; readonly ttid: Ttid } };
  /** Transactions with after < tid <= upTo over all partitions, ascending, `count` at most: all of them up to the result's `upTo`. */
  readonly transactions: {
    readonly request: { readonly after: Tid; readonly upTo: Tid; readonly count: number };
    readonly result: { readonly transactions: readonly TransactionInfo[]; readonly upTo: Tid };
  };
  /** Begins or ends the import stage. */
  readonly stage: {
    readonly request: { readonly importing: boolean; readonly origin: string };
    readonly result: { readonly lastTid: Tid; readonly origin: string };
  };
  /** Waits until this client may copy another cluster's transactions to this one, which is a backup of `of`. */
  readonly follow: {
    readonly request: Record<never, never>;
    readonly result: { readonly lastTid: Tid; readonly of: string };
  };
  /** What the other cluster has packed beyond what was copied counts as packed here, before anything else is copied. */
  readonly followPack: {
    readonly request: { readonly tid: Tid };
    readonly result: Record<never, never>;
  };
  /** Tells the primary how far the other cluster is, or what stands in the way; nobody waits for it. */
  readonly followed: {
    readonly request: { readonly newest: Tid | null; readonly problem: string };
    readonly result: Record<never, never>;
  };
  /** Tells the primary which snapshot of the program is the oldest, now and in each session to come. */
  readonly floor: {
    readonly request: { readonly at: Tid | null };
    readonly result: Record<never, never>;
  };
  /** The digest of one partition on each of its readable cells. */
  readonly digests: {
    readonly request: { readonly partition: Partition; readonly upTo: Tid };
    readonly result: readonly {
      readonly node: string;
      readonly count: number;
      readonly digest: Uint8Array;
    }[];
  };
  /** What the client knows of the cluster, without asking. */
  readonly view: {
    readonly request: Record<never, never>;
    readonly result: {
      readonly table: ReadonlyTable;
      readonly nodes: readonly NodeInfo[];
      readonly lastTid: Tid;
      readonly clusterId: string;
      /** How many truncations there were. */
      readonly truncations: number;
      /** Up to where history is packed, or may be in a moment. */
      readonly packBound: Tid;
    };
  };
  /** What became of a commit whose answer never came: its tid, or null when nothing of it is stored. */
  readonly outcome: {
    readonly request: { readonly ttid: Ttid; readonly home: Partition };
    readonly result: { readonly tid: Tid | null };
  };
  /** A moment before another attempt at a transaction, longer and less certain with each. */
  readonly pause: { readonly request: { readonly attempt: number }; readonly result: Record<never, never> };
  /** Its time being over is its result: nobody is asked. */
  readonly elapse: { readonly request: Record<never, never>; readonly result: Record<never, never> };
  readonly status: { readonly request: Record<never, never>; readonly result: Answer<"status"> };
}

/** Names of calls. */
export type CallName = keyof Calls;
/** A call, as the machine takes it. `withinMs`: how long the caller waits. */
export type ClientCall = {
  [N in CallName]: {
    readonly type: "call";
    readonly call: number;
    readonly name: N;
    readonly request: Calls[N]["request"];
    readonly withinMs: number;
  };
}[CallName];

/** What a program says of a call that is under way. */
export type ClientWord =
  /** The conflicts of a commit are resolved; undefined: they can't be. `round`: that of the output which told of them. */
  | {
    readonly type: "resolve";
    readonly call: number;
    readonly round: number;
    readonly resolutions: readonly Resolution[] | undefined;
  }
  /** A transaction that has streamed values isn't committed. `call`: its draft. */
  | { readonly type: "discard"; readonly call: number }
  /** The call isn't wanted any more. A commit whose `finish` is out can't be taken back: its outcome is still told. */
  | { readonly type: "cancel"; readonly call: number };

/** What comes out: a call's end, or news. */
export type ClientOutput =
  /** A commit meets conflicts, all of them told at once, and keeps its locks while the program resolves them. */
  | {
    readonly type: "conflict";
    readonly call: number;
    readonly round: number;
    readonly conflicts: readonly { readonly oid: Oid; readonly base: Tid; readonly saved: Tid }[];
  }
  | { readonly type: "settled"; readonly call: number; readonly result: unknown }
  | { readonly type: "failed"; readonly call: number; readonly error: DatabaseError }
  /**
   * Applied before any later answer: `tid` is published, these objects have a new revision. `oids` null: a new session
   * begins at `tid`, and what was published since the last one isn't told one by one.
   */
  | { readonly type: "published"; readonly tid: Tid; readonly oids: readonly Oid[] | null };
