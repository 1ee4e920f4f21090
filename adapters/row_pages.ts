/** Final rows as they go from one copy of a partition to another: which of them belong to a page. */
import type { Tid } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { CopiedRevision, DatabaseAnswers, DatabaseQuery, RevisionKey, RowPlace } from "../core/ports.ts";

const ID_BYTES = 8;

/** Bytes of a transaction's note and oids. */
function infoBytes({ user, description, extension, oids }: TransactionInfo): number {
  return user.length + description.length + extension.length + ID_BYTES * oids.length;
}

/**
 * Gathers rows in their order until a page is full. A transaction waits for the first of its revisions: they go
 * together, or not at all.
 */
export class RowPage {
  readonly #transactions: TransactionInfo[] = [];
  readonly #revisions: CopiedRevision[] = [];
  readonly #rowsMax: number;
  readonly #bytesMax: number;
  #bytes = 0;
  #waiting: TransactionInfo | null = null;
  #last: RowPlace | null = null;
  #full = false;

  constructor(limits: { readonly rowsMax: number; readonly bytesMax: number }) {
    this.#rowsMax = limits.rowsMax;
    this.#bytesMax = limits.bytesMax;
  }

  /** The next row is a transaction. False: the page is full, no more is taken. */
  transaction(info: TransactionInfo): boolean {
    this.#settle();
    if (!this.#full) this.#waiting = info;
    return !this.#full;
  }

  /** The next row is a revision. */
  revision(row: CopiedRevision): boolean {
    const { tid, oid, stored } = row;
    if (this.#waiting?.tid !== tid) this.#settle();
    if (this.#takes(1, stored?.data.length ?? 0, { tid, oid })) this.#revisions.push(row);
    return !this.#full;
  }

  /** All rows have come, or the page is full. */
  end(): DatabaseAnswers["rows"] {
    this.#settle();
    const next = this.#full ? this.#last : null;
    return { read: "rows", transactions: this.#transactions, revisions: this.#revisions, next };
  }

  /** The transaction that waits has no revisions here. */
  #settle(): void {
    if (this.#waiting !== null) this.#takes(0, 0, { tid: this.#waiting.tid, oid: null });
  }

  /** Whether so many rows belong to the page, with the transaction that waits for them. */
  #takes(rows: number, bytes: number, place: RowPlace): boolean {
    if (this.#full) return false;
    const info = this.#waiting;
    const sum = this.#bytes + bytes + (info === null ? 0 : infoBytes(info));
    const count = this.#transactions.length + this.#revisions.length + rows + (info === null ? 0 : 1);
    if (this.#last !== null && (count > this.#rowsMax || sum > this.#bytesMax)) {
      this.#full = true;
      return false;
    }
    if (info !== null) this.#transactions.push(info);
    this.#waiting = null;
    this.#bytes = sum;
    this.#last = place;
    return true;
  }
}

/** Where single rows are found; undefined for one that isn't there. */
interface Lookups {
  readonly transaction: (tid: Tid) => TransactionInfo | undefined;
  readonly revision: (key: RevisionKey) => CopiedRevision | undefined;
}

/** Gathers the rows that were picked until there are enough bytes. */
export class PickPage {
  readonly #transactions: TransactionInfo[] = [];
  readonly #revisions: CopiedRevision[] = [];
  readonly #bytesMax: number;
  #bytes = 0;
  #seen = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The next transaction, if it is here. False: it doesn't fit, nothing more is taken. */
  transaction(info: TransactionInfo | undefined): boolean {
    if (info !== undefined && !this.#fits(infoBytes(info))) return false;
    if (info !== undefined) this.#transactions.push(info);
    this.#seen++;
    return true;
  }

  /** The next revision, if it is here. */
  revision(row: CopiedRevision | undefined): boolean {
    if (row !== undefined && !this.#fits(row.stored?.data.length ?? 0)) return false;
    if (row !== undefined) this.#revisions.push(row);
    this.#seen++;
    return true;
  }

  end(): DatabaseAnswers["pick"] {
    return { read: "pick", transactions: this.#transactions, revisions: this.#revisions, seen: this.#seen };
  }

  #fits(more: number): boolean {
    this.#bytes += more;
    return this.#bytes <= this.#bytesMax || this.#transactions.length + this.#revisions.length === 0;
  }
}

/** Looks up rows one by one until there are enough bytes. */
export function pickRows(
  query: Extract<DatabaseQuery, { read: "pick" }>,
  at: Lookups,
): DatabaseAnswers["pick"] {
  const page = new PickPage(query.bytesMax);
  const isOver = query.transactions.some((tid) => !page.transaction(at.transaction(tid)));
  if (!isOver) query.revisions.every((key) => page.revision(at.revision(key)));
  return page.end();
}

/**
 * Which of some revisions, ascending by oid and tid, a pack takes: those that are followed by one of the same object up to the
 * bound. One more than `rowsMax` is for looking ahead.
 */
export function packableOf(
  rows: readonly RevisionKey[],
  { bound, rowsMax }: { readonly bound: Tid; readonly rowsMax: number },
): DatabaseAnswers["packable"] {
  const looked = rows.slice(0, rowsMax).map(({ oid, tid }) => ({ oid, tid }));
  const revisions = looked.filter(({ oid }, at) => {
    const next = rows[at + 1];
    return next?.oid === oid && next.tid <= bound;
  });
  return { read: "packable", revisions, next: rows.length > rowsMax ? looked.at(-1)! : null };
}
