/** How changes of a storage become rows in PostgreSQL. */
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { SIZE_DAYS_MAX } from "../core/limits.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { DatabaseWrite, HeldTransaction } from "../core/ports.ts";
import { type Held, HeldTransactions } from "./held_transactions.ts";
import { PostgresCopies } from "./postgres_copies.ts";
import type { DataIds } from "./postgres_data.ts";
import { insertRows, NOTE, noteColumns } from "./postgres_rows.ts";
import { numberBytes } from "./postgres_store.ts";
import type { PostgresStore, Statements } from "./postgres_store.ts";
import { dayOf } from "./size_days.ts";

type Write<O extends DatabaseWrite["op"]> = Extract<DatabaseWrite, { op: O }>;

/** What is known of a stored object beside its row: data of its own, or that of an earlier revision. */
interface Kept {
  readonly ownedId: bigint | null;
  readonly sharedId: bigint | null;
}

const BEGIN_DAY =
  "INSERT INTO size_day (day, bytes) SELECT $1::int4, bytes FROM size ON CONFLICT (day) DO NOTHING";
const SET_META =
  "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const VOTE =
  `INSERT INTO ttrans (ttid, home, age_ms, tid, ${NOTE}) VALUES ($1, $2, $3, NULL, $4, $5, $6, $7, $8)
  ON CONFLICT (ttid) DO UPDATE SET home = excluded.home, age_ms = excluded.age_ms, tid = NULL, status = excluded.status,
    username = excluded.username, description = excluded.description, extension = excluded.extension,
    oids = excluded.oids`;
const FINALIZE = `INSERT INTO obj (partition, oid, tid, data_id, link)
  SELECT partition, oid, $1, data_id, link FROM tobj WHERE ttid = $2 AND NOT checked`;
/** What copies have brought of a transaction that becomes final. */
const COPIED =
  `DELETE FROM obj o USING tobj t WHERE t.ttid = $2 AND NOT t.checked AND o.oid = t.oid AND o.tid = $1
  RETURNING o.oid, o.data_id`;
const FINALIZE_NOTE = `INSERT INTO trans (partition, tid, ttid, ${NOTE})
  SELECT home, tid, ttid, ${NOTE} FROM ttrans WHERE ttid = $1 AND status IS NOT NULL
  ON CONFLICT (partition, tid) DO UPDATE SET ttid = excluded.ttid, status = excluded.status,
    username = excluded.username, description = excluded.description, extension = excluded.extension,
    oids = excluded.oids`;

/**
 * Writes rows. It remembers which transactions are held, so that the rules are checked and most questions are answered
 * without a query; stored objects gather until their rows are needed, and go in together.
 */
export class PostgresWriter {
  readonly #held: HeldTransactions<Kept, true, bigint>;
  readonly #data: DataIds;
  readonly #copies: PostgresCopies;
  #canBeCopied = false; // rows of what is held may have come from a copy
  #newObjects: unknown[][] = [];
  #newData: unknown[][] = [];
  #day = -1;
  #at!: Statements;

  constructor(partitions: number, data: DataIds) {
    this.#held = new HeldTransactions(partitions);
    this.#data = data;
    this.#copies = new PostgresCopies(partitions, data);
  }

  /** Forgets what was never voted, and gives the rest. */
  async recover(store: PostgresStore): Promise<HeldTransaction[]> {
    await store.apply(async (statements) => {
      const unvoted = "ttid NOT IN (SELECT ttid FROM ttrans)";
      const owned = `SELECT data_id FROM tobj WHERE owned AND ${unvoted}`;
      statements.run(`DELETE FROM part WHERE data_id IN (${owned}) OR data_id IN (SELECT data_id FROM tpart)
        OR data_id IN (SELECT data_id FROM cpart)`);
      statements.run(`DELETE FROM data WHERE id IN (${owned})`);
      const dropped = await statements.all<{ oid: Oid; data_id: bigint | null; owned: boolean }>(
        `DELETE FROM tobj WHERE ${unvoted} RETURNING oid, data_id, owned`,
      );
      for (const table of ["tpart", "cpart"]) statements.run(`DELETE FROM ${table}`);
      for (const { data_id } of await statements.all<{ data_id: bigint }>(SHARED)) this.#data.share(data_id);
      const shared = dropped.flatMap(({ oid, data_id, owned }) =>
        data_id === null || owned ? [] : [{ oid, id: data_id }]
      );
      this.#data.release(statements, shared);
    }, true);
    const votes = await store.all<VoteRow>(
      "SELECT ttid, home, age_ms, tid, status IS NOT NULL AS noted FROM ttrans ORDER BY ttid",
    );
    const objects = await store.all<ObjectRow>(
      `SELECT t.ttid, t.oid, t.partition, t.base, t.checked, t.lockless, t.data_id, t.owned, d.checksum
        FROM tobj t LEFT JOIN data d ON d.id = t.data_id ORDER BY t.ttid, t.oid`,
    );
    this.#canBeCopied = votes.length > 0;
    const byTtid = Map.groupBy(objects, ({ ttid }) => ttid);
    return votes.map((vote) => this.#recoverOne(vote, byTtid.get(vote.ttid) ?? []));
  }

  /** Does the writes in their order, as part of a round. */
  async write(statements: Statements, writes: readonly DatabaseWrite[]): Promise<void> {
    this.#at = statements;
    for (const write of writes) await this.#one(write);
    this.#insert();
  }

  #one(write: DatabaseWrite): void | Promise<void> {
    switch (write.op) {
      case "epoch":
        return this.#at.run(SET_META, "epoch", numberBytes(write.epoch));
      case "image":
        return this.#at.run(SET_META, "image", write.image);
      case "registry":
        return this.#at.run(SET_META, "registry", write.state);
      case "part":
        return this.#part(write);
      case "store":
        return this.#store(write);
      case "unstore":
        this.#dropParts(write.ttid, write.oid);
        return this.#unstore(write.ttid, write.oid);
      case "vote": {
        const { ttid, home, ageMs, note } = write;
        this.#held.vote(ttid, true);
        return this.#at.run(VOTE, ttid, home, ageMs, ...noteColumns(note));
      }
      case "unvote":
        if (this.#held.unvote(write.ttid)) this.#at.run("DELETE FROM ttrans WHERE ttid = $1", write.ttid);
        return;
      case "lock":
        this.#held.lock(write.ttid, write.tid);
        return this.#at.run("UPDATE ttrans SET tid = $1 WHERE ttid = $2", write.tid, write.ttid);
      case "unlock":
        return this.#unlock(write.ttid, write.tid);
      case "abort":
        return this.#abort(write.ttid);
      default:
        this.#insert();
        if (write.op === "copy") this.#canBeCopied = true;
        return this.#copies.write(this.#at, write);
    }
  }

  #part({ ttid, oid, seq, stored }: Write<"part">): void {
    if (seq === 0) this.#dropParts(ttid, oid);
    const id = this.#held.part({ ttid, oid, seq }, () => this.#data.newId());
    if (seq === 0) this.#at.run("INSERT INTO tpart (ttid, oid, data_id) VALUES ($1, $2, $3)", ttid, oid, id);
    const { compression, checksum, data } = stored;
    insertRows(this.#at, "part", [[id, seq, compression, checksum, data]]);
  }

  /** Takes parts out of those that wait; gives the id that they are under. */
  #takeParts(ttid: Ttid, oid: Oid): bigint | undefined {
    const id = this.#held.takeParts(ttid, oid);
    if (id !== undefined) this.#at.run("DELETE FROM tpart WHERE ttid = $1 AND oid = $2", ttid, oid);
    return id;
  }

  #dropParts(ttid: Ttid, oid: Oid): void {
    const id = this.#takeParts(ttid, oid);
    if (id !== undefined) this.#at.run("DELETE FROM part WHERE data_id = $1", id);
  }

  async #store(write: Write<"store">): Promise<void> {
    const { ttid, oid, partition, base, mode, lockless, link } = write;
    this.#unstore(ttid, oid);
    const linked = link === null ? undefined : await this.#dataIdOf(oid, link);
    const stored = mode === "check" || linked !== undefined ? null : write.stored;
    const partsId = stored?.compression === COMPRESSION_PARTS ? this.#takeParts(ttid, oid) : undefined;
    this.#dropParts(ttid, oid);
    const ownedId = stored === null ? null : partsId ?? this.#data.newId();
    const sharedId = mode === "check" ? null : linked?.data_id ?? null;
    this.#held.store(write, { ownedId, sharedId });
    if (sharedId !== null) this.#data.share(sharedId);
    if (stored !== null) {
      this.#newData.push([ownedId, stored.compression, stored.checksum, stored.data]);
    }
    const dataId = ownedId ?? sharedId;
    const row = [ttid, oid, partition, base, mode === "check", lockless, dataId, ownedId !== null, link];
    this.#newObjects.push(row);
  }

  /** The data of a final revision. */
  async #dataIdOf(oid: Oid, tid: Tid): Promise<{ readonly data_id: bigint | null } | undefined> {
    this.#insert();
    const sql = "SELECT data_id FROM obj WHERE oid = $1 AND tid = $2";
    return (await this.#at.all<{ data_id: bigint | null }>(sql, oid, tid))[0];
  }

  #unstore(ttid: Ttid, oid: Oid): void {
    const kept = this.#held.unstore(ttid, oid);
    if (kept === undefined) return;
    this.#insert();
    this.#at.run("DELETE FROM tobj WHERE ttid = $1 AND oid = $2", ttid, oid);
    if (kept.sharedId !== null) this.#data.unshare(kept.sharedId);
    const id = kept.ownedId ?? kept.sharedId;
    if (id !== null) this.#data.release(this.#at, [{ oid, id }]);
  }

  /** Rows move as they are: the data was written when the objects were stored. */
  async #unlock(ttid: Ttid, tid: Tid): Promise<void> {
    const held = this.#held.unlock(ttid, tid);
    if (held === undefined) return;
    this.#insert();
    this.#beginDay(dayOf(tid));
    const copied = this.#canBeCopied
      ? await this.#at.all<{ oid: Oid; data_id: bigint | null }>(COPIED, tid, ttid)
      : [];
    this.#at.run(FINALIZE, tid, ttid);
    this.#at.run(FINALIZE_NOTE, ttid);
    this.#forget(ttid, held);
    const replaced = copied.flatMap(({ oid, data_id }) => (data_id === null ? [] : [{ oid, id: data_id }]));
    this.#data.release(this.#at, replaced);
  }

  /** Notes how large everything was before the first commit of a day. */
  #beginDay(day: number): void {
    if (day <= this.#day) return;
    this.#day = day;
    this.#at.run(BEGIN_DAY, day);
    this.#at.run("DELETE FROM size_day WHERE day < $1", day - SIZE_DAYS_MAX);
  }

  #abort(ttid: Ttid): void {
    const held = this.#held.abort(ttid);
    if (held === undefined) return;
    this.#insert();
    this.#forget(ttid, held);
    const gone = [...held.objects].flatMap(([oid, { ownedId, sharedId }]) => {
      const id = ownedId ?? sharedId;
      return id === null ? [] : [{ oid, id }];
    });
    this.#data.release(this.#at, gone);
  }

  #forget(ttid: Ttid, { objects, parts }: Held<Kept, true, bigint>): void {
    for (const { sharedId } of objects.values()) if (sharedId !== null) this.#data.unshare(sharedId);
    if (parts.size > 0) {
      this.#at.run("DELETE FROM part WHERE data_id IN (SELECT data_id FROM tpart WHERE ttid = $1)", ttid);
      this.#at.run("DELETE FROM tpart WHERE ttid = $1", ttid);
    }
    this.#at.run("DELETE FROM tobj WHERE ttid = $1", ttid);
    this.#at.run("DELETE FROM ttrans WHERE ttid = $1", ttid);
  }

  /** Writes the rows that have gathered. */
  #insert(): void {
    if (this.#newObjects.length === 0) return;
    insertRows(this.#at, "data", this.#newData);
    insertRows(this.#at, "tobj", this.#newObjects);
    this.#newData = [];
    this.#newObjects = [];
  }

  #recoverOne({ ttid, home, age_ms, tid, noted }: VoteRow, rows: readonly ObjectRow[]): HeldTransaction {
    const objects = rows.map(({ oid, partition, base, checked, lockless, data_id, owned, checksum }) => {
      const [ownedId, sharedId] = owned ? [data_id, null] : [null, data_id];
      this.#held.store({ ttid, oid, partition }, { ownedId, sharedId });
      const mode = checked ? "check" as const : "store" as const;
      return { oid, partition, base, mode, lockless, checksum };
    });
    this.#held.vote(ttid, true);
    if (tid !== null) this.#held.lock(ttid, tid);
    return { ttid, home, ageMs: Number(age_ms), tid, noted, objects };
  }
}

/** Data that transactions which aren't final share with final revisions, once for each. */
const SHARED = "SELECT data_id FROM tobj WHERE data_id IS NOT NULL AND NOT owned";

interface VoteRow {
  readonly ttid: Ttid;
  readonly home: Partition;
  readonly age_ms: bigint;
  readonly tid: Tid | null;
  readonly noted: boolean;
}

interface ObjectRow {
  readonly ttid: Ttid;
  readonly oid: Oid;
  readonly partition: Partition;
  readonly base: Tid;
  readonly checked: boolean;
  readonly lockless: boolean;
  readonly data_id: bigint | null;
  readonly owned: boolean;
  readonly checksum: Uint8Array | null;
}
