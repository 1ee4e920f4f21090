/** How changes of a storage become rows. */
import { unreachable } from "../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import type { Note } from "../core/messages.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { DatabaseWrite, HeldTransaction } from "../core/ports.ts";
import { type Held, HeldTransactions } from "./held_transactions.ts";
import { packIds } from "./row_digest.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { DATA_COLUMNS, PART_COLUMNS, TOBJ_COLUMNS, TPART_COLUMNS } from "./sqlite_schema.ts";
import type { Parameter } from "./sqlite_statements.ts";

type PartWrite = Extract<DatabaseWrite, { op: "part" }>;
type StoreWrite = Extract<DatabaseWrite, { op: "store" }>;
type VoteWrite = Extract<DatabaseWrite, { op: "vote" }>;

/** What is known of a stored object beside its row: the data that goes with it, if it has its own. */
interface Kept {
  readonly ownedId: bigint | null;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Texts as they stand in the file. */
export const textBytes = (text: string): Uint8Array => encoder.encode(text);
/** And back. */
export const bytesText = (bytes: Uint8Array): string => decoder.decode(bytes);

/**
 * Writes rows. It remembers which transactions are held, so that the rules are checked and most questions are answered
 * without a query; stored objects gather until their rows are needed, and go in together. Parts are written as they come,
 * under the id that the data of their object will have.
 */
export class SqliteWriter {
  readonly #file: SqliteFile;
  readonly #held: HeldTransactions<Kept, true, bigint>;
  #nextDataId: bigint;
  #newObjects: Parameter[][] = [];
  #newData: Parameter[][] = [];

  constructor(file: SqliteFile, partitions: number) {
    this.#file = file;
    this.#held = new HeldTransactions(partitions);
    const last = file.get<{ id: bigint | null }>("SELECT max(id) AS id FROM data");
    this.#nextDataId = (last?.id ?? 0n) + 1n;
  }

  /** Forgets what was never voted, and gives the rest. */
  recover(): HeldTransaction[] {
    this.#file.apply(() => {
      this.#file.run(
        "DELETE FROM data WHERE id IN (SELECT data_id FROM tobj WHERE owned AND ttid NOT IN (SELECT ttid FROM ttrans))",
      );
      this.#file.run("DELETE FROM tobj WHERE ttid NOT IN (SELECT ttid FROM ttrans)");
      this.#file.run("DELETE FROM part WHERE data_id IN (SELECT data_id FROM tpart)");
      this.#file.run("DELETE FROM tpart");
    }, true);
    const transactions = this.#file.all<TtransRow>(
      "SELECT ttid, home, age_ms, tid, status IS NOT NULL AS noted FROM ttrans ORDER BY ttid",
    );
    return transactions.map((row) => this.#recoverOne(row));
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
        return unreachable(write);
    }
  }

  #part({ ttid, oid, seq, stored }: PartWrite): void {
    if (seq === 0) this.#dropParts(ttid, oid);
    const id = this.#held.part({ ttid, oid, seq }, () => this.#nextDataId++);
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
    const ownedId = stored === null ? null : partsId ?? this.#nextDataId++;
    this.#held.store(write, { ownedId });
    if (stored !== null) {
      this.#newData.push([ownedId, stored.compression, stored.checksum, stored.data]);
    }
    const dataId = mode === "check" ? null : linked === undefined ? ownedId : linked.data_id;
    const [checked, owned] = [Number(mode === "check"), Number(ownedId !== null)];
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
    if (kept.ownedId !== null) this.#file.run("DELETE FROM data WHERE id = ?", kept.ownedId);
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
    this.#file.run(
      `INSERT INTO obj (partition, oid, tid, data_id, link)
        SELECT partition, oid, ?, data_id, link FROM tobj WHERE ttid = ? AND NOT checked`,
      tid,
      ttid,
    );
    this.#file.run(
      `INSERT INTO trans (partition, tid, ttid, status, user, description, extension, oids)
        SELECT home, tid, ttid, status, user, description, extension, oids
        FROM ttrans WHERE ttid = ? AND status IS NOT NULL`,
      ttid,
    );
    this.#forget(ttid, held);
  }

  #abort(ttid: Ttid): void {
    const held = this.#held.abort(ttid);
    if (held === undefined) return;
    this.#insert();
    this.#file.run("DELETE FROM data WHERE id IN (SELECT data_id FROM tobj WHERE ttid = ? AND owned)", ttid);
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
      this.#held.store({ ttid, oid, partition }, { ownedId: row.owned === 1n ? row.data_id : null });
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

function noteColumns(note: Note | null): Parameter[] {
  if (note === null) return [null, null, null, null, null];
  const { status, user, description, extension, oids } = note;
  return [textBytes(status), user, description, extension, packIds(oids)];
}
