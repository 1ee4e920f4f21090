/**
 * What a program holds: `Client`, `Snapshot`, `Transaction`. Promises and nothing else; the machine behind them decides.
 */
import { AbortedError } from "../../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import {
  CALL_TIMEOUT_MS_MAX,
  NOTE_BYTES_MAX,
  OBJECT_BYTES_MAX,
  REQUEST_TIMEOUT_MS,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OBJECTS_MAX,
} from "../../core/limits.ts";
import type { NodeInfo, TransactionInfo } from "../../core/messages.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { TransactionRecord, TransactionSource } from "../../core/records.ts";
import { tidOfDate } from "../../core/tid.ts";
import type { CallName, Calls, ClientOutput, Commit, LoadedRevision, Write } from "./calls.ts";
import { copyTransactionsFrom, recordsBetween, restoring, transactionsBetween } from "./restoring.ts";
import type { CopyProgress, Restoration } from "./restoring.ts";

/** How a call may be bounded. */
export interface CallOptions {
  /** How long the call may take, in ms; 30,000 unless told. */
  readonly withinMs?: number;
}

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

/** What a transaction says about itself. */
export interface TransactionNote {
  readonly user?: string | Uint8Array;
  readonly description?: string | Uint8Array;
  readonly extension?: Uint8Array;
}

/**
 * Hears of published transactions. `oids` null: a new session began at `tid`, and anything may have changed since the
 * one before.
 */
export type PublishListener = (tid: Tid, oids: readonly Oid[] | null) => void;

/** Hands calls to a client machine and their results back. */
export class Caller {
  #post: (call: { type: "call"; call: number; name: CallName; request: unknown; withinMs: number }) => void;
  #next = 1;
  #open = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  #listeners = new Set<PublishListener>();
  #ended: Error | undefined;

  /** @param post gives a call to the machine */
  constructor(
    post: (call: { type: "call"; call: number; name: CallName; request: unknown; withinMs: number }) => void,
  ) {
    this.#post = post;
  }

  /** One call. */
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    withinMs: number = REQUEST_TIMEOUT_MS,
  ): Promise<Calls[N]["result"]> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (!(withinMs > 0)) {
      return Promise.reject(new RangeError(`Cannot ${name} within ${withinMs} ms: expected more than 0`));
    }
    const call = this.#next++;
    return new Promise((resolve, reject) => {
      this.#open.set(call, { resolve, reject });
      this.#post({ type: "call", call, name, request, withinMs: Math.min(withinMs, CALL_TIMEOUT_MS_MAX) });
    });
  }

  /** Takes what comes out of the machine. */
  take(output: ClientOutput): void {
    if (output.type === "published") {
      for (const listener of this.#listeners) this.#tell(listener, output.tid, output.oids);
      return;
    }
    const open = this.#open.get(output.call);
    this.#open.delete(output.call);
    if (output.type === "settled") open?.resolve(output.result as never);
    else open?.reject(output.error);
  }

  /** A listener that throws is the program's uncaught error, and no end of ours. */
  #tell(listener: PublishListener, tid: Tid, oids: readonly Oid[] | null): void {
    try {
      listener(tid, oids);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Calls `listener` with each published transaction, in order; gives what ends that. */
  listen(listener: PublishListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The machine has ended: so do all calls. */
  end(error: Error): void {
    this.#ended = error;
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }
}

/** The database as it was at one tid; later commits don't change what it shows. */
export class Snapshot {
  /** What it shows: everything with tid <= at. */
  readonly at: Tid;
  protected readonly caller: Caller;

  /** Made by `Client.snapshot()`. */
  constructor(caller: Caller, at: Tid) {
    this.caller = caller;
    this.at = at;
  }

  /**
   * An object as it is in this snapshot.
   *
   * @returns undefined when there is no such object here, or it is deleted
   */
  async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<LoadedRevision & { readonly data: Uint8Array } | undefined> {
    return existing(await this.caller.call("load", { oid: idOf(oid), at: this.at }, options.withinMs));
  }

  /** Many objects, in the order of `oids`; one message a storage. */
  async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(LoadedRevision & { readonly data: Uint8Array } | undefined)[]> {
    return (await this.caller.call("loadMany", { oids: oids.map(idOf), at: this.at }, options.withinMs)).map(
      existing,
    );
  }
}

function existing(
  revision: LoadedRevision | undefined,
): LoadedRevision & { readonly data: Uint8Array } | undefined {
  return revision?.data ? { ...revision, data: revision.data } : undefined;
}

/** Reads of one snapshot, and writes that are committed together or not at all. */
export class Transaction extends Snapshot {
  #writes = new Map<Oid, Write>();
  #bytes = 0; // of their data
  #bases = new Map<Oid, Tid>();
  #checks = new Map<Oid, Tid>();
  #note: TransactionNote = {};
  #state: "open" | "committing" | "committed" | "aborted" = "open";
  readonly #ageMs: number | undefined;

  /** Made by `Client.begin()`. `ageMs`: the primary's time, which is its lock priority; undefined: that of its commit. */
  constructor(caller: Caller, begin: { at: Tid; ageMs: number | undefined }) {
    super(caller, begin.at);
    this.#ageMs = begin.ageMs;
  }

  /** An object in this transaction: its own write, or the snapshot's revision, which becomes the base of a write. */
  override async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<LoadedRevision & { readonly data: Uint8Array } | undefined> {
    const own = this.#writes.get(oid);
    if (own) return own.data === null ? undefined : { tid: own.base, next: null, data: own.data, link: null };
    const found = await this.caller.call("load", { oid: idOf(oid), at: this.at }, options.withinMs);
    this.#bases.set(oid, found?.tid ?? ZERO_TID);
    return existing(found);
  }

  /** Many objects, as `load` gives them. */
  override async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(LoadedRevision & { readonly data: Uint8Array } | undefined)[]> {
    const rest = oids.filter((oid) => !this.#writes.has(oid));
    const found = await this.caller.call("loadMany", { oids: rest.map(idOf), at: this.at }, options.withinMs);
    const byOid = new Map(rest.map((oid, at) => [oid, found[at]]));
    for (const oid of rest) this.#bases.set(oid, byOid.get(oid)?.tid ?? ZERO_TID);
    return oids.map((oid) => {
      const own = this.#writes.get(oid);
      if (own) {
        return own.data === null
          ? undefined
          : { tid: own.base, next: null, data: own.data, link: null };
      }
      return existing(byOid.get(oid));
    });
  }

  /**
   * Writes an object. Nothing is sent before `commit`.
   *
   * @param options.base the revision that the write starts from; unless told, the one that was loaded here, or none
   *   (a new object)
   * @throws RangeError when the data is too large or the transaction is over
   */
  store(oid: Oid, data: Uint8Array, options: { readonly base?: Tid } = {}): void {
    if (!(data instanceof Uint8Array)) {
      throw new TypeError(`Cannot store object ${oid}: its data must be a Uint8Array`);
    }
    if (data.length > OBJECT_BYTES_MAX) {
      throw new RangeError(
        `Cannot store object ${oid}: ${data.length} bytes are more than ${OBJECT_BYTES_MAX}`,
      );
    }
    this.#write(oid, data.slice(), options.base); // the caller may use its buffer again
  }

  /** Deletes an object: later snapshots don't have it, earlier ones do. */
  delete(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#write(oid, null, options.base);
  }

  /** Makes the commit fail if the object is changed by another: what was decided on it must still hold. */
  check(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#mustBeOpen("check");
    this.#checks.set(oid, options.base ?? this.#bases.get(oid) ?? ZERO_TID);
  }

  /** Says who commits what. */
  note(note: TransactionNote): void {
    this.#mustBeOpen("note");
    this.#note = { ...this.#note, ...note };
  }

  /**
   * Commits all writes, durably on every copy.
   *
   * @returns the transaction's tid
   * @throws ConflictError when others changed what was written or checked: begin again
   * @throws LockTimeoutError, AbortedError, UnreachableError: nothing is stored; begin again
   * @throws OutcomePendingError only when everything that knows the outcome is away
   */
  async commit(options: CallOptions = {}): Promise<Tid> {
    this.#mustBeOpen("commit");
    const commit: Commit = {
      writes: [...this.#writes.values()],
      checks: [...this.#checks].flatMap(([oid, base]) => (this.#writes.has(oid) ? [] : [{ oid, base }])),
      user: bytesOf("user", this.#note.user),
      description: bytesOf("description", this.#note.description),
      extension: bytesOf("extension", this.#note.extension),
      status: " ",
      ...(this.#ageMs === undefined ? {} : { ageMs: this.#ageMs }),
    };
    this.#state = "committing";
    try {
      const { tid } = await this.caller.call("commit", commit, options.withinMs);
      this.#state = "committed";
      return tid;
    } catch (error) {
      this.#state = "aborted";
      throw error;
    }
  }

  /** Gives all writes up. */
  abort(): void {
    if (this.#state === "open") this.#state = "aborted";
  }

  /** Aborts, unless it was committed. */
  [Symbol.dispose](): void {
    this.abort();
  }

  /** Aborts, unless it was committed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    return Promise.resolve();
  }

  #write(oid: Oid, data: Uint8Array | null, base: Tid | undefined): void {
    this.#mustBeOpen("store");
    idOf(oid);
    if (base !== undefined) idOf(base);
    const before = this.#writes.get(oid);
    const bytes = this.#bytes + (data?.length ?? 0) - (before?.data?.length ?? 0);
    const objects = this.#writes.size + (before ? 0 : 1);
    if (bytes > TRANSACTION_BYTES_MAX || objects > TRANSACTION_OBJECTS_MAX) {
      const limits = `${TRANSACTION_OBJECTS_MAX} objects and ${TRANSACTION_BYTES_MAX} bytes`;
      throw new RangeError(
        `Cannot store object ${oid}: a transaction takes ${limits}; commit and begin another`,
      );
    }
    this.#bytes = bytes;
    this.#writes.set(oid, {
      oid,
      base: base ?? this.#writes.get(oid)?.base ?? this.#bases.get(oid) ?? ZERO_TID,
      data,
    });
  }

  #mustBeOpen(what: string): void {
    if (this.#state === "open") return;
    const message = `Cannot ${what}: the transaction is ${this.#state}; begin another`;
    throw this.#state === "aborted" ? new AbortedError(message) : new RangeError(message);
  }
}

function bytesOf(name: string, value: string | Uint8Array | undefined): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value ?? new Uint8Array();
  if (bytes.length <= NOTE_BYTES_MAX) return bytes;
  throw new RangeError(`Cannot commit: ${name} has ${bytes.length} bytes, ${NOTE_BYTES_MAX} are allowed`);
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

/** Programs in plain JavaScript, too, hear of a wrong id where they give it. */
function idOf<T extends Oid | Tid>(id: T): T {
  if (typeof id === "bigint") return id;
  throw new TypeError(`Cannot use ${String(id)} as an id: expected a bigint, such as 1n`);
}
