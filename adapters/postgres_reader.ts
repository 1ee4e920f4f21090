/** How questions to a storage are answered from its rows in PostgreSQL. */
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
import { PostgresReplies } from "./postgres_replies.ts";
import { type DataRow, infoOf, NOTE, storedOf, type TransRow } from "./postgres_rows.ts";
import { Column } from "./postgres_store.ts";
import type { PostgresStore } from "./postgres_store.ts";

type Query<R extends DatabaseQuery["read"]> = Extract<DatabaseQuery, { read: R }>;
type Loaded = Omit<DatabaseAnswers["load"], "read">;

const REVISION = `SELECT o.tid, o.link, o.data_id, d.compression, d.checksum, d.value,
    (SELECT n.tid FROM obj n WHERE n.oid = o.oid AND n.tid > o.tid ORDER BY n.tid LIMIT 1) AS next
  FROM obj o LEFT JOIN data d ON d.id = o.data_id`;
const LOAD = `${REVISION} WHERE o.oid = $1 AND o.tid <= $2 ORDER BY o.tid DESC LIMIT 1`;
const LOAD_EXACT = `${REVISION} WHERE o.oid = $1 AND o.tid = $2`;
const LOAD_PART = `SELECT p.compression, p.checksum, p.value FROM obj o JOIN part p ON p.data_id = o.data_id
  WHERE o.oid = $1 AND o.tid = $2 AND p.seq = $3`;
/** Each partition's first tids: of all of them together the first ones make the page. */
const TIDS = `SELECT p.partition, t.tid FROM unnest($1::int4[]) WITH ORDINALITY AS p (partition, at)
  CROSS JOIN LATERAL (SELECT tid FROM trans WHERE trans.partition = p.partition AND tid > $2 AND tid <= $3
    ORDER BY tid LIMIT $4) t ORDER BY t.tid, p.at`;
const PAGE = `SELECT t.tid, t.ttid, ${NOTE.split(", ").map((name) => `t.${name}`).join(", ")}
  FROM unnest($1::int4[], $2::int8[]) WITH ORDINALITY AS k (partition, tid, at)
  JOIN trans t ON t.partition = k.partition AND t.tid = k.tid ORDER BY k.at`;
const LAST_TIDS = `SELECT p AS partition, m.tid FROM generate_series(0, $1 - 1) AS p
  CROSS JOIN LATERAL (SELECT max(tid) AS tid FROM trans WHERE partition = p) m WHERE m.tid IS NOT NULL ORDER BY p`;
const NEWEST = `SELECT p AS partition, m.tid FROM generate_series(0, $1 - 1) AS p CROSS JOIN LATERAL (
  SELECT greatest((SELECT max(tid) FROM trans WHERE partition = p), (SELECT max(tid) FROM obj WHERE partition = p))
    AS tid) m WHERE m.tid IS NOT NULL ORDER BY p`;
const SIZE = `SELECT bytes, live, (SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind = 'r') AS "fileBytes"
  FROM size`;
const LAST_IDS =
  `SELECT greatest((SELECT max(oid) FROM obj), (SELECT max(oid) FROM tobj WHERE NOT checked)) AS oid,
  greatest((SELECT max(ttid) FROM trans), (SELECT max(ttid) FROM ttrans)) AS ttid`;

/** Reads rows. */
export class PostgresReader {
  readonly #store: PostgresStore;
  readonly #partitions: number;
  readonly #replies: PostgresReplies;

  constructor(store: PostgresStore, options: { readonly partitions: number; readonly digest: Digest }) {
    this.#store = store;
    this.#partitions = options.partitions;
    this.#replies = new PostgresReplies(store, options);
  }

  /** The newest tid of each partition that has rows. */
  async newest(): Promise<DatabaseState["newest"]> {
    return await this.#store.all<{ partition: Partition; tid: Tid }>(NEWEST, this.#partitions);
  }

  async read(query: DatabaseQuery): Promise<DatabaseAnswer> {
    switch (query.read) {
      case "latest":
        return { read: "latest", tid: await this.#latest(query.oid) };
      case "load":
        return { read: "load", ...await this.#load(LOAD, query.oid, query.at) };
      case "loadExact":
        return { read: "loadExact", ...await this.#load(LOAD_EXACT, query.oid, query.tid) };
      case "loadPart":
        return await this.#loadPart(query);
      case "loadMany":
        return await this.#loadMany(query);
      case "transactions":
        return { read: "transactions", transactions: await this.#page(query) };
      case "fate": {
        const [row] = await this.#store.all<{ tid: Tid }>(
          "SELECT tid FROM trans WHERE ttid = $1",
          query.ttid,
        );
        return { read: "fate", tid: row?.tid ?? null };
      }
      case "size":
        return await this.#size();
      case "marks":
        return await this.#marks();
      default:
        return await this.#replies.read(query);
    }
  }

  async #latest(oid: Oid): Promise<Tid> {
    const [row] = await this.#store.all<{ tid: Tid | null }>(
      "SELECT max(tid) AS tid FROM obj WHERE oid = $1",
      oid,
    );
    return row?.tid ?? ZERO_TID;
  }

  async #load(sql: string, oid: Oid, tid: Tid): Promise<Loaded> {
    const [row] = await this.#store.all<RevisionRow>(sql, oid, tid);
    if (row !== undefined) return { known: true, revision: revisionOf(row) };
    return { known: await this.#latest(oid) !== ZERO_TID, revision: null };
  }

  async #loadPart({ oid, tid, seq }: Query<"loadPart">): Promise<DatabaseAnswer> {
    const [row] = await this.#store.all<DataRow>(LOAD_PART, oid, tid, seq);
    if (row !== undefined) return { read: "loadPart", known: true, part: storedOf(row) };
    return { read: "loadPart", known: await this.#latest(oid) !== ZERO_TID, part: null };
  }

  /** One state for all of them; their questions don't wait for one another, but what is beyond the bound isn't asked for. */
  async #loadMany({ oids, at, bytesMax }: Query<"loadMany">): Promise<DatabaseAnswer> {
    const objects: DatabaseAnswers["loadMany"]["objects"][number][] = [];
    let bytes = 0;
    return await this.#store.look(async (view) => {
      for (const oid of oids) {
        const [row] = await view.all<RevisionRow>(LOAD, oid, at);
        bytes += row?.value?.length ?? 0;
        if (bytes > bytesMax && objects.length > 0) break;
        const isKnown = row !== undefined
          || (await view.all("SELECT 1 FROM obj WHERE oid = $1 LIMIT 1", oid)).length > 0;
        objects.push({ oid, known: isKnown, revision: row === undefined ? null : revisionOf(row) });
      }
      return { read: "loadMany", objects } as const;
    });
  }

  /** Asks each partition for about its share, and again for all that it may need if that was too little. */
  async #page({ partitions, after, upTo, count }: Query<"transactions">): Promise<TransactionInfo[]> {
    if (count <= 0 || partitions.length === 0) return [];
    const asked = new Column("int4", [...new Set(partitions)]);
    return await this.#store.look(async (view) => {
      const share = Math.min(count, Math.ceil((2 * count) / partitions.length) + 1);
      let places = await view.all<Place>(TIDS, asked, after, upTo, share);
      if (!isEnough(places, count, share)) places = await view.all<Place>(TIDS, asked, after, upTo, count);
      const page = places.slice(0, count);
      const keys = [
        new Column("int4", page.map(({ partition }) => partition)),
        new Column("int8", page.map(({ tid }) => tid)),
      ];
      const rows = await view.all<TransRow>(PAGE, ...keys);
      invariant(rows.length === page.length, "a final transaction stays");
      return rows.map(infoOf);
    });
  }

  /** What was counted with each write, and what the server says of its tables. */
  async #size(): Promise<DatabaseAnswer> {
    return await this.#store.look(async (view) => {
      const [found] = await view.all<{ bytes: bigint; live: bigint; fileBytes: bigint }>(SIZE);
      invariant(found !== undefined, "sizes are counted");
      const days = await view.all<{ day: number; bytes: bigint }>(
        "SELECT day, bytes FROM size_day ORDER BY day",
      );
      return {
        read: "size",
        bytes: Number(found.bytes),
        live: Number(found.live),
        days: days.map(({ day, bytes }) => ({ day, bytes: Number(bytes) })),
        fileBytes: Number(found.fileBytes),
        reusableBytes: null,
      };
    });
  }

  async #marks(): Promise<DatabaseAnswer> {
    return await this.#store.look(async (view) => {
      const lastTids = await view.all<Place>(LAST_TIDS, this.#partitions);
      const [last] = await view.all<{ oid: Oid | null; ttid: Ttid | null }>(LAST_IDS);
      return {
        read: "marks",
        lastTids: [...lastTids],
        lastOid: last?.oid ?? null,
        lastTtid: last?.ttid ?? null,
      } as const;
    });
  }
}

interface Place {
  readonly partition: Partition;
  readonly tid: Tid;
}

/** Whether no partition that gave its whole share could have a tid before the last one of the page. */
function isEnough(places: readonly Place[], count: number, share: number): boolean {
  const final = places[count - 1];
  const given = Map.groupBy(places, ({ partition }) => partition);
  return [...given.values()].every((all) =>
    all.length < share || (final !== undefined && final.tid <= all.at(-1)!.tid)
  );
}

interface RevisionRow {
  readonly tid: Tid;
  readonly link: Tid | null;
  readonly data_id: bigint | null;
  readonly compression: number | null;
  readonly checksum: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly next: Tid | null;
}

function revisionOf({ tid, next, link, compression, checksum, value }: RevisionRow): StoredRevision {
  const isDeletion = compression === null || checksum === null || value === null;
  return { tid, next, link, stored: isDeletion ? null : { compression, checksum, data: value } };
}
