/** How changes of a storage become rows. */
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { SIZE_DAYS_MAX } from "../core/limits.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { DatabaseState, DatabaseWrite, HeldTransaction } from "../core/ports.ts";
import { type Held, HeldTransactions } from "./held_transactions.ts";
import { dayOf } from "./size_days.ts";
import { CopyWriter } from "./sqlite_copies.ts";
import { DataRows } from "./sqlite_data.ts";
import { isConstraint } from "./sqlite_errors.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { noteColumns } from "./sqlite_rows.ts";
import { DATA_COLUMNS, PART_COLUMNS, TOBJ_COLUMNS, TPART_COLUMNS } from "./sqlite_schema.ts";
import type { Parameter } from "./sqlite_statements.ts";

type PartWrite = Extract<DatabaseWrite, { op: "part" }>;
type StoreWrite = Extract<DatabaseWrite, { op: "store" }>;
type VoteWrite = Extract<DatabaseWrite, { op: "vote" }>;

/** What is known of a stored object beside its row: data of its own, or that of an earlier revision. */
interface Kept {
  readonly ownedId: bigint | null;
  readonly sharedId: bigint | null;
}

const FINALIZE = `INSERT INTO obj (partition, oid, tid, data_id, link)
  SELECT partition, oid, ?, data_id, link FROM tobj WHERE ttid = ? AND NOT checked`;

/**
 * Writes rows. It remembers which transactions are held, so that the rules are checked and most questions are answered
 * without a query; stored objects gather until their rows are needed, and go in together. Parts are written as they come,
 * under the id that the data of their object will have.
 */
export class SqliteWriter {
  readonly #file: SqliteFile;
  readonly #held: HeldTransactions<Kept, true, bigint>;
  readonly #data: DataRows;
  readonly #copies: CopyWriter;
  #newObjects: Parameter[][] = [];
  #newData: Parameter[][] = [];
  #day = -1;

  constructor(file: SqliteFile, partitions: number) {
    this.#file = file;
    this.#held = new HeldTransactions(partitions);
    this.#data = new DataRows(file);
    this.#copies = new CopyWriter(file, { data: this.#data, partitions });
  }

  /** Forgets what was never voted, and gives the rest. */
  recover(): HeldTransaction[] {
    this.#file.apply(() => {
      const shared = this.#file.all<{ data_id: bigint }>(
        "SELECT data_id FROM tobj WHERE data_id IS NOT NULL AND NOT owned AND ttid NOT IN (SELECT ttid FROM ttrans)",
      );
      this.#file.run(
        "DELETE FROM data WHERE id IN (SELECT data_id FROM tobj WHERE owned AND ttid NOT IN (SELECT ttid FROM ttrans))",
      );
      this.#file.run("DELETE FROM tobj WHERE ttid NOT IN (SELECT ttid FROM ttrans)");
      this.#file.run("DELETE FROM part WHERE data_id IN (SELECT data_id FROM tpart)");
      this.#file.run("DELETE FROM tpart");
      for (const { data_id } of shared) this.#data.release(data_id);
      this.#copies.recover();
    }, true);
    const transactions = this.#file.all<TtransRow>(
      "SELECT ttid, home, age_ms, tid, status IS NOT NULL AS noted FROM ttrans ORDER BY ttid",
    );
    return transactions.map((row) => this.#recoverOne(row));
  }

  resumes(): DatabaseState["resumes"] {
    return this.#copies.resumes();
  }

  /** Does the writes in their order; within `SqliteFile.apply`. */
  write(writes: readonly DatabaseWrite[]): void {
    for (const write of writes) this.#one(write);
    this.#insert();
  }

  #one(write: DatabaseWrite): void {
    switch (write.op) {
      case "epoch":
        return this.#file.setMeta("epoch", write.epoch);
      case "image":
        return this.#file.setMeta("image", write.image);
      case "registry":
        return this.#file.setMeta("registry", write.state);
      case "part":
        return this.#part(write);
      case "store":
        return this.#store(write);
      case "unstore":
        this.#dropParts(write.ttid, write.oid);
        return this.#unstore(write.ttid, write.oid);
      case "vote":
        return this.#vote(write);
      case "unvote":
        if (this.#held.unvote(write.ttid)) this.#file.run("DELETE FROM ttrans WHERE ttid = ?", write.ttid);
        return;
      case "lock":
        this.#held.lock(write.ttid, write.tid);
        return this.#file.run("UPDATE ttrans SET tid = ? WHERE ttid = ?", write.tid, write.ttid);
      case "unlock":
        return this.#unlock(write.ttid, write.tid);
      case "abort":
        return this.#abort(write.ttid);
      default:
        return this.#copies.write(write);
    }
  }

  #part({ ttid, oid, seq, stored }: PartWrite): void {
    if (seq === 0) this.#dropParts(ttid, oid);
    const id = this.#held.part({ ttid, oid, seq }, () => this.#data.newId());
    if (seq === 0) this.#file.insertAll("tpart", TPART_COLUMNS, [[ttid, oid, id]]);
    const { compression, checksum, data } = stored;
    this.#file.insertAll("part", PART_COLUMNS, [[id, seq, compression, checksum, data]]);
  }

  /** Takes parts out of those that wait; gives the id that they are under. */
  #takeParts(ttid: Ttid, oid: Oid): bigint | undefined {
    const id = this.#held.takeParts(ttid, oid);
    if (id !== undefined) this.#file.run("DELETE FROM tpart WHERE ttid = ? AND oid = ?", ttid, oid);
    return id;
  }

  #dropParts(ttid: Ttid, oid: Oid): void {
    const id = this.#takeParts(ttid, oid);
    if (id !== undefined) this.#file.run("DELETE FROM part WHERE data_id = ?", id);
  }

  #store(write: StoreWrite): void {
    const { ttid, oid, partition, base, mode, lockless, link } = write;
    this.#unstore(ttid, oid);
    const linked = link === null ? undefined : this.#dataIdOf(oid, link);
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
    const [checked, owned] = [Number(mode === "check"), Number(ownedId !== null)];
    const dataId = ownedId ?? sharedId;
    this.#newObjects.push([ttid, oid, partition, base, checked, Number(lockless), dataId, owned, link]);
  }

  /** The data of a final revision. */
  #dataIdOf(oid: Oid, tid: Tid): { readonly data_id: bigint | null } | undefined {
    return this.#file.get("SELECT data_id FROM obj WHERE oid = ? AND tid = ?", oid, tid);
  }

  #unstore(ttid: Ttid, oid: Oid): void {
    const kept = this.#held.unstore(ttid, oid);
    if (kept === undefined) return;
    this.#insert();
    this.#file.run("DELETE FROM tobj WHERE ttid = ? AND oid = ?", ttid, oid);
    const dataId = kept.ownedId ?? kept.sharedId;
    if (dataId !== null) this.#data.release(dataId);
  }

  #vote({ ttid, home, ageMs, note }: VoteWrite): void {
    this.#held.vote(ttid, true);
    this.#file.run(
      `INSERT OR REPLACE INTO ttrans (ttid, home, age_ms, tid, status, user, description, extension, oids)
        VALUES (?, ?, ?, NULL, ?, ?, ?, ?, ?)`,
      ttid,
      home,
      ageMs,
      ...noteColumns(note),
    );
  }

  /** Rows move as they are: the data was written when the objects were stored. */
  #unlock(ttid: Ttid, tid: Tid): void {
    const held = this.#held.unlock(ttid, tid);
    if (held === undefined) return;
    this.#insert();
    this.#beginDay(dayOf(tid));
    this.#finalize(ttid, tid);
    this.#file.run(
      `INSERT OR REPLACE INTO trans (partition, tid, ttid, status, user, description, extension, oids)
        SELECT home, tid, ttid, status, user, description, extension, oids
        FROM ttrans WHERE ttid = ? AND status IS NOT NULL`,
      ttid,
    );
    this.#forget(ttid, held);
  }

  /** Notes how large everything was before the first commit of a day. */
  #beginDay(day: number): void {
    if (day <= this.#day) return;
    this.#day = day;
    this.#file.run("INSERT OR IGNORE INTO size_day (day, bytes) SELECT ?, bytes FROM size", day);
    this.#file.run("DELETE FROM size_day WHERE day < ?", day - SIZE_DAYS_MAX);
  }

  /** Makes rows final; where copies have brought some of them meanwhile, those go first. */
  #finalize(ttid: Ttid, tid: Tid): void {
    try {
      this.#file.run(FINALIZE, tid, ttid);
    } catch (error) {
      if (!isConstraint(error)) throw error;
      const copied = this.#file.all<{ oid: Oid; data_id: bigint | null }>(
        `SELECT o.oid, o.data_id FROM tobj t JOIN obj o ON o.oid = t.oid AND o.tid = ?
          WHERE t.ttid = ? AND NOT t.checked`,
        tid,
        ttid,
      );
      for (const { oid, data_id } of copied) {
        this.#file.run("DELETE FROM obj WHERE oid = ? AND tid = ?", oid, tid);
        if (data_id !== null) this.#data.release(data_id);
      }
      this.#file.run(FINALIZE, tid, ttid);
    }
  }

  #abort(ttid: Ttid): void {
    const held = this.#held.abort(ttid);
    if (held === undefined) return;
    this.#insert();
    this.#file.run("DELETE FROM data WHERE id IN (SELECT data_id FROM tobj WHERE ttid = ? AND owned)", ttid);
    for (const { sharedId } of held.objects.values()) {
      if (sharedId !== null) this.#data.release(sharedId);
    }
    this.#forget(ttid, held);
  }

  #forget(ttid: Ttid, { parts }: Held<Kept, true, bigint>): void {
    if (parts.size > 0) {
      this.#file.run("DELETE FROM part WHERE data_id IN (SELECT data_id FROM tpart WHERE ttid = ?)", ttid);
      this.#file.run("DELETE FROM tpart WHERE ttid = ?", ttid);
    }
    this.#file.run("DELETE FROM tobj WHERE ttid = ?", ttid);
    this.#file.run("DELETE FROM ttrans WHERE ttid = ?", ttid);
  }

  /** Writes the rows that have gathered. */
  #insert(): void {
    if (this.#newObjects.length === 0) return;
    this.#file.insertAll("data", DATA_COLUMNS, this.#newData);
    this.#file.insertAll("tobj", TOBJ_COLUMNS, this.#newObjects);
    this.#newData = [];
    this.#newObjects = [];
  }

  #recoverOne({ ttid, home, age_ms, tid, noted }: TtransRow): HeldTransaction {
    const rows = this.#file.all<TobjRow>(
      `SELECT t.oid, t.partition, t.base, t.checked, t.lockless, t.data_id, t.owned, d.checksum
        FROM tobj t LEFT JOIN data d ON d.id = t.data_id WHERE t.ttid = ? ORDER BY t.oid`,
      ttid,
    );
    const objects = rows.map((row) => {
      const partition = Number(row.partition) as Partition;
      const { oid, base, checksum } = row;
      const [ownedId, sharedId] = row.owned === 1n ? [row.data_id, null] : [null, row.data_id];
      this.#held.store({ ttid, oid, partition }, { ownedId, sharedId });
      const mode = row.checked === 1n ? "check" as const : "store" as const;
      return { oid, partition, base, mode, lockless: row.lockless === 1n, checksum };
    });
    this.#held.vote(ttid, true);
    if (tid !== null) this.#held.lock(ttid, tid);
    return {
      ttid,
      home: Number(home) as Partition,
      ageMs: Number(age_ms),
      tid,
      noted: noted === 1n,
      objects,
    };
  }
}

interface TtransRow {
  readonly ttid: Ttid;
  readonly home: bigint;
  readonly age_ms: bigint;
  readonly tid: Tid | null;
  readonly noted: bigint;
}

interface TobjRow {
  readonly oid: Oid;
  readonly partition: bigint;
  readonly base: Tid;
  readonly checked: bigint;
  readonly lockless: bigint;
  readonly data_id: bigint | null;
  readonly owned: bigint;
  readonly checksum: Uint8Array | null;
}
