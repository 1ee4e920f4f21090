/** What another copy of a partition asks a SQLite database. Rows are read one by one; what leaves is bounded. */
import { unreachable } from "../core/errors.ts";
import { ID_MAX, type Oid, type Partition, type Tid, toTid } from "../core/ids.ts";
import { ROW_DIGEST_BYTES, SQLITE_KEYS_ROWS } from "../core/limits.ts";
import type {
  CopiedRevision,
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseQuery,
  DatabaseState,
  Digest,
  RevisionKey,
  RowPlace,
  Slice,
  StoredData,
} from "../core/ports.ts";
import { type Finding, inspect, ScrubPage } from "./row_checks.ts";
import { RowDigest } from "./row_digest.ts";
import { packableOf, pickRows, RowPage } from "./row_pages.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { type DataRow, infoOf, storedOf, type TransRow } from "./sqlite_rows.ts";
import { STOCKED_NEXT } from "./sqlite_schema.ts";
import { StoreFailedError } from "./store_errors.ts";

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;
/** The questions of other copies. */
export type ReplicaQuery = Query<"slices" | "keys" | "rows" | "pick" | "stocked" | "scrub" | "packable">;
/** Tids of a partition: after < tid <= upTo. */
interface Range {
  readonly partition: Partition;
  readonly after: bigint;
  readonly upTo: Tid;
  readonly bound?: Tid | undefined;
}

const RANGE = "partition = ? AND tid > ? AND tid <= ?";
/** Leaves out revisions of `obj o` that a pack to a bound, which stands there twice, takes. */
const PACKED =
  "NOT (o.tid < ? AND EXISTS (SELECT 1 FROM obj n WHERE n.oid = o.oid AND n.tid > o.tid AND n.tid <= ?))";
const NOTE = "ttid, status, user, description, extension, oids";
const TRANSACTIONS = `SELECT tid, ${NOTE} FROM trans WHERE ${RANGE} ORDER BY tid`;
const TRANSACTION = `SELECT tid, ${NOTE} FROM trans WHERE partition = ? AND tid = ?`;
/** Without values, which stand behind the checksums. Many at once: one by one they take twice as long. */
const REVISIONS = `SELECT o.tid, o.oid, o.link, d.checksum FROM obj o LEFT JOIN data d ON d.id = o.data_id
  WHERE o.partition = ? AND (o.tid, o.oid) > (?, ?) AND o.tid <= ? AND ${PACKED} ORDER BY o.tid, o.oid
  LIMIT ${SQLITE_KEYS_ROWS}`;
const COUNT = `SELECT (SELECT count(*) FROM trans WHERE ${RANGE})
  + (SELECT count(*) FROM obj o WHERE ${RANGE} AND ${PACKED}) AS count`;
/** The tid of one row, counted from 0. */
const TID_AT =
  `SELECT tid FROM trans WHERE ${RANGE} UNION ALL SELECT o.tid FROM obj o WHERE ${RANGE} AND ${PACKED}
  ORDER BY tid LIMIT 1 OFFSET ?`;
/** Transactions and revisions merged; a transaction stands under an oid before all others. */
const ROWS =
  `SELECT tid, -1 AS oid, NULL AS link, NULL AS data_id, NULL AS compression, NULL AS checksum, NULL AS value,
    ${NOTE} FROM trans WHERE ${RANGE}
  UNION ALL SELECT o.tid, o.oid, o.link, o.data_id, d.compression, d.checksum, d.value, NULL, NULL, NULL, NULL, NULL, NULL
    FROM obj o LEFT JOIN data d ON d.id = o.data_id
    WHERE o.partition = ? AND (o.tid, o.oid) > (?, ?) AND o.tid <= ? AND ${PACKED}
  ORDER BY 1, 2`;
const REVISION = `SELECT o.tid, o.oid, o.link, o.data_id, d.compression, d.checksum, d.value
  FROM obj o LEFT JOIN data d ON d.id = o.data_id WHERE o.oid = ? AND o.tid = ? AND o.partition = ?`;
const KEYS_BEHIND =
  "SELECT tid, oid, data_id FROM obj WHERE partition = ? AND (tid, oid) > (?, ?) ORDER BY tid, oid";
const DATA = "SELECT compression, checksum, value FROM data WHERE id = ?";
const PART = "SELECT compression, checksum, value FROM part WHERE data_id = ? AND seq = ?";
/** Each revision with the one that follows it, of whatever object. */
const PACKABLE = "SELECT oid, tid FROM obj WHERE (oid, tid) > (?, ?) ORDER BY oid, tid LIMIT ?";
const NEWEST = `SELECT max(tid) AS tid FROM (
  SELECT max(tid) AS tid FROM trans WHERE partition = ? UNION ALL SELECT max(tid) FROM obj WHERE partition = ?)`;

/** Answers other copies. */
export class ReplicaReader {
  readonly #file: SqliteFile;
  readonly #digest: Digest;

  constructor(file: SqliteFile, digest: Digest) {
    this.#file = file;
    this.#digest = digest;
  }

  read(query: ReplicaQuery): DatabaseAnswer {
    switch (query.read) {
      case "slices":
        return { read: "slices", slices: this.#slices(query) };
      case "keys":
        return this.#keys(query);
      case "rows":
        return this.#rows(query);
      case "pick":
        return this.#pick(query);
      case "stocked":
        return { read: "stocked", partitions: this.#stocked() };
      case "scrub":
        return this.#scrub(query);
      case "packable": {
        const { bound, after, rowsMax } = query;
        return packableOf(this.#file.all(PACKABLE, after.oid, after.tid, rowsMax + 1), { bound, rowsMax });
      }
      default:
        return unreachable(query);
    }
  }

  /** The digest of a range, with the number of its rows. */
  digestOf(
    { partition, after, upTo, bound }: Range,
  ): { readonly count: number; readonly digest: Uint8Array } {
    const sum = new RowDigest(this.#digest);
    const range = [partition, after, upTo];
    this.#file.each<TransRow>(TRANSACTIONS, range, (row) => sum.transaction(infoOf(row)));
    this.#eachRevision({ partition, after, upTo, bound }, (row) => sum.revision(row));
    return sum.end();
  }

  #eachRevision({ partition, after, upTo, bound }: Range, take: (row: KeyRow) => void): void {
    const packed = packedTo(bound, after);
    let place: readonly bigint[] = [after, ID_MAX];
    for (;;) {
      const found = this.#file.all<KeyRow>(REVISIONS, partition, ...place, upTo, ...packed);
      found.forEach(take);
      const last = found.at(-1);
      if (last === undefined || found.length < SQLITE_KEYS_ROWS) return;
      place = [last.tid, last.oid];
    }
  }

  /** The newest tid of each partition that has rows. */
  newest(): DatabaseState["newest"] {
    return this.#stocked().flatMap((partition) => {
      const tid = this.#file.get<{ tid: Tid | null }>(NEWEST, partition, partition)?.tid ?? null;
      return tid === null ? [] : [{ partition, tid }];
    });
  }

  /** Cuts behind the tid that fills a slice: as many rows as each would have if all had the same. */
  #slices({ partition, after, upTo: wanted, count, rowsMax, bound }: Query<"slices">): Slice[] {
    const upTo = this.#endOf({ partition, after, upTo: wanted, bound }, rowsMax);
    const slices: Slice[] = [];
    let left = this.#count({ partition, after, upTo, bound });
    const target = Math.max(1, Math.ceil(left / Math.max(1, count)));
    let begin = after;
    while (left > target) {
      const cut = this.#tidAt({ partition, after: begin, upTo, bound }, target - 1) ?? upTo;
      const { count: rows, digest } = this.digestOf({ partition, after: begin, upTo: cut, bound });
      left -= rows;
      if (left === 0) return [...slices, { upTo, rows, digest }];
      slices.push({ upTo: cut, rows, digest });
      begin = cut;
    }
    const { count: rows, digest } = this.digestOf({ partition, after: begin, upTo, bound });
    return [...slices, { upTo, rows, digest }];
  }

  #count({ partition, after, upTo, bound }: Range): number {
    const range = [partition, after, upTo] as const;
    const row = this.#file.get<{ count: bigint }>(COUNT, ...range, ...range, ...packedTo(bound, after));
    return Number(row?.count ?? 0);
  }

  #tidAt({ partition, after, upTo, bound }: Range, index: number): Tid | undefined {
    const range = [partition, after, upTo] as const;
    const packed = packedTo(bound, after);
    return this.#file.get<{ tid: Tid }>(TID_AT, ...range, ...range, ...packed, index)?.tid;
  }

  /** Where a look at so many rows of a range ends, behind a whole tid. */
  #endOf(range: Range, rowsMax: number): Tid {
    const [beyond, first] = [rowsMax, 0].map((index) => this.#tidAt(range, index));
    return beyond === undefined ? range.upTo : beyond === first ? beyond : toTid(beyond - 1n);
  }

  #keys({ partition, after, upTo, rowsMax, bound }: Query<"keys">): DatabaseAnswer {
    const end = this.#endOf({ partition, after, upTo, bound }, rowsMax);
    const transactions: DatabaseAnswers["keys"]["transactions"][number][] = [];
    const revisions: DatabaseAnswers["keys"]["revisions"][number][] = [];
    const one = new RowDigest(this.#digest);
    const short = () => one.end().digest.slice(0, ROW_DIGEST_BYTES);
    this.#file.each<TransRow>(TRANSACTIONS, [partition, after, end], (row) => {
      one.transaction(infoOf(row));
      transactions.push({ tid: row.tid, digest: short() });
    });
    this.#eachRevision({ partition, after, upTo: end, bound }, (row) => {
      one.revision(row);
      revisions.push({ oid: row.oid, tid: row.tid, digest: short() });
    });
    return { read: "keys", transactions, revisions, upTo: end };
  }

  #rows({ partition, after, upTo, rowsMax, bytesMax, bound }: Query<"rows">): DatabaseAnswer {
    const page = new RowPage({ rowsMax, bytesMax });
    const packed = packedTo(bound, after.tid);
    const range = [partition, after.tid, upTo, partition, ...placeOf(after), upTo, ...packed];
    this.#file.eachWhile<MergedRow>(ROWS, range, (row) => {
      return row.oid < 0n ? page.transaction(infoOf(row)) : page.revision(copiedOf(row));
    });
    return page.end();
  }

  #pick(query: Query<"pick">): DatabaseAnswer {
    const { partition } = query;
    return pickRows(query, {
      transaction: (tid) => {
        const row = this.#file.get<TransRow>(TRANSACTION, partition, tid);
        return row === undefined ? undefined : infoOf(row);
      },
      revision: ({ oid, tid }) => {
        const row = this.#file.get<RevisionRow>(REVISION, oid, tid, partition);
        return row === undefined ? undefined : copiedOf(row);
      },
    });
  }

  /** Steps from partition to partition: a look-up each, however many rows there are. */
  #stocked(): Partition[] {
    const partitions: Partition[] = [];
    for (;;) {
      const last = partitions.at(-1) ?? -1;
      const next = this.#file.get<{ partition: bigint | null }>(STOCKED_NEXT, last, last)?.partition ?? null;
      if (next === null) return partitions;
      partitions.push(Number(next) as Partition);
    }
  }

  #scrub({ partition, after, bytesMax }: Query<"scrub">): DatabaseAnswer {
    const page = new ScrubPage(bytesMax);
    this.#file.eachWhile<ScrubRow>(KEYS_BEHIND, [partition, ...placeOf(after)], (row) => {
      return page.look(row, () => this.#look(row));
    });
    return page.end();
  }

  /** Looks at the data of a revision. What the file can't give any more is broken. */
  #look({ data_id }: ScrubRow): Finding {
    if (data_id === null) return { whole: true, bytes: 0 };
    const stored = this.#dataAt(DATA, data_id);
    if (stored === null) return { whole: false, bytes: 0 };
    return inspect(stored, (seq) => this.#dataAt(PART, data_id, seq), this.#digest);
  }

  #dataAt(sql: string, ...values: (bigint | number)[]): StoredData | null {
    try {
      const row = this.#file.get<DataRow>(sql, ...values);
      return row !== undefined && isDecoded(row) ? storedOf(row) : null;
    } catch (error) {
      if (error instanceof StoreFailedError) return null;
      throw error;
    }
  }
}

interface KeyRow extends RevisionKey {
  readonly link: Tid | null;
  readonly checksum: Uint8Array | null;
}

interface RevisionRow extends RevisionKey, DataRow {
  readonly link: Tid | null;
  readonly data_id: bigint | null;
}

/** Columns of what the row isn't are null. */
type MergedRow = RevisionRow & TransRow;

interface ScrubRow extends RevisionKey {
  readonly data_id: bigint | null;
}

/** The bound for `PACKED`; behind it, and without one, there is nothing to leave out, nor to look for. */
function packedTo(bound: Tid | undefined, after: bigint): [bigint, bigint] {
  const upTo = bound === undefined || after >= bound ? 0n : bound;
  return [upTo, upTo];
}

function placeOf({ tid, oid }: RowPlace): [Tid, Oid | bigint] {
  return [tid, oid ?? ID_MAX];
}

function copiedOf(row: RevisionRow): CopiedRevision {
  const { oid, tid, link, data_id } = row;
  return { oid, tid, stored: data_id === null ? null : storedOf(row), link };
}

/** Whether a row has the types that its table demands: a damaged one may have others. */
function isDecoded({ compression, checksum, value }: { readonly [K in keyof DataRow]: unknown }): boolean {
  return typeof compression === "bigint" && checksum instanceof Uint8Array && value instanceof Uint8Array;
}
