/**
 * Whole histories in and out of a cluster: transactions restored under their own tids, and everything read back in tid order.
 * While a cluster restores it admits one client, and consistency checks are skipped: bases were checked where the
 * history comes from.
 */
import { DatabaseError } from "../../core/errors.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import {
  OBJECT_BYTES_MAX,
  PAGE_TRANSACTIONS,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OBJECTS_MAX,
} from "../../core/limits.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { ObjectRecord, TransactionRecord, TransactionSource } from "../../core/records.ts";
import type { Calling, CallOptions } from "./caller.ts";
import type { Write } from "./calls.ts";
import { revisionsMade } from "./made.ts";
import { filledOf } from "./values.ts";

/** How a history is copied. Time and signal are those of each call. */
export interface CopyOptions extends CallOptions {
  readonly origin: string;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** How far a copy has come. */
export interface CopyProgress {
  readonly transactions: number;
  readonly objects: number;
  readonly bytes: number;
  /** The newest transaction of them; 0 before the first. */
  readonly tid: Tid;
}

/** What a transaction that is restored says about itself. */
export type RestoredNote = Omit<TransactionRecord, "records">;

/** The import stage of a cluster: transactions come in one after another, with growing tids. */
export class Restoration {
  #client: Calling;
  #note: RestoredNote | undefined;
  #writes = new Map<Oid, Write>();
  #bytes = 0; // of their data

  /** Made by `Client.restoring()`. */
  constructor(client: Calling) {
    this.#client = client;
  }

  /** Begins a transaction; its tid is above all that the database holds. */
  begin(note: RestoredNote): void {
    this.#note = note;
    this.#writes.clear();
    this.#bytes = 0;
  }

  /**
   * Takes one object of the transaction, as it was.
   *
   * @param data null for a deletion; undefined with `from`: the data of that revision, which the database holds
   * @param from the revision that this one repeats (an undo link)
   * @throws DatabaseError `noSuchRevision` when `from` isn't there
   */
  async restore(
    oid: Oid,
    data: Uint8Array | null | undefined,
    from?: Tid,
    options: CallOptions = {},
  ): Promise<void> {
    if ((data?.length ?? 0) > OBJECT_BYTES_MAX) {
      const message = `Cannot restore object ${
        hexOf(oid)
      }: ${data?.length} bytes are more than ${OBJECT_BYTES_MAX}`;
      throw new DatabaseError("tooLarge", message);
    }
    const bytes = data === undefined ? await this.#dataOf(oid, from ?? ZERO_TID, options) : data;
    this.#bytes += bytes?.length ?? 0;
    if (this.#bytes > TRANSACTION_BYTES_MAX || this.#writes.size >= TRANSACTION_OBJECTS_MAX) {
      const limits = `${TRANSACTION_OBJECTS_MAX} objects and ${TRANSACTION_BYTES_MAX} bytes`;
      throw new DatabaseError(
        "tooLarge",
        `Cannot restore object ${hexOf(oid)}: a transaction takes ${limits}`,
      );
    }
    this.#writes.delete(oid); // what comes last stands last
    this.#writes.set(oid, {
      oid,
      base: ZERO_TID,
      data: bytes,
      ...(from === undefined ? {} : { link: from }),
    });
  }

  /**
   * Commits it, durably.
   *
   * @throws DatabaseError `tidTaken` when its tid isn't above the last one
   */
  async commit(options: CallOptions = {}): Promise<void> {
    if (!this.#note) throw new RangeError("Cannot commit: no transaction was begun");
    const { tid, status, user, description, extension } = this.#note;
    const writes = [...this.#writes.values()];
    this.#note = undefined;
    const note = { user, description, extension, status, restoreTid: tid };
    await this.#client.call("commit", { writes, checks: [], ...note }, options);
  }

  /** Ends the stage: other clients are let in. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.call("stage", { importing: false, origin: "" });
  }

  async #dataOf(oid: Oid, from: Tid, options: CallOptions): Promise<Uint8Array | null> {
    const revision = await this.#client.call("loadExact", { oid, tid: from }, options);
    const found = await filledOf(this.#client, oid, revision, options);
    if (found !== undefined) return found.data;
    const message = `Cannot restore object ${hexOf(oid)}: it repeats transaction ${
      hexOf(from)
    }, which isn't in the database`;
    throw new DatabaseError("noSuchRevision", message);
  }
}

/**
 * Begins the import stage.
 *
 * @param origin what the cluster keeps as the origin of its data, such as `FS30`
 * @throws DatabaseError `denied` while other clients are connected
 */
export async function restoring(
  client: Calling,
  origin: string,
  options: CallOptions = {},
): Promise<Restoration> {
  await client.call("stage", { importing: true, origin }, options);
  return new Restoration(client);
}

const NOTHING: CopyProgress = { transactions: 0, objects: 0, bytes: 0, tid: ZERO_TID };

function added(before: CopyProgress, { tid, records }: TransactionRecord): CopyProgress {
  return {
    transactions: before.transactions + 1,
    objects: before.objects + records.length,
    bytes: before.bytes + records.reduce((sum, { data }) => sum + (data?.length ?? 0), 0),
    tid,
  };
}

/**
 * Restores every transaction of a source, one after another.
 *
 * @throws DatabaseError `denied` while other clients are connected, `tidTaken` when the database holds later transactions than
 * the source begins with; the stage then ends with the client's connection
 */
export async function copyTransactionsFrom(
  client: Calling,
  source: TransactionSource,
  options: CopyOptions,
): Promise<CopyProgress> {
  const stage = await restoring(client, options.origin, options);
  let progress = NOTHING;
  for await (const transaction of source) {
    options.signal?.throwIfAborted();
    stage.begin(transaction);
    for (const { oid, data, from } of transaction.records) await stage.restore(oid, data, from, options);
    await stage.commit(options);
    progress = added(progress, transaction);
    options.onProgress?.(progress);
  }
  await stage[Symbol.asyncDispose]();
  return progress;
}

/** after < tid <= upTo; time and signal are those of each call. */
type Range = { readonly after: Tid; readonly upTo: Tid } & CallOptions;

/** Transactions with after < tid <= upTo, ascending, fetched page by page. */
export async function* transactionsBetween(
  client: Calling,
  range: Range,
): AsyncGenerator<TransactionInfo> {
  const { upTo } = range;
  for (let last = range.after; last < upTo;) {
    const page = await client.call("transactions", { after: last, upTo, count: PAGE_TRANSACTIONS }, range);
    yield* page.transactions;
    last = page.upTo;
  }
}

/**
 * Transactions with after < tid <= upTo, with their records in their own order; those that a pack took aren't among them, and no
 * pack takes any while this reads.
 *
 * @throws DatabaseError `noSuchRevision` when a record is gone and no pack tells why
 */
export async function* recordsBetween(
  client: Calling,
  range: Range,
  onProgress?: (progress: CopyProgress) => void,
): AsyncGenerator<TransactionRecord> {
  let progress = NOTHING;
  let at: Tid = range.after;
  const floor = (): Tid => at; // what is still to be read mustn't be packed meanwhile
  client.openSnapshots?.add(floor);
  try {
    for await (const info of transactionsBetween(client, range)) {
      const { tid, user, description, extension } = info;
      const records = await recordsOf(client, info, range);
      const status = info.status === "p" ? "p" : " ";
      const transaction: TransactionRecord = { tid, status, user, description, extension, records };
      progress = added(progress, transaction);
      onProgress?.(progress);
      at = tid;
      yield transaction;
    }
  } finally {
    client.openSnapshots?.delete(floor);
  }
}

async function recordsOf(
  client: Calling,
  info: TransactionInfo,
  options: CallOptions,
): Promise<ObjectRecord[]> {
  const { packBound = ZERO_TID } = client;
  const records: ObjectRecord[] = [];
  for (const made of await revisionsMade(client, info, options)) {
    const { oid, link } = made;
    const filled = await filledOf(client, oid, made, options);
    // what it repeats may have been packed; the bytes are there in any case
    const isLinked = link !== null && link >= packBound;
    records.push({ oid, data: filled?.data ?? null, ...(isLinked ? { from: link } : {}) });
  }
  return records;
}
