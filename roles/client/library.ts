/**
 * What a program holds: `Client`, and what it gives. Promises and nothing else; the machine behind them decides.
 */
import { PackedError } from "../../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { NodeInfo, TransactionInfo } from "../../core/messages.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { TransactionRecord, TransactionSource } from "../../core/records.ts";
import { dateOfTid, tidOfDate } from "../../core/tid.ts";
import { idOf } from "./caller.ts";
import type { Caller, CallOptions, PublishListener, TransactionCaller } from "./caller.ts";
import type { CallName, Calls, LoadedRevision } from "./calls.ts";
import { changesOf } from "./changes.ts";
import type { Change, ChangesOptions } from "./changes.ts";
import { Floors } from "./floors.ts";
import type { Opened } from "./floors.ts";
import { revisionsOf, transactionsBackwards } from "./past.ts";
import type { PastRevision } from "./past.ts";
import type { Resolver } from "./resolving.ts";
import { copyTransactionsFrom, recordsBetween, restoring, transactionsBetween } from "./restoring.ts";
import type { CopyOptions, CopyProgress, Restoration } from "./restoring.ts";
import { transact } from "./transact.ts";
import type { Begin, BeginOptions, Transacted, TransactOptions } from "./transact.ts";
import { Snapshot, Transaction } from "./transaction.ts";
import type { TransactionNote } from "./transaction.ts";
import { Turns } from "./turns.ts";
import { filledOf } from "./values.ts";

/** How a snapshot is chosen. */
export interface SnapshotOptions extends CallOptions {
  /** A tid, or a date: the snapshot shows what was committed until then. Now, unless told. */
  readonly at?: Tid | Date;
  /** False: doesn't ask the primary first, so that commits of others that were just made may be missing. */
  readonly sync?: boolean;
}

/** A stretch of history: after < tid <= upTo. Time and signal are those of each page. */
export interface TidRange extends CallOptions {
  readonly after?: Tid;
  readonly upTo?: Tid;
}

/** In which order a history is listed. */
export interface ListOptions extends TidRange {
  /** From the end on: to look for what to undo. */
  readonly newestFirst?: boolean;
}

/**
 * A connection to a cluster. Every method that asks somebody takes `withinMs` and a `signal`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { connect } from "../../mod.ts";
 *
 * await using client = await connect({ memory: true });
 * const oid = await client.newOid();
 * await client.transact((tx) => tx.store(oid, Uint8Array.of(1)));
 * const snapshot = await client.snapshot({ signal: AbortSignal.timeout(5_000) });
 * assert.deepEqual((await snapshot.load(oid))?.data, Uint8Array.of(1));
 * ```
 */
export class Client {
  #caller: Caller;
  #close: () => Promise<void>;
  #turns = new Turns();
  #floors: Floors;

  /** Made by `connect()`. */
  constructor(caller: Caller, close: () => Promise<void>) {
    this.#caller = caller;
    this.#close = close;
    this.#floors = new Floors(caller);
  }

  /** The newest tid, once everything committed before this call is visible here. */
  async sync(options: CallOptions = {}): Promise<Tid> {
    return (await this.#caller.call("sync", {}, options)).lastTid;
  }

  /** The newest tid that this client knows, without asking. */
  async lastTid(options: CallOptions = {}): Promise<Tid> {
    return (await this.view(options)).lastTid;
  }

  /**
   * The database at one moment.
   *
   * @throws RangeError when `at` is a tid beyond the newest one; PackedError when it lies below the bound of a pack
   */
  async snapshot(options: SnapshotOptions = {}): Promise<Snapshot> {
    const { at, opened } = await this.#at(options);
    return new Snapshot(this.#caller, at, opened);
  }

  /** Begins a transaction on a fresh snapshot. Costs one message to the primary, shared by all that begin at the same moment. */
  async begin(options: BeginOptions = {}): Promise<Transaction> {
    return this.#begun(this.#caller, { ...await this.#at(options), resolve: options.resolve });
  }

  /**
   * Runs `work` in a transaction and commits it; runs it again, on a fresh snapshot, when others were faster. `work` may
   * run several times, so that it should change nothing but the transaction. When it throws, nothing is stored. Those of one client
   * that lost the same object run again one after another.
   *
   * @returns what `work` gave, the tid, and how often it ran
   * @throws ConflictError, LockTimeoutError, AbortedError after the last attempt, and at once what else ends a commit
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { connect } from "../../mod.ts";
   *
   * await using client = await connect({ memory: true });
   * const counter = await client.newOid();
   * const add = () =>
   *   client.transact(async (tx) => {
   *     const count = ((await tx.load(counter))?.data[0] ?? 0) + 1;
   *     tx.store(counter, Uint8Array.of(count));
   *     return count;
   *   });
   * await Promise.all([add(), add(), add()]);
   * assert.equal((await add()).value, 4);
   * ```
   */
  transact<T>(
    work: (tx: Transaction) => T | Promise<T>,
    options: TransactOptions = {},
  ): Promise<Transacted<T>> {
    const begin: Begin = async (caller, ageMs) => {
      const { resolve } = options;
      const begun = await this.#at(caller.under(options));
      return this.#begun(caller, { ...begun, ageMs: ageMs ?? begun.ageMs, resolve });
    };
    return transact(this.#caller, begin, work, options, this.#turns);
  }

  /** Ids for new objects. */
  async newOids(count: number, options: CallOptions = {}): Promise<readonly Oid[]> {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`Cannot make ${count} ids: expected a whole number`);
    }
    return await this.#caller.call("newOids", { count }, options);
  }

  /** Id for a new object. */
  async newOid(options: CallOptions = {}): Promise<Oid> {
    return (await this.newOids(1, options))[0]!;
  }

  /** Calls `listener` with each transaction as it is published, in order; gives what ends that. */
  onPublish(listener: PublishListener): () => void {
    return this.#caller.listen({ published: listener });
  }

  /**
   * Every transaction from one on, for as long as the consumer stays: in order, each exactly once, own ones and those that
   * changed nothing too. It lives through lost connections and restarts of the cluster, and a consumer who notes the
   * last tid goes on from there another day. It begins at the first `next()`; one who is slow costs no memory.
   *
   * @param options.since the last transaction that was seen; unless told, the newest one at the beginning
   * @param options.signal ends it: `next()` rejects with the signal's reason
   * @throws RangeError when `since` is beyond the newest tid, UnreachableError (`lost`) when the client is closed
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { connect } from "../../mod.ts";
   *
   * await using client = await connect({ memory: true });
   * const since = await client.sync();
   * const tx = await client.begin();
   * const oid = await client.newOid();
   * tx.store(oid, Uint8Array.of(1));
   * const tid = await tx.commit();
   * for await (const change of client.changes({ since })) {
   *   assert.deepEqual(change, { tid, oids: [oid] });
   *   break;
   * }
   * ```
   */
  changes(options: ChangesOptions = {}): AsyncGenerator<Change, void, void> {
    return changesOf(this.#caller, options);
  }

  /** All transactions with after < tid <= upTo, ascending unless told, read page by page. Everything, unless told. */
  async *transactions(range: ListOptions = {}): AsyncGenerator<TransactionInfo> {
    const { newestFirst = false, after = ZERO_TID } = range;
    const upTo = range.upTo ?? await this.sync(range);
    const listed = newestFirst ? transactionsBackwards : transactionsBetween;
    yield* listed(this, { ...range, after, upTo });
  }

  /** The revisions of an object, the newest first; with `upTo` those that a snapshot at that tid has behind it. */
  async *history(oid: Oid, options: Omit<TidRange, "after"> = {}): AsyncGenerator<PastRevision> {
    const upTo = options.upTo ?? await this.sync(options);
    yield* revisionsOf(this, idOf(oid), { ...options, upTo });
  }

  /**
   * Takes back what a transaction did, in a transaction of its own; see `Transaction.undo()`.
   *
   * @throws UndoError when something was changed since and isn't resolved; ConflictError after the last attempt
   */
  async undo(
    tid: Tid,
    options: TransactOptions & { readonly note?: TransactionNote } = {},
  ): Promise<Transacted<readonly Oid[]>> {
    return await this.transact((tx) => {
      if (options.note !== undefined) tx.note(options.note);
      return tx.undo(tid, options);
    }, options);
  }

  /** The same with every record: data, undo links, deletions, in the order in which they were stored. */
  async *records(range: TidRange = {}): AsyncGenerator<TransactionRecord> {
    const upTo = range.upTo ?? await this.sync(range);
    yield* recordsBetween(this, { ...range, after: range.after ?? ZERO_TID, upTo });
  }

  /**
   * Begins the import stage: transactions come in under their own tids, and no other client is admitted until it ends.
   *
   * @param options.origin what the cluster keeps as the origin of its data
   * @throws DatabaseError `denied` while other clients are connected
   */
  restoring(options: { readonly origin: string } & CallOptions): Promise<Restoration> {
    return restoring(this, options.origin, options);
  }

  /**
   * Copies a whole history: every transaction of `source`, with its tid, its records and what it says about itself.
   *
   * @param options.signal ends it between two transactions, or before one is finished: what was copied stays
   */
  copyTransactionsFrom(source: TransactionSource, options: CopyOptions): Promise<CopyProgress> {
    return copyTransactionsFrom(this, source, options);
  }

  /** One revision, exactly. Undefined: the object has none with this tid. */
  async loadExact(oid: Oid, tid: Tid, options: CallOptions = {}): Promise<LoadedRevision | undefined> {
    const found = await this.#caller.call("loadExact", { oid: idOf(oid), tid: idOf(tid) }, options);
    return await filledOf(this.#caller, oid, found, options);
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
    return (await this.#caller.call("outcome", { ttid, home }, options)).tid ?? undefined;
  }

  /** What the client knows of the cluster. */
  async view(options: CallOptions = {}): Promise<
    {
      readonly table: ReadonlyTable;
      readonly nodes: readonly NodeInfo[];
      readonly lastTid: Tid;
      readonly clusterId: string;
    }
  > {
    return await this.#caller.call("view", {}, options);
  }

  /** Any call of the machine: for tools. */
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    options: CallOptions = {},
  ): Promise<Calls[N]["result"]> {
    return this.#caller.call(name, request, options);
  }

  /** What is open, each as its oldest snapshot: for tools that read history, which mustn't be packed meanwhile. */
  get openSnapshots(): Set<() => Tid | null> {
    return this.#caller.openSnapshots;
  }

  /** Up to where history is packed, or may be in a moment; 0: all is kept. */
  get packBound(): Tid {
    return this.#caller.packBound;
  }

  /** A number under which `part` takes values that a commit names: for tools. */
  draft(): number {
    return this.#caller.draft();
  }

  /** What was given under that number isn't committed. */
  discard(draft: number): void {
    this.#caller.discard(draft);
  }

  /** Ends the connection; commits under way end first. */
  close(): Promise<void> {
    return this.#close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }

  #begun(
    caller: TransactionCaller,
    begin: Moment & { readonly resolve: Resolver | undefined },
  ): Transaction {
    return new Transaction(caller, begin);
  }

  /** The moment that is shown, and a place for it among what is open: taken at once, before a pack can pass. */
  async #at(options: SnapshotOptions): Promise<Moment> {
    const { at } = options;
    if (at !== undefined && !(at instanceof Date)) idOf(at);
    const found = await this.#moment(options);
    const isFresh = at === undefined;
    // what was newest when it was asked may lie below a pack that was decided since
    const { at: moment, ageMs } = isFresh && found.at < this.#caller.packBound
      ? await this.#moment({ ...options, sync: true })
      : found;
    const { packBound } = this.#caller;
    if (moment >= packBound) return { at: moment, ageMs, opened: this.#floors.open(moment) };
    const message = isFresh
      ? `Cannot show the newest state: this backup has come to ${
        hexOf(moment)
      }, its source was packed up to ${hexOf(packBound)}; wait until it is there`
      : `Cannot show tid ${hexOf(moment)}: history is packed up to ${hexOf(packBound)}, of ${
        new Date(dateOfTid(packBound)).toISOString()
      }`;
    throw new PackedError(message, packBound);
  }

  async #moment(options: SnapshotOptions): Promise<{ at: Tid; ageMs: number | undefined }> {
    const { at } = options;
    if (options.sync === false) {
      const { lastTid } = await this.view(options);
      const bound = at instanceof Date ? tidOfDate(at.getTime()) : at ?? lastTid;
      if (bound <= lastTid) return { at: bound, ageMs: undefined };
    }
    const { lastTid, ageMs } = await this.#caller.call("sync", {}, options);
    const bound = at instanceof Date ? min(tidOfDate(at.getTime()), lastTid) : at ?? lastTid;
    if (bound > lastTid) {
      throw new RangeError(`Cannot show tid ${hexOf(bound)}: the newest one is ${hexOf(lastTid)}`);
    }
    return { at: bound, ageMs };
  }
}

interface Moment {
  readonly at: Tid;
  readonly ageMs: number | undefined;
  readonly opened: Opened;
}

function min(a: Tid, b: Tid): Tid {
  return a < b ? a : b;
}
