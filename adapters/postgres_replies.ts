/** What another copy of a partition asks a PostgreSQL database. Rows are read in pages; what leaves is bounded. */
import { unreachable } from "../core/errors.ts";
import { ID_MAX, type Oid, type Partition, type Tid, toTid } from "../core/ids.ts";
import { POSTGRES_DATA_ROWS, POSTGRES_PAGE_ROWS, ROW_DIGEST_BYTES } from "../core/limits.ts";
import type {
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseQuery,
  Digest,
  RevisionKey,
  Slice,
} from "../core/ports.ts";
import {
  copiedOf,
  type DataRow,
  infoOf,
  NOTE,
  type RevisionRow,
  storedOf,
  type TransRow,
} from "./postgres_rows.ts";
import { Column } from "./postgres_store.ts";
import type { PostgresStore, Statements } from "./postgres_store.ts";
import { type Finding, inspection, ScrubPage } from "./row_checks.ts";
import { RowDigest } from "./row_digest.ts";
import { packableOf, PickPage, RowPage } from "./row_pages.ts";

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;
/** The questions of other copies. */
export type ReplicaQuery = Query<
  "slices" | "keys" | "rows" | "pick" | "stocked" | "scrub" | "digest" | "packable"
>;
/** Statements that see one state. */
type View = Pick<Statements, "all">;
/** Tids of a partition: after < tid <= upTo. */
interface Range {
  readonly partition: Partition;
  readonly after: bigint;
  readonly upTo: bigint;
  readonly bound?: Tid | undefined;
}

interface KeyRow extends RevisionKey {
  readonly link: Tid | null;
  readonly checksum: Uint8Array | null;
}

const RANGE = "partition = $1 AND tid > $2 AND tid <= $3";
/** Leaves out revisions of `obj o` that a pack to a bound takes. */
const packed = (bound: string): string =>
  `NOT (o.tid < ${bound} AND EXISTS (SELECT 1 FROM obj n WHERE n.oid = o.oid AND n.tid > o.tid AND n.tid <= ${bound}))`;
const TRANSACTIONS = `SELECT tid, ttid, ${NOTE} FROM trans WHERE ${RANGE} ORDER BY tid LIMIT $4`;
const KEYS = `SELECT o.tid, o.oid, o.link, d.checksum FROM obj o LEFT JOIN data d ON d.id = o.data_id
  WHERE o.partition = $1 AND (o.tid, o.oid) > ($2, $3) AND o.tid <= $4 AND ${packed("$6")}
  ORDER BY o.tid, o.oid LIMIT $5`;
const ROWS = `SELECT o.tid, o.oid, o.link, o.data_id, d.compression, d.checksum, d.value
  FROM obj o LEFT JOIN data d ON d.id = o.data_id
  WHERE o.partition = $1 AND (o.tid, o.oid) > ($2, $3) AND o.tid <= $4 AND ${packed("$6")}
  ORDER BY o.tid, o.oid LIMIT $5`;
const COUNT = `SELECT (SELECT count(*) FROM trans WHERE ${RANGE})
  + (SELECT count(*) FROM obj o WHERE ${RANGE} AND ${packed("$4")}) AS count`;
const TID_AT = `SELECT tid FROM trans WHERE ${RANGE}
  UNION ALL SELECT tid FROM obj o WHERE ${RANGE} AND ${packed("$5")} ORDER BY tid LIMIT 1 OFFSET $4`;
const PICK_TRANSACTIONS = `SELECT tid, ttid, ${NOTE} FROM trans WHERE partition = $1 AND tid = ANY ($2)`;
const PICK_REVISIONS = `SELECT o.tid, o.oid, o.link, o.data_id, d.compression, d.checksum, d.value
  FROM unnest($1::int8[], $2::int8[]) AS k (oid, tid) JOIN obj o ON o.oid = k.oid AND o.tid = k.tid
  LEFT JOIN data d ON d.id = o.data_id WHERE o.partition = $3`;
/** Each revision with the one that follows it, of whatever object. */
const PACKABLE = "SELECT oid, tid FROM obj WHERE (oid, tid) > ($1, $2) ORDER BY oid, tid LIMIT $3";
const PART = "SELECT compression, checksum, value FROM part WHERE data_id = $1 AND seq = $2";
const STOCKED = `SELECT p AS partition FROM generate_series(0, $1 - 1) AS p
  WHERE EXISTS (SELECT 1 FROM trans WHERE partition = p) OR EXISTS (SELECT 1 FROM obj WHERE partition = p) ORDER BY p`;

/** Answers other copies. */
export class PostgresReplies {
  readonly #store: PostgresStore;
  readonly #partitions: number;
  readonly #digest: Digest;

  constructor(store: PostgresStore, options: { readonly partitions: number; readonly digest: Digest }) {
    this.#store = store;
    this.#partitions = options.partitions;
    this.#digest = options.digest;
  }

  async read(query: ReplicaQuery): Promise<DatabaseAnswer> {
    switch (query.read) {
      case "stocked": {
        const rows = await this.#store.all<{ partition: Partition }>(STOCKED, this.#partitions);
        return { read: "stocked", partitions: rows.map(({ partition }) => partition) };
      }
      case "digest": {
        const { partition, upTo, bound } = query;
        return {
          read: "digest",
          ...await this.#looking((at) => this.#digestOf(at, { partition, after: -1n, upTo, bound })),
        };
      }
      case "slices":
        return { read: "slices", slices: await this.#looking((at) => this.#slices(at, query)) };
      case "keys":
        return await this.#looking((at) => this.#keys(at, query));
      case "rows":
        return await this.#looking((at) => this.#rows(at, query));
      case "pick":
        return await this.#looking((at) => this.#pick(at, query));
      case "scrub":
        return await this.#looking((at) => this.#scrub(at, query));
      case "packable": {
        const { oid, tid } = query.after;
        const rows = await this.#store.all<RevisionKey>(PACKABLE, oid, tid, query.rowsMax + 1);
        return packableOf(rows, query);
      }
      default:
        return unreachable(query);
    }
  }

  #looking<T>(read: (at: View) => Promise<T>): Promise<T> {
    return this.#store.look(read);
  }

  /** The digest of a range, with the number of its rows. */
  async #digestOf(at: View, range: Range): Promise<{ readonly count: number; readonly digest: Uint8Array }> {
    const rows = new RowDigest(this.#digest);
    for await (const row of transactionsOf(at, range)) rows.transaction(infoOf(row));
    for await (const row of keysOf(at, range)) rows.revision(row);
    return rows.end();
  }

  /** Cuts behind the tid that fills a slice: as many rows as each would have if all had the same. */
  async #slices(
    at: View,
    { partition, after, upTo: wanted, count, rowsMax, bound }: Query<"slices">,
  ): Promise<Slice[]> {
    const upTo = await endOf(at, { partition, after, upTo: wanted, bound }, rowsMax);
    const slices: Slice[] = [];
    const [found] = await at.all<{ count: bigint }>(
      COUNT,
      partition,
      after,
      upTo,
      packedTo({ bound, after }),
    );
    let left = Number(found?.count ?? 0);
    const target = Math.max(1, Math.ceil(left / Math.max(1, count)));
    let begin = after;
    while (left > target) {
      const cut = await tidAt(at, { partition, after: begin, upTo, bound }, target - 1) ?? upTo;
      const { count: rows, digest } = await this.#digestOf(at, { partition, after: begin, upTo: cut, bound });
      left -= rows;
      if (left === 0) return [...slices, { upTo, rows, digest }];
      slices.push({ upTo: cut, rows, digest });
      begin = cut;
    }
    const { count: rows, digest } = await this.#digestOf(at, { partition, after: begin, upTo, bound });
    return [...slices, { upTo, rows, digest }];
  }

  async #keys(
    at: View,
    { partition, after, upTo, rowsMax, bound }: Query<"keys">,
  ): Promise<DatabaseAnswer> {
    const end = await endOf(at, { partition, after, upTo, bound }, rowsMax);
    const transactions: DatabaseAnswers["keys"]["transactions"][number][] = [];
    const revisions: DatabaseAnswers["keys"]["revisions"][number][] = [];
    const rows = new RowDigest(this.#digest);
    const short = (): Uint8Array => rows.end().digest.slice(0, ROW_DIGEST_BYTES);
    for await (const row of transactionsOf(at, { partition, after, upTo: end })) {
      rows.transaction(infoOf(row));
      transactions.push({ tid: row.tid, digest: short() });
    }
    for await (const row of keysOf(at, { partition, after, upTo: end, bound })) {
      rows.revision(row);
      revisions.push({ oid: row.oid, tid: row.tid, digest: short() });
    }
    return { read: "keys", transactions, revisions, upTo: end };
  }

  /** Transactions and revisions merged by tid; a transaction comes before the revisions of its tid. */
  async #rows(
    at: View,
    { partition, after, upTo, rowsMax, bytesMax, bound }: Query<"rows">,
  ): Promise<DatabaseAnswer> {
    const page = new RowPage({ rowsMax, bytesMax });
    const infos = transactionsOf(at, { partition, after: after.tid, upTo }, POSTGRES_DATA_ROWS);
    const revisions = revisionsOf(at, { partition, upTo, bound }, [after.tid, after.oid ?? ID_MAX]);
    let info = await infos.next();
    let row = await revisions.next();
    for (let fits = true; fits && !(info.done && row.done);) {
      if (!info.done && (row.done || info.value.tid <= row.value.tid)) {
        fits = page.transaction(infoOf(info.value));
        if (fits) info = await infos.next();
      } else if (!row.done) {
        fits = page.revision(copiedOf(row.value));
        if (fits) row = await revisions.next();
      }
    }
    return page.end();
  }

  async #pick(
    at: View,
    { partition, transactions, revisions, bytesMax }: Query<"pick">,
  ): Promise<DatabaseAnswer> {
    const page = new PickPage(bytesMax);
    for (const tids of chunksOf(transactions)) {
      const rows = await at.all<TransRow>(PICK_TRANSACTIONS, partition, new Column("int8", tids));
      const byTid = new Map(rows.map((row) => [row.tid, infoOf(row)]));
      if (!tids.every((tid) => page.transaction(byTid.get(tid)))) return page.end();
    }
    for (const keys of chunksOf(revisions)) {
      const oids = new Column("int8", keys.map(({ oid }) => oid));
      const tids = new Column("int8", keys.map(({ tid }) => tid));
      const rows = await at.all<RevisionRow>(PICK_REVISIONS, oids, tids, partition);
      const byKey = new Map(rows.map((row) => [`${row.oid} ${row.tid}`, copiedOf(row)]));
      if (!keys.every(({ oid, tid }) => page.revision(byKey.get(`${oid} ${tid}`)))) return page.end();
    }
    return page.end();
  }

  async #scrub(at: View, { partition, after, bytesMax }: Query<"scrub">): Promise<DatabaseAnswer> {
    const page = new ScrubPage(bytesMax);
    const rows = revisionsOf(at, { partition, upTo: ID_MAX }, [after.tid, after.oid ?? ID_MAX]);
    for await (const row of rows) {
      if (!page.takes()) break;
      page.looked(row, await this.#inspect(at, row));
    }
    return page.end();
  }

  async #inspect(at: View, row: RevisionRow): Promise<Finding> {
    const { data_id: id, compression, checksum, value } = row;
    if (id === null) return { whole: true, bytes: 0 };
    if (compression === null || checksum === null || value === null) return { whole: false, bytes: 0 };
    const looking = inspection({ compression, checksum, data: value }, this.#digest);
    let next = looking.next();
    while (!next.done) {
      const [part] = await at.all<DataRow>(PART, id, next.value);
      next = looking.next(part === undefined ? null : storedOf(part));
    }
    return next.value;
  }
}

async function* transactionsOf(
  at: View,
  { partition, after, upTo }: Range,
  rowsMax: number = POSTGRES_PAGE_ROWS,
): AsyncGenerator<TransRow, undefined> {
  for (let begin = after;;) {
    const rows = await at.all<TransRow>(TRANSACTIONS, partition, begin, upTo, rowsMax);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsMax) return;
    begin = last.tid;
  }
}

/** Revisions without their data. */
async function* keysOf(at: View, { partition, after, upTo, bound }: Range): AsyncGenerator<KeyRow> {
  const packed = packedTo({ bound, after });
  for (let place: readonly [bigint, bigint] = [after, ID_MAX];;) {
    const rows = await at.all<KeyRow>(KEYS, partition, ...place, upTo, POSTGRES_PAGE_ROWS, packed);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < POSTGRES_PAGE_ROWS) return;
    place = [last.tid, last.oid];
  }
}

/** Revisions with their data. */
async function* revisionsOf(
  at: View,
  { partition, upTo, bound }: Omit<Range, "after">,
  after: readonly [bigint, Oid | bigint],
): AsyncGenerator<RevisionRow, undefined> {
  const packed = packedTo({ bound, after: after[0] });
  for (let place: readonly [bigint, bigint] = after;;) {
    const rows = await at.all<RevisionRow>(ROWS, partition, ...place, upTo, POSTGRES_DATA_ROWS, packed);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < POSTGRES_DATA_ROWS) return;
    place = [last.tid, last.oid];
  }
}

async function tidAt(
  at: View,
  { partition, after, upTo, bound }: Range,
  index: number,
): Promise<Tid | undefined> {
  const packed = packedTo({ bound, after });
  return (await at.all<{ tid: Tid }>(TID_AT, partition, after, upTo, index, packed))[0]?.tid;
}

/** The bound for `packed()`; behind it, and without one, there is nothing to leave out, nor to look for. */
function packedTo({ bound, after }: Pick<Range, "bound" | "after">): bigint {
  return bound === undefined || after >= bound ? 0n : bound;
}

/** Where a look at so many rows of a range ends, behind a whole tid. */
async function endOf(at: View, range: Range & { readonly upTo: Tid }, rowsMax: number): Promise<Tid> {
  const beyond = await tidAt(at, range, rowsMax);
  if (beyond === undefined) return range.upTo;
  return beyond === await tidAt(at, range, 0) ? beyond : toTid(beyond - 1n);
}

function* chunksOf<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += POSTGRES_DATA_ROWS) yield all.slice(at, at + POSTGRES_DATA_ROWS);
}
