/**
 * What a program holds: `Client`, and what it gives. Promises and nothing else; the machine behind them decides.
 */
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { NodeInfo, TransactionInfo } from "../../core/messages.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { TransactionRecord, TransactionSource } from "../../core/records.ts";
import { tidOfDate } from "../../core/tid.ts";
import { idOf } from "./caller.ts";
import type { Caller, CallOptions, PublishListener } from "./caller.ts";
import type { CallName, Calls, LoadedRevision } from "./calls.ts";
import { copyTransactionsFrom, recordsBetween, restoring, transactionsBetween } from "./restoring.ts";
import type { CopyProgress, Restoration } from "./restoring.ts";
import { Snapshot, Transaction } from "./transaction.ts";

/** How a snapshot is chosen. */
export interface SnapshotOptions extends CallOptions {
  /** A tid, or a date: the snapshot shows what was committed until then. Now, unless told. */
  readonly at?: Tid | Date;
  /** False: doesn't ask the primary first, so that commits of others that were just made may be missing. */
  readonly sync?: boolean;
}

/** A stretch of history: after < tid <= upTo. */
export interface TidRange {
  readonly after?: Tid;
  readonly upTo?: Tid;
}

/** A connection to a cluster. */
export class Client {
  #caller: Caller;
  #close: () => Promise<void>;

  /** Made by `connect()`. */
  constructor(caller: Caller, close: () => Promise<void>) {
    this.#caller = caller;
    this.#close = close;
  }

  /** The newest tid, once everything committed before this call is visible here. */
  async sync(options: CallOptions = {}): Promise<Tid> {
    return (await this.#caller.call("sync", {}, options.withinMs)).lastTid;
  }

  /** The newest tid that this client knows, without asking. */
  async lastTid(): Promise<Tid> {
    return (await this.view()).lastTid;
  }

  /**
   * The database at one moment.
   *
   * @throws RangeError when `at` is a tid beyond the newest one
   */
  async snapshot(options: SnapshotOptions = {}): Promise<Snapshot> {
    return new Snapshot(this.#caller, (await this.#at(options)).at);
  }

  /** Begins a transaction on a fresh snapshot. Costs one message to the primary, shared by all that begin at the same moment. */
  async begin(options: Omit<SnapshotOptions, "at"> = {}): Promise<Transaction> {
    return new Transaction(this.#caller, await this.#at(options));
  }

  /** Ids for new objects. */
  async newOids(count: number, options: CallOptions = {}): Promise<readonly Oid[]> {
    return await this.#caller.call("newOids", { count }, options.withinMs);
  }

  /** Id for a new object. */
  async newOid(options: CallOptions = {}): Promise<Oid> {
    return (await this.newOids(1, options))[0]!;
  }

  /** Calls `listener` with each transaction as it is published, in order; gives what ends that. */
  onPublish(listener: PublishListener): () => void {
    return this.#caller.listen(listener);
  }

  /** All transactions with after < tid <= upTo, ascending, read page by page. Everything, unless told. */
  async *transactions(range: TidRange = {}): AsyncGenerator<TransactionInfo> {
    yield* transactionsBetween(this, range.after ?? ZERO_TID, range.upTo ?? await this.sync());
  }

  /** The same with every record: data, undo links, deletions, in the order in which they were stored. */
  async *records(range: TidRange = {}): AsyncGenerator<TransactionRecord> {
    yield* recordsBetween(this, { after: range.after ?? ZERO_TID, upTo: range.upTo ?? await this.sync() });
  }

  /**
   * Begins the import stage: transactions come in under their own tids, and no other client is admitted until it ends.
   *
   * @param options.origin what the cluster keeps as the origin of its data
   * @throws DatabaseError `denied` while other clients are connected
   */
  restoring(options: { readonly origin: string }): Promise<Restoration> {
    return restoring(this, options.origin);
  }

  /** Copies a whole history: every transaction of `source`, with its tid, its records and what it says about itself. */
  copyTransactionsFrom(
    source: TransactionSource,
    options: { readonly origin: string; readonly onProgress?: (progress: CopyProgress) => void },
  ): Promise<CopyProgress> {
    return copyTransactionsFrom(this, source, options);
  }

  /** One revision, exactly. Undefined: the object has none with this tid. */
  async loadExact(oid: Oid, tid: Tid, options: CallOptions = {}): Promise<LoadedRevision | undefined> {
    return await this.#caller.call("loadExact", { oid, tid }, options.withinMs);
  }

  /**
   * What became of a commit that ended with an `OutcomePendingError`.
   *
   * @param pending that error
   * @returns its tid, or undefined when nothing of it is stored
   * @throws DatabaseError `outcomePending` when what knows it is still away
   */
  async outcome(
    pending: { readonly ttid: Ttid; readonly home: Partition },
    options: CallOptions = {},
  ): Promise<Tid | undefined> {
    const { ttid, home } = pending;
    return (await this.#caller.call("outcome", { ttid, home }, options.withinMs)).tid ?? undefined;
  }

  /** What the client knows of the cluster. */
  async view(): Promise<
    {
      readonly table: ReadonlyTable;
      readonly nodes: readonly NodeInfo[];
      readonly lastTid: Tid;
      readonly clusterId: string;
    }
  > {
    return await this.#caller.call("view", {});
  }

  /** Any call of the machine: for tools. */
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    withinMs?: number,
  ): Promise<Calls[N]["result"]> {
    return this.#caller.call(name, request, withinMs);
  }

  /** Ends the connection; commits under way end first. */
  close(): Promise<void> {
    return this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  async #at(options: SnapshotOptions): Promise<{ at: Tid; ageMs: number | undefined }> {
    const { at } = options;
    if (at !== undefined && !(at instanceof Date)) idOf(at);
    if (options.sync === false) {
      const { lastTid } = await this.view();
      const bound = at instanceof Date ? tidOfDate(at.getTime()) : at ?? lastTid;
      if (bound <= lastTid) return { at: bound, ageMs: undefined };
    }
    const { lastTid, ageMs } = await this.#caller.call("sync", {}, options.withinMs);
    const bound = at instanceof Date ? min(tidOfDate(at.getTime()), lastTid) : at ?? lastTid;
    if (bound > lastTid) {
      throw new RangeError(`Cannot show tid ${hexOf(bound)}: the newest one is ${hexOf(lastTid)}`);
    }
    return { at: bound, ageMs };
  }
}

function min(a: Tid, b: Tid): Tid {
  return a < b ? a : b;
}
