/** How questions to a storage are answered from its rows. */
import { invariant } from "../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { ZERO_TID } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type {
  DatabaseAnswer,
  DatabaseAnswers,
  DatabaseQuery,
  DatabaseState,
  Digest,
  StoredRevision,
} from "../core/ports.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { firstTids } from "./sqlite_pages.ts";
import { ReplicaReader } from "./sqlite_replies.ts";
import { type DataRow, infoOf, storedOf, type TransRow } from "./sqlite_rows.ts";

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;
type Loaded = Omit<DatabaseAnswers["load"], "read">;

const REVISION = `SELECT o.tid, o.link, o.data_id, d.compression, d.checksum, d.value,
    (SELECT n.tid FROM obj n WHERE n.oid = o.oid AND n.tid > o.tid ORDER BY n.tid LIMIT 1) AS next
  FROM obj o LEFT JOIN data d ON d.id = o.data_id
  WHERE o.oid = ?`;
const LOAD = `${REVISION} AND o.tid <= ? ORDER BY o.tid DESC LIMIT 1`;
const LOAD_EXACT = `${REVISION} AND o.tid = ?`;
const LOAD_PART = `SELECT p.compression, p.checksum, p.value FROM obj o JOIN part p ON p.data_id = o.data_id
  WHERE o.oid = ? AND o.tid = ? AND p.seq = ?`;
const TRANSACTION =
  "SELECT tid, ttid, status, user, description, extension, oids FROM trans WHERE partition = ?";
const TIDS = "SELECT tid FROM trans WHERE partition = ? AND tid > ? AND tid <= ? ORDER BY tid LIMIT ?";

/** Reads rows. */
export class SqliteReader {
  readonly #file: SqliteFile;
  readonly #partitions: number;
  readonly #replicas: ReplicaReader;

  constructor(file: SqliteFile, options: { readonly partitions: number; readonly digest: Digest }) {
    this.#file = file;
    this.#partitions = options.partitions;
    this.#replicas = new ReplicaReader(file, options.digest);
  }

  /** The newest tid of each partition that has rows. */
  newest(): DatabaseState["newest"] {
    return this.#replicas.newest();
  }

  read(query: DatabaseQuery): DatabaseAnswer {
    switch (query.read) {
      case "latest":
        return { read: "latest", tid: this.#latest(query.oid) };
      case "load":
        return { read: "load", ...this.#load(LOAD, query.oid, query.at) };
      case "loadExact":
        return { read: "loadExact", ...this.#load(LOAD_EXACT, query.oid, query.tid) };
      case "loadPart":
        return this.#loadPart(query);
      case "loadMany":
        return this.#loadMany(query);
      case "transactions":
        return { read: "transactions", transactions: this.#page(query) };
      case "fate": {
        const row = this.#file.get<{ tid: Tid }>("SELECT tid FROM trans WHERE ttid = ?", query.ttid);
        return { read: "fate", tid: row?.tid ?? null };
      }
      case "size":
        return this.#size();
      case "marks":
        return {
          read: "marks",
          lastTids: this.#lastTids(),
          lastOid: this.#lastOid(),
          lastTtid: this.#lastTtid(),
        };
      case "digest": {
        const { partition, upTo, bound } = query;
        return { read: "digest", ...this.#replicas.digestOf({ partition, after: -1n, upTo, bound }) };
      }
      default:
        return this.#replicas.read(query);
    }
  }

  #latest(oid: Oid): Tid {
    return this.#file.get<{ tid: Tid | null }>("SELECT max(tid) AS tid FROM obj WHERE oid = ?", oid)?.tid
      ?? ZERO_TID;
  }

  #load(sql: string, oid: Oid, tid: Tid): Loaded {
    const row = this.#file.get<RevisionRow>(sql, oid, tid);
    if (row !== undefined) return { known: true, revision: revisionOf(row) };
    return { known: this.#latest(oid) !== ZERO_TID, revision: null };
  }

  #loadPart({ oid, tid, seq }: Query<"loadPart">): DatabaseAnswer {
    const row = this.#file.get<DataRow>(LOAD_PART, oid, tid, seq);
    if (row !== undefined) return { read: "loadPart", known: true, part: storedOf(row) };
    return { read: "loadPart", known: this.#latest(oid) !== ZERO_TID, part: null };
  }

  #loadMany({ oids, at, bytesMax }: Query<"loadMany">): DatabaseAnswer {
    const objects: DatabaseAnswers["loadMany"]["objects"][number][] = [];
    let bytes = 0;
    for (const oid of oids) {
      const loaded = this.#load(LOAD, oid, at);
      bytes += loaded.revision?.stored?.data.length ?? 0;
      if (bytes > bytesMax && objects.length > 0) break;
      objects.push({ oid, ...loaded });
    }
    return { read: "loadMany", objects };
  }

  #page({ partitions, after, upTo, count }: Query<"transactions">): TransactionInfo[] {
    const tidsOf = (partition: Partition, last: Tid, limit: number) =>
      this.#file.all<{ tid: Tid }>(TIDS, partition, last, upTo, limit).map(({ tid }) => tid);
    return firstTids(partitions, { after, count, tidsOf }).map(({ partition, tid }) => {
      const row = this.#file.get<TransRow>(`${TRANSACTION} AND tid = ?`, partition, tid);
      invariant(row !== undefined, "a final transaction stays");
      return infoOf(row);
    });
  }

  /** Steps from partition to partition: a look-up each, however many rows there are. */
  #size(): DatabaseAnswers["size"] {
    const { bytes, live } = this.#file.get<{ bytes: bigint; live: bigint }>("SELECT bytes, live FROM size")!;
    const days = this.#file.all<{ day: bigint; bytes: bigint }>(
      "SELECT day, bytes FROM size_day ORDER BY day",
    );
    return {
      read: "size",
      bytes: Number(bytes),
      live: Number(live),
      days: days.map((one) => ({ day: Number(one.day), bytes: Number(one.bytes) })),
      ...this.#file.pages(),
    };
  }

  #lastTids(): DatabaseAnswers["marks"]["lastTids"] {
    const sql =
      "SELECT partition, tid FROM trans WHERE partition < ? ORDER BY partition DESC, tid DESC LIMIT 1";
    const lastTids: { partition: Partition; tid: Tid }[] = [];
    for (let below = this.#partitions; below > 0; below = lastTids.at(-1)?.partition ?? 0) {
      const row = this.#file.get<{ partition: bigint; tid: Tid }>(sql, below);
      if (row === undefined) break;
      lastTids.push({ partition: Number(row.partition) as Partition, tid: row.tid });
    }
    return lastTids.reverse();
  }

  #lastOid(): Oid | null {
    const final = this.#file.get<{ oid: Oid | null }>("SELECT max(oid) AS oid FROM obj")?.oid ?? null;
    const held =
      this.#file.get<{ oid: Oid | null }>("SELECT max(oid) AS oid FROM tobj WHERE NOT checked")?.oid ?? null;
    return final === null || (held !== null && held > final) ? held : final;
  }

  #lastTtid(): Ttid | null {
    const sql =
      "SELECT max(ttid) AS ttid FROM (SELECT max(ttid) AS ttid FROM trans UNION ALL SELECT max(ttid) FROM ttrans)";
    return this.#file.get<{ ttid: Ttid | null }>(sql)?.ttid ?? null;
  }
}

interface RevisionRow extends DataRow {
  readonly tid: Tid;
  readonly link: Tid | null;
  readonly data_id: bigint | null;
  readonly next: Tid | null;
}

function revisionOf(row: RevisionRow): StoredRevision {
  const { tid, next, link, data_id } = row;
  return { tid, next, stored: data_id === null ? null : storedOf(row), link };
}
