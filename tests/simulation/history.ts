/** What clients did and heard, for the checkers. */
import type { Oid, Tid, Ttid } from "../../core/ids.ts";

/** What a client knows of its commit: `unknown` if the answer never came, or couldn't be found out in time. */
export type Fate = "open" | "acknowledged" | "refused" | "unknown";

/** One object that a transaction wrote; text null: a deletion. */
export interface WriteRecord {
  readonly oid: Oid;
  readonly base: Tid;
  readonly text: string | null;
}

/** A transaction as its client saw it. Its number stands in its description. */
export interface TransactionRecord {
  readonly number: number;
  readonly client: string;
  /** What its client wants to be stored; conflicts that it resolves change it. */
  writes: readonly WriteRecord[];
  readonly checks: readonly { readonly oid: Oid; readonly base: Tid }[];
  readonly begunMs: number;
  fate: Fate;
  endedMs: number;
  tid: Tid | undefined;
  ttid: Ttid | undefined;
  /** Why it was refused. */
  code: string | undefined;
}

/** An object as a client read it. `tid` undefined: there was none. */
export interface ReadRecord {
  readonly client: string;
  readonly atMs: number;
  readonly oid: Oid;
  readonly at: Tid;
  readonly tid: Tid | undefined;
  readonly next: Tid | null;
  readonly text: string | null;
}

/** A page of an iteration over all transactions. */
export interface PageRecord {
  readonly client: string;
  readonly after: Tid;
  readonly upTo: Tid;
  readonly count: number;
  readonly tids: readonly Tid[];
}

/** What one client process heard: each published transaction, or, `oids` null, where a session began. */
export interface FeedRecord {
  readonly client: string;
  readonly entries: { readonly tid: Tid; readonly oids: readonly Oid[] | null }[];
}

/** What the readers of one client's change feed saw, one process after the other: everything after `since`. */
export interface ChangeRecord {
  readonly client: string;
  readonly since: Tid;
  readonly entries: { readonly tid: Tid; readonly oids: readonly Oid[] }[];
}

/** A transaction on lists, as its worker saw it: it read each of its lists, then appended to some of them. */
export interface ListRecord {
  readonly client: string;
  /** Names the worker. */
  readonly session: string;
  readonly at: Tid;
  /** When it asked for its snapshot; undefined for a snapshot of the past. */
  readonly begunMs: number | undefined;
  readonly reads: readonly { readonly oid: Oid; readonly list: readonly number[] }[];
  readonly appends: readonly { readonly oid: Oid; readonly element: number }[];
  /** When its reads had come. */
  readonly readMs: number;
  /** The number of its commit, if it appended. */
  readonly number: number | undefined;
}

/** An attempt to raise a counter by one. */
export interface IncrementRecord {
  readonly oid: Oid;
  /** The number of its commit. */
  readonly number: number;
}

/** Ids that a client was given. */
export interface GrantRecord {
  readonly client: string;
  readonly oids: readonly Oid[];
  /** Transactions that had been acknowledged before they were asked for. */
  readonly acknowledged: number;
}

/** All that clients did, in the order of simulated time. */
export class History {
  readonly transactions: TransactionRecord[] = [];
  readonly reads: ReadRecord[] = [];
  readonly pages: PageRecord[] = [];
  readonly feeds: FeedRecord[] = [];
  readonly changes: ChangeRecord[] = [];
  readonly grants: GrantRecord[] = [];
  readonly lists: ListRecord[] = [];
  readonly increments: IncrementRecord[] = [];
  /** Acknowledged transactions, in the order of their acknowledgement. */
  readonly acknowledged: TransactionRecord[] = [];
  /** Breaches that were seen while it ran. */
  readonly breaches: string[] = [];
  /** Newer revisions that refusals named. */
  readonly conflicts: { readonly client: string; readonly oid: Oid; readonly saved: Tid }[] = [];
  /** Transactions that streamed values before they were committed. */
  drafts = 0;
  #open = new Set<TransactionRecord>();
  #elements = 0;

  /** Numbers that no list has yet. */
  newElements(count: number): number[] {
    return Array.from({ length: count }, () => ++this.#elements);
  }

  /** Commits that wait for their answer; of one client, or all. */
  inFlight(client?: string): number {
    if (client === undefined) return this.#open.size;
    return [...this.#open].filter((transaction) => transaction.client === client).length;
  }

  begin(
    start: Pick<TransactionRecord, "client" | "begunMs" | "checks"> & {
      writes: (number: number) => readonly WriteRecord[];
    },
  ): TransactionRecord {
    const number = this.transactions.length;
    const { client, begunMs, checks } = start;
    const writes = start.writes(number);
    const transaction: TransactionRecord = {
      number,
      client,
      writes,
      checks,
      begunMs,
      fate: "open",
      endedMs: Infinity,
      tid: undefined,
      ttid: undefined,
      code: undefined,
    };
    this.transactions.push(transaction);
    this.#open.add(transaction);
    return transaction;
  }

  end(transaction: TransactionRecord, fate: Exclude<Fate, "open">, nowMs: number): void {
    if (transaction.fate !== "open") return;
    transaction.fate = fate;
    transaction.endedMs = nowMs;
    this.#open.delete(transaction);
  }

  /** A client has died: its open commits have an end that nobody knows. */
  abandon(client: string, nowMs: number): void {
    for (const transaction of [...this.#open]) {
      if (transaction.client === client) this.end(transaction, "unknown", nowMs);
    }
  }

  acknowledge(transaction: TransactionRecord, answer: { tid: Tid; ttid: Ttid }, nowMs: number): void {
    if (transaction.fate !== "open") return;
    this.end(transaction, "acknowledged", nowMs);
    transaction.tid = answer.tid;
    transaction.ttid = answer.ttid;
    this.acknowledged.push(transaction);
  }

  /** Says that a promise was broken. */
  breach(text: string): void {
    this.breaches.push(text);
  }
}
