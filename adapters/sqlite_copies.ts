/** How what replication changes becomes rows: final rows that come from another copy, or go. */
import { sameBytes } from "../core/bytes.ts";
import { invariant, unreachable } from "../core/errors.ts";
import { type Oid, type Partition, partitionOf, type Tid } from "../core/ids.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { CopiedRevision, DatabaseState, DatabaseWrite, RevisionKey, StoredData } from "../core/ports.ts";
import { CopiedParts } from "./copied_parts.ts";
import type { DataRows } from "./sqlite_data.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { type DataRow, noteColumns } from "./sqlite_rows.ts";
import {
  CPART_COLUMNS,
  DATA_COLUMNS,
  OBJ_COLUMNS,
  PART_COLUMNS,
  ROW_AT,
  STOCKED_NEXT,
  TRANS_COLUMNS,
} from "./sqlite_schema.ts";
import type { Parameter } from "./sqlite_statements.ts";

type Write<O extends DatabaseWrite["op"]> = Extract<DatabaseWrite, { op: O }>;
type CopyWrite = Write<
  "copy" | "copyPart" | "uncopy" | "resume" | "erase" | "truncate" | "packBound" | "pack"
>;

const REVISION = "SELECT data_id FROM obj WHERE oid = ? AND tid = ?";

/**
 * Writes rows of copies. New ones gather, and go in together; each that may be here already is looked up first. Used within
 * `SqliteFile.apply`.
 */
export class CopyWriter {
  readonly #file: SqliteFile;
  readonly #data: DataRows;
  readonly #partitions: number;
  readonly #parts = new CopiedParts<bigint>();
  #newRevisions: Parameter[][] = [];
  #newData: Parameter[][] = [];

  constructor(file: SqliteFile, options: { readonly data: DataRows; readonly partitions: number }) {
    this.#file = file;
    this.#data = options.data;
    this.#partitions = options.partitions;
  }

  /** Forgets the parts whose revision didn't come. */
  recover(): void {
    this.#file.run("DELETE FROM part WHERE data_id IN (SELECT data_id FROM cpart)");
    this.#file.run("DELETE FROM cpart");
  }

  resumes(): DatabaseState["resumes"] {
    const rows = this.#file.all<{ partition: bigint; since: bigint; tid: Tid }>(
      "SELECT partition, since, tid FROM resume ORDER BY partition",
    );
    return rows.map(({ partition, since, tid }) => {
      return { partition: Number(partition) as Partition, since: Number(since), tid };
    });
  }

  write(write: CopyWrite): void {
    switch (write.op) {
      case "copy":
        return this.#copy(write);
      case "copyPart":
        return this.#part(write);
      case "uncopy":
        return this.#uncopy(write);
      case "resume":
        return this.#file.run(
          "INSERT OR REPLACE INTO resume (partition, since, tid) VALUES (?, ?, ?)",
          write.partition,
          write.since,
          write.tid,
        );
      case "erase":
        return this.#erase(write);
      case "truncate":
        return this.#truncate(write);
      case "packBound":
        return this.#file.setMeta("packBound", write.tid);
      case "pack":
        return this.#pack(write);
      default:
        return unreachable(write);
    }
  }

  #part({ oid, tid, seq, stored }: Write<"copyPart">): void {
    if (seq === 0) this.#dropParts({ oid, tid });
    const id = this.#parts.part({ oid, tid, seq }, () => this.#data.newId());
    if (seq === 0) this.#file.insertAll("cpart", CPART_COLUMNS, [[oid, tid, id]]);
    const { compression, checksum, data } = stored;
    this.#file.insertAll("part", PART_COLUMNS, [[id, seq, compression, checksum, data]]);
  }

  /** Takes parts out of those that wait; gives the id that they are under. */
  #takeParts({ oid, tid }: RevisionKey): bigint | undefined {
    const id = this.#parts.take({ oid, tid });
    if (id !== undefined) this.#file.run("DELETE FROM cpart WHERE oid = ? AND tid = ?", oid, tid);
    return id;
  }

  #dropParts(key: RevisionKey): void {
    const id = this.#takeParts(key);
    if (id !== undefined) this.#file.run("DELETE FROM part WHERE data_id = ?", id);
  }

  #copy({ partition, transactions, revisions }: Write<"copy">): void {
    const newTransactions = transactions.map(({ tid, ttid, ...note }) => {
      return [partition, tid, ttid, ...noteColumns(note)];
    });
    this.#file.replaceAll("trans", TRANS_COLUMNS, newTransactions);
    const areNew = this.#areNew(partition, revisions);
    for (const row of revisions) {
      invariant(
        partitionOf(row.oid, this.#partitions) === partition,
        "an object is copied into its partition",
      );
      this.#revision(partition, row, areNew);
    }
    this.#insert();
  }

  /** Whether none of the revisions is here, each comes once, and one look can tell. */
  #areNew(partition: Partition, revisions: readonly CopiedRevision[]): boolean {
    const [first, last] = [revisions[0], revisions.at(-1)];
    if (first === undefined || last === undefined) return true;
    const areInOrder = revisions.every(({ oid, tid }, index) => {
      const before = revisions[index - 1];
      return before === undefined || before.tid < tid || (before.tid === tid && before.oid < oid);
    });
    if (!areInOrder) return false;
    const some = this.#file.get(
      "SELECT 1 FROM obj WHERE partition = ? AND (tid, oid) >= (?, ?) AND (tid, oid) <= (?, ?) LIMIT 1",
      partition,
      first.tid,
      first.oid,
      last.tid,
      last.oid,
    );
    return some === undefined;
  }

  #revision(partition: Partition, row: CopiedRevision, isNew: boolean): void {
    const { oid, tid, link } = row;
    if (!isNew) this.#insert();
    const known = isNew ? undefined : this.#dataIdOf(oid, tid);
    const dataId = this.#dataOf(row, known?.data_id ?? null);
    if (known !== undefined) {
      this.#file.run("DELETE FROM obj WHERE oid = ? AND tid = ?", oid, tid);
      if (known.data_id !== null && known.data_id !== dataId) this.#data.release(known.data_id);
    }
    this.#newRevisions.push([partition, oid, tid, dataId, link]);
  }

  /** Which data a copied revision has here; `knownId` is what it had so far. */
  #dataOf(row: CopiedRevision, knownId: bigint | null): bigint | null {
    const { oid, stored, link } = row;
    if (stored === null) {
      this.#dropParts(row);
      return null;
    }
    const linkedId = link === null ? null : this.#linkedId(oid, link, stored);
    if (linkedId !== null) {
      this.#dropParts(row);
      if (linkedId !== knownId) this.#data.share(linkedId);
      return linkedId;
    }
    const partsId = this.#partsOf(row, stored);
    if (stored.compression === COMPRESSION_PARTS && partsId === undefined && this.#has(knownId, stored)) {
      return knownId;
    }
    const id = partsId ?? this.#data.newId();
    this.#newData.push([id, stored.compression, stored.checksum, stored.data]);
    return id;
  }

  #partsOf(key: RevisionKey, { compression }: StoredData): bigint | undefined {
    if (compression === COMPRESSION_PARTS) return this.#takeParts(key);
    this.#dropParts(key);
    return undefined;
  }

  /** The data of an earlier revision, if it is the same. */
  #linkedId(oid: Oid, link: Tid, stored: StoredData): bigint | null {
    this.#insert();
    const id = this.#dataIdOf(oid, link)?.data_id ?? null;
    return this.#has(id, stored) ? id : null;
  }

  #dataIdOf(oid: Oid, tid: Tid): { readonly data_id: bigint | null } | undefined {
    return this.#file.get(REVISION, oid, tid);
  }

  #has(id: bigint | null, { compression, checksum, data }: StoredData): boolean {
    if (id === null) return false;
    const row = this.#file.get<DataRow>("SELECT compression, checksum, value FROM data WHERE id = ?", id);
    if (row === undefined || Number(row.compression) !== compression) return false;
    return sameBytes(row.checksum, checksum) && sameBytes(row.value, data);
  }

  /** Writes the rows that have gathered. */
  #insert(): void {
    this.#file.insertAll("data", DATA_COLUMNS, this.#newData);
    this.#file.insertAll("obj", OBJ_COLUMNS, this.#newRevisions);
    this.#newData = [];
    this.#newRevisions = [];
  }

  #uncopy({ partition, transactions, revisions }: Write<"uncopy">): void {
    for (const tid of transactions) {
      this.#file.run("DELETE FROM trans WHERE partition = ? AND tid = ?", partition, tid);
    }
    for (const key of revisions) {
      if (partitionOf(key.oid, this.#partitions) === partition) this.#delete(key);
    }
  }

  #delete({ oid, tid }: RevisionKey): void {
    const row = this.#dataIdOf(oid, tid);
    if (row === undefined) return;
    this.#file.run("DELETE FROM obj WHERE oid = ? AND tid = ?", oid, tid);
    if (row.data_id !== null) this.#data.release(row.data_id);
  }

  #pack({ revisions, bound, after }: Write<"pack">): void {
    for (const key of revisions) this.#delete(key);
    this.#file.setMeta("packed", bound);
    this.#file.setMeta("packedOid", after?.oid ?? null);
    this.#file.setMeta("packedTid", after?.tid ?? null);
  }

  #erase({ partition, rowsMax }: Write<"erase">): void {
    this.#file.run("DELETE FROM resume WHERE partition = ?", partition);
    for (const key of this.#parts.entries()) {
      if (partitionOf(key.oid, this.#partitions) === partition) this.#dropParts(key);
    }
    if (rowsMax <= 0) return;
    const last = this.#file.get<RevisionKey>(ROW_AT, partition, partition, rowsMax - 1);
    if (last === undefined) {
      this.#file.run("DELETE FROM trans WHERE partition = ?", partition);
      return this.#data.deleteRevisions("partition = ?", partition);
    }
    this.#file.run("DELETE FROM trans WHERE partition = ? AND tid <= ?", partition, last.tid);
    this.#data.deleteRevisions("partition = ? AND (tid, oid) <= (?, ?)", partition, last.tid, last.oid);
  }

  #truncate({ number, tid }: Write<"truncate">): void {
    for (const key of this.#parts.entries()) {
      if (key.tid > tid) this.#dropParts(key);
    }
    for (let below: bigint | null | undefined = -1n;;) {
      below = this.#file.get<{ partition: bigint | null }>(STOCKED_NEXT, below, below)?.partition;
      if (below === null || below === undefined) break;
      this.#file.run("DELETE FROM trans WHERE partition = ? AND tid > ?", below, tid);
      this.#data.deleteRevisions("partition = ? AND tid > ?", below, tid);
    }
    this.#file.run("UPDATE resume SET tid = ? WHERE tid > ?", tid, tid);
    this.#file.setMeta("truncations", number);
  }
}
