/**
 * What a storage answers to readers. A read carries the table version it was made with, and waits for that version;
 * one that meets a locked object waits for the unlock if the lock's tid is within its snapshot, and is else answered
 * now, with that tid as the end of what it gets. What the database answers counts only if each cell that was judged is still
 * readable, and the same: a cell that was outdated meanwhile may have dropped rows, one that was discarded all of them.
 *
 * What a pack may have taken is refused as `packed`, whether it is gone here yet or not, and never called absent (J2). What compares
 * copies is answered as it is behind the higher bound of the two, and says which that was.
 */
import { invariant } from "../../core/errors.ts";
import { hexOf, partitionOf, ZERO_TID } from "../../core/ids.ts";
import type { Conn, Oid, Partition, Tid } from "../../core/ids.ts";
import {
  COPY_BYTES_MAX,
  COPY_KEYS_MAX,
  COPY_LOOK_ROWS_MAX,
  COPY_ROWS_MAX,
  COPY_SLICES,
  LOAD_MANY_BYTES_MAX,
  LOAD_MANY_MAX,
  PAGE_OIDS_MAX,
  PAGE_TRANSACTIONS,
} from "../../core/limits.ts";
import { answer } from "../../core/machine.ts";
import type { Answer, AskMessage, CopiedRow, Revision, TransactionInfo } from "../../core/messages.ts";
import type {
  CopiedRevision,
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseQuery,
  StoredRevision,
} from "../../core/ports.ts";
import type { AskedRead, Asker, JudgedCell, PackedMessage, Site } from "./site.ts";
import type { Transactions } from "./transactions.ts";

/** Requests of storages that copy from us (`copy.ts`). */
export type CopyMessage = Extract<AskMessage, { name: "slices" | "keys" | "rows" | "pick" }>;

/** Requests of readers. */
export type ReadMessage =
  | Extract<
    AskMessage,
    { name: "load" | "loadMany" | "loadExact" | "loadPart" | "transactions" | "digest" }
  >
  | CopyMessage;

type Loaded = Pick<DatabaseAnswers["load"], "known" | "revision">;

const NO_BYTES = new Uint8Array();
const NO_ENDS: ReadonlyMap<Oid, Tid> = new Map();

/** The reads of a storage that wait, and those that its database answers. */
export class Reads {
  #site: Site;
  #transactions: Transactions;
  #parked: { readonly asker: Asker; readonly message: ReadMessage }[] = [];

  constructor(site: Site, transactions: Transactions) {
    this.#site = site;
    this.#transactions = transactions;
  }

  /** Reads that wait for an unlock. */
  get waiting(): number {
    return this.#parked.length;
  }

  /** Answers, refuses, asks the database, or parks. */
  take(asker: Asker, message: ReadMessage): void {
    const partitions = this.#partitions(message);
    const closed = partitions.find((partition) => !this.#site.reads(partition));
    if (closed !== undefined) return this.#refuse(asker, closed);
    if (this.#waits(message)) return void this.#parked.push({ asker, message });
    const cells = partitions.map((partition) => ({ partition, since: this.#site.cell(partition)!.since }));
    this.#ask(asker, message, cells);
  }

  /** Judges parked reads again: a lock went, or the table changed. */
  retry(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const { asker, message } of parked) this.take(asker, message);
  }

  /** Reads of a lost connection go with it. */
  disconnected(conn: Conn): void {
    this.#parked = this.#parked.filter(({ asker }) => asker.conn !== conn);
  }

  /** The database has answered. */
  answered(context: AskedRead, result: DatabaseAnswer): void {
    const { asker } = context;
    const lost = context.for === "fate" ? undefined : context.cells.find((cell) => !this.#isStill(cell));
    if (lost) return this.#refuse(asker, lost.partition);
    switch (result.read) {
      case "load":
        invariant(context.for === "load" || context.for === "loadExact", "an answer belongs to its read");
        return this.#loaded(asker, context, result);
      case "loadExact":
        invariant(context.for === "loadExact", "an answer belongs to its read");
        return this.#loaded(asker, context, result);
      case "loadPart": {
        invariant(context.for === "loadPart", "an answer belongs to its read");
        if (result.part === null) return this.#nothing(asker, context, result.known);
        return this.#site.emit(answer(asker, "loadPart", result.part));
      }
      case "loadMany": {
        invariant(context.for === "loadMany", "an answer belongs to its read");
        const gone = result.objects.find((one) => this.#isPacked(one, context.at));
        if (gone) return this.#packed(asker, gone.oid);
        const objects = result.objects.map(({ oid, known, revision }) => ({
          oid,
          known,
          revision: revision === null ? null : this.#wire(revision, oid, context.ends),
        }));
        return this.#site.emit(answer(asker, "loadMany", { objects }));
      }
      case "transactions": {
        invariant(context.for === "transactions", "an answer belongs to its read");
        return this.#site.emit(answer(asker, "transactions", pageOf(result.transactions, context)));
      }
      case "fate":
        return this.#site.emit(answer(asker, "fate", { tid: result.tid }));
      default:
        invariant("bound" in context, "an answer belongs to its read");
        // the database may have answered behind rows that went under a higher bound
        if (context.bound < this.#site.packBound) return this.take(asker, context.message);
        return this.#compared(asker, context.bound, result);
    }
  }

  #compared(asker: Asker, packBound: Tid, result: DatabaseAnswer): void {
    switch (result.read) {
      case "digest":
        return this.#site.emit(
          answer(asker, "digest", { packBound, count: result.count, digest: result.digest }),
        );
      case "slices":
        return this.#site.emit(answer(asker, "slices", { slices: result.slices, packBound }));
      case "keys": {
        const { transactions, revisions, upTo } = result;
        return this.#site.emit(answer(asker, "keys", { transactions, revisions, upTo, packBound }));
      }
      case "rows": {
        const { transactions, next } = result;
        const revisions = result.revisions.map(copied);
        return this.#site.emit(answer(asker, "rows", { transactions, revisions, next, packBound }));
      }
      case "pick": {
        const { transactions, seen } = result;
        return this.#site.emit(
          answer(asker, "pick", { transactions, revisions: result.revisions.map(copied), seen }),
        );
      }
    }
  }

  #isStill({ partition, since }: JudgedCell): boolean {
    return this.#site.reads(partition) && this.#site.cell(partition)!.since === since;
  }

  #refuse(asker: Asker, partition: Partition): void {
    const { version } = this.#site.table!;
    const message =
      `Cannot read partition ${partition}: this storage has no readable copy of it in table version ${version}`;
    this.#site.refuse(asker, { code: "notReadable", message });
  }

  #partitions(message: ReadMessage): Partition[] {
    const of = (oid: Oid): Partition => partitionOf(oid, this.#site.table!.partitions);
    switch (message.name) {
      case "load":
      case "loadExact":
      case "loadPart":
        return [of(message.body.oid)];
      case "loadMany":
        return [...new Set(message.body.oids.map(of))];
      case "transactions":
        return [...message.body.partitions];
      case "digest":
      case "slices":
      case "keys":
      case "rows":
      case "pick":
        return [message.body.partition];
    }
  }

  #waits(message: ReadMessage): boolean {
    const locked = (oid: Oid, at: Tid): boolean => {
      const lock = this.#transactions.readLock(oid);
      return lock !== undefined && lock <= at;
    };
    switch (message.name) {
      case "load":
        return locked(message.body.oid, message.body.at);
      case "loadExact":
      case "loadPart":
        return this.#transactions.readLock(message.body.oid) === message.body.tid;
      case "loadMany":
        return message.body.oids.some((oid) => locked(oid, message.body.at));
      case "transactions":
        return message.body.partitions.some((partition) =>
          this.#transactions.lockedBelow(partition, message.body.upTo)
        );
      case "digest":
        return this.#transactions.lockedBelow(message.body.partition, message.body.upTo);
      case "slices":
      case "keys":
      case "rows": {
        const { partition, upTo, settled } = message.body;
        return settled && this.#transactions.lockedBelow(partition, upTo);
      }
      case "pick":
        return false; // its keys were named when nothing was locked below them
    }
  }

  #ask(asker: Asker, message: ReadMessage, cells: readonly JudgedCell[]): void {
    switch (message.name) {
      case "load": {
        const { oid, at } = message.body;
        return this.#site.emit({
          do: "read",
          query: { read: "load", oid, at },
          context: { for: "load", asker, cells, oid, at, ends: this.#ends([oid]) },
        });
      }
      case "loadExact": {
        const { oid, tid } = message.body;
        return this.#site.emit({
          do: "read",
          query: { read: "loadExact", oid, tid },
          context: { for: "loadExact", asker, cells, oid, at: tid, ends: this.#ends([oid]) },
        });
      }
      case "loadPart": {
        const { oid, tid, seq } = message.body;
        return this.#site.emit({
          do: "read",
          query: { read: "loadPart", oid, tid, seq },
          context: { for: "loadPart", asker, cells, oid, at: tid },
        });
      }
      case "loadMany": {
        const { at } = message.body;
        const oids = message.body.oids.slice(0, LOAD_MANY_MAX);
        const query = { read: "loadMany", oids, at, bytesMax: LOAD_MANY_BYTES_MAX } as const;
        return this.#site.emit({
          do: "read",
          query,
          context: { for: "loadMany", asker, cells, at, ends: this.#ends(oids) },
        });
      }
      case "transactions": {
        const { partitions, after, upTo } = message.body;
        const count = Math.min(message.body.count, PAGE_TRANSACTIONS);
        const query = { read: "transactions", partitions, after, upTo, count } as const;
        const context = { for: "transactions", asker, cells, upTo, count } as const;
        return this.#site.emit({ do: "read", query, context });
      }
      default:
        return this.#compare(asker, message, cells);
    }
  }

  #compare(asker: Asker, message: PackedMessage, cells: readonly JudgedCell[]): void {
    const { name, body } = message;
    const told = "packBound" in body ? body.packBound : ZERO_TID;
    const bound = told > this.#site.packBound ? told : this.#site.packBound;
    const context = { for: name, asker, cells, bound, message } as const;
    const read = (query: DatabaseQuery): void => this.#site.emit({ do: "read", query, context });
    switch (name) {
      case "digest":
        return read({ read: name, partition: body.partition, upTo: body.upTo, bound });
      case "slices": {
        const { partition, after, upTo } = body;
        const bounds = { count: Math.min(body.count, COPY_SLICES), rowsMax: COPY_LOOK_ROWS_MAX, bound };
        return read({ read: name, partition, after, upTo, ...bounds });
      }
      case "keys": {
        const { partition, after, upTo } = body;
        return read({ read: name, partition, after, upTo, rowsMax: COPY_KEYS_MAX, bound });
      }
      case "rows": {
        const { partition, after, upTo } = body;
        const bounds = { rowsMax: COPY_ROWS_MAX, bytesMax: COPY_BYTES_MAX, bound };
        return read({ read: name, partition, after, upTo, ...bounds });
      }
      case "pick": {
        const { partition, transactions, revisions } = body;
        return read({ read: name, partition, transactions, revisions, bytesMax: COPY_BYTES_MAX });
      }
    }
  }

  #loaded(
    asker: Asker,
    context: { for: "load" | "loadExact"; oid: Oid; at: Tid; ends: ReadonlyMap<Oid, Tid> },
    result: DatabaseAnswers["load" | "loadExact"],
  ): void {
    const { oid } = context;
    if (this.#isPacked(result, context.at)) return this.#packed(asker, oid);
    if (result.revision !== null) {
      return this.#site.emit(
        answer(asker, context.for, { revision: this.#wire(result.revision, oid, context.ends) }),
      );
    }
    this.#nothing(asker, context, result.known);
  }

  /**
   * Whether a pack may take, or have taken, what is asked for. The newest revision of each object stays: one of which nothing is here
   * never was.
   */
  #isPacked({ known, revision }: Loaded, at: Tid): boolean {
    const { packBound } = this.#site;
    if (at >= packBound || !known) return false;
    return revision === null || (revision.next !== null && revision.next <= packBound);
  }

  #packed(asker: Asker, oid: Oid): void {
    const { packBound: bound } = this.#site;
    const message = `Cannot load object ${oid}: that part of the past was packed, up to ${hexOf(bound)}`;
    this.#site.refuse(asker, { code: "packed", message, detail: { bound } });
  }

  #nothing(asker: Asker, { oid, at }: { readonly oid: Oid; readonly at: Tid }, known: boolean): void {
    if (known && at < this.#site.packBound) return this.#packed(asker, oid);
    const why = known ? "it has no revision there" : "no object has this id";
    const code = known ? "noSuchRevision" : "oidUnknown";
    this.#site.refuse(asker, { code, message: `Cannot load object ${oid}: ${why}` });
  }

  /**
   * Locks that stand above what the database is asked for: they end what it finds, also when it answers behind their
   * unlock. The asker may have heard of those transactions before it asked, and then nobody else tells it.
   */
  #ends(oids: readonly Oid[]): ReadonlyMap<Oid, Tid> {
    let ends: Map<Oid, Tid> | undefined;
    for (const oid of oids) {
      const lock = this.#transactions.readLock(oid);
      if (lock !== undefined) (ends ??= new Map()).set(oid, lock);
    }
    return ends ?? NO_ENDS;
  }

  /** A revision as it travels; a lock that stands above it ends it. */
  #wire(revision: StoredRevision, oid: Oid, ends: ReadonlyMap<Oid, Tid>): Revision {
    const { tid, stored, link } = revision;
    const lock = ends.get(oid) ?? this.#transactions.readLock(oid);
    const next = revision.next ?? (lock !== undefined && lock > tid ? lock : null);
    const { compression, checksum, data } = stored ?? { compression: 0, checksum: NO_BYTES, data: null };
    return { tid, next, compression, checksum, data, link };
  }
}

/** A revision as it travels to another copy. */
function copied({ oid, tid, stored, link }: CopiedRevision): CopiedRow {
  const { compression, checksum, data } = stored ?? { compression: 0, checksum: NO_BYTES, data: null };
  return { oid, tid, compression, checksum, data, link };
}

/** What one answer can carry of a page, and up to which tid that is everything. */
function pageOf(
  found: readonly TransactionInfo[],
  asked: { readonly upTo: Tid; readonly count: number },
): Answer<"transactions"> {
  let oids = 0;
  let fits = 0;
  while (fits < found.length && (fits === 0 || oids + found[fits]!.oids.length <= PAGE_OIDS_MAX)) {
    oids += found[fits++]!.oids.length;
  }
  const transactions = found.slice(0, fits);
  const isAll = fits === found.length && found.length < asked.count;
  return { transactions, upTo: isAll ? asked.upTo : transactions.at(-1)!.tid };
}
