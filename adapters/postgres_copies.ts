/** How what replication changes becomes rows in PostgreSQL: final rows that come from another copy, or go. */
import { sameBytes } from "../core/bytes.ts";
import { invariant, unreachable } from "../core/errors.ts";
import { type Oid, type Partition, partitionOf, type Tid } from "../core/ids.ts";
import { COMPRESSION_PARTS } from "../core/parts.ts";
import type { CopiedRevision, DatabaseWrite, RevisionKey, StoredData } from "../core/ports.ts";
import { CopiedParts } from "./copied_parts.ts";
import type { DataIds } from "./postgres_data.ts";
import { type DataRow, insertRows, noteColumns } from "./postgres_rows.ts";
import { Column, numberBytes } from "./postgres_store.ts";
import type { Statements } from "./postgres_store.ts";

type Write<O extends DatabaseWrite["op"]> = Extract<DatabaseWrite, { op: O }>;
type CopyWrite = Write<
  "copy" | "copyPart" | "uncopy" | "resume" | "erase" | "truncate" | "packBound" | "pack"
>;

/** A revision that is here; its data only where it was looked at. */
interface Known {
  readonly data_id: bigint | null;
}

const REPLACE_TRANS =
  `ON CONFLICT (partition, tid) DO UPDATE SET ttid = excluded.ttid, status = excluded.status,
  username = excluded.username, description = excluded.description, extension = excluded.extension, oids = excluded.oids`;
/** Rows go and come: changed where they stand, they wouldn't be counted. */
const DELETE_KNOWN = `DELETE FROM obj o USING unnest($1::int8[], $2::int8[]) AS k (oid, tid)
  WHERE o.oid = k.oid AND o.tid = k.tid`;
const SET_RESUME = `INSERT INTO resume (partition, since, tid) VALUES ($1, $2, $3)
  ON CONFLICT (partition) DO UPDATE SET since = excluded.since, tid = excluded.tid`;
const SET_META =
  "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const KNOWN = `SELECT o.oid, o.tid, o.data_id FROM unnest($1::int8[], $2::int8[]) AS k (oid, tid)
  JOIN obj o ON o.oid = k.oid AND o.tid = k.tid`;
/** The tid and oid of the final row of a partition at a place, counted from 0; a transaction stands under oid -1. */
const ROW_AT = `SELECT tid, -1::int8 AS oid FROM trans WHERE partition = $1
  UNION ALL SELECT tid, oid FROM obj WHERE partition = $1 ORDER BY 1, 2 LIMIT 1 OFFSET $2`;

/** Writes rows of copies, as part of a round. */
export class PostgresCopies {
  readonly #partitions: number;
  readonly #data: DataIds;
  readonly #parts = new CopiedParts<bigint>();

  constructor(partitions: number, data: DataIds) {
    this.#partitions = partitions;
    this.#data = data;
  }

  async write(at: Statements, write: CopyWrite): Promise<void> {
    switch (write.op) {
      case "copy":
        return await this.#copy(at, write);
      case "copyPart":
        return this.#part(at, write);
      case "uncopy":
        return await this.#uncopy(at, write);
      case "resume":
        return at.run(SET_RESUME, write.partition, write.since, write.tid);
      case "erase":
        return await this.#erase(at, write);
      case "truncate":
        return await this.#truncate(at, write);
      case "packBound":
        return at.run(SET_META, "packBound", numberBytes(write.tid));
      case "pack":
        return await this.#pack(at, write);
      default:
        return unreachable(write);
    }
  }

  #part(at: Statements, { oid, tid, seq, stored }: Write<"copyPart">): void {
    if (seq === 0) this.#dropParts(at, { oid, tid });
    const id = this.#parts.part({ oid, tid, seq }, () => this.#data.newId());
    if (seq === 0) at.run("INSERT INTO cpart (oid, tid, data_id) VALUES ($1, $2, $3)", oid, tid, id);
    const { compression, checksum, data } = stored;
    insertRows(at, "part", [[id, seq, compression, checksum, data]]);
  }

  /** Takes parts out of those that wait; gives the id that they are under. */
  #takeParts(at: Statements, { oid, tid }: RevisionKey): bigint | undefined {
    const id = this.#parts.take({ oid, tid });
    if (id !== undefined) at.run("DELETE FROM cpart WHERE oid = $1 AND tid = $2", oid, tid);
    return id;
  }

  #dropParts(at: Statements, key: RevisionKey): void {
    const id = this.#takeParts(at, key);
    if (id !== undefined) at.run("DELETE FROM part WHERE data_id = $1", id);
  }

  async #copy(at: Statements, { partition, transactions, revisions }: Write<"copy">): Promise<void> {
    const byTid = new Map(transactions.map((one) => [one.tid, one]));
    const infos = [...byTid.values()].map((
      { tid, ttid, ...note },
    ) => [partition, tid, ttid, ...noteColumns(note)]);
    insertRows(at, "trans", infos, REPLACE_TRANS);
    for (const { oid } of revisions) {
      invariant(partitionOf(oid, this.#partitions) === partition, "an object is copied into its partition");
    }
    // an object's later rows may link to its earlier ones, and a row may come twice: they go in one after the other
    for (const group of groupsOf(revisions)) await this.#revisions(at, partition, group);
  }

  /** Revisions of which none comes twice, and none links to another one of them. */
  async #revisions(
    at: Statements,
    partition: Partition,
    revisions: readonly CopiedRevision[],
  ): Promise<void> {
    const known = await this.#knownOf(at, revisions);
    const [rows, data]: [unknown[][], unknown[][]] = [[], []];
    const released: { oid: Oid; id: bigint }[] = [];
    for (const row of revisions) {
      const { oid, tid, link } = row;
      const before = known.get(keyOf(row))?.data_id ?? null;
      const { id, isNew } = await this.#dataOf(at, row, before);
      if (isNew) data.push([id, row.stored!.compression, row.stored!.checksum, row.stored!.data]);
      if (before !== null && before !== id) released.push({ oid, id: before });
      rows.push([partition, oid, tid, id, link]);
    }
    insertRows(at, "data", data);
    if (known.size > 0) at.run(DELETE_KNOWN, ...keysOf(revisions));
    insertRows(at, "obj", rows);
    this.#data.release(at, released);
  }

  async #knownOf(at: Statements, revisions: readonly CopiedRevision[]): Promise<Map<string, Known>> {
    if (revisions.length === 0) return new Map();
    const rows = await at.all<RevisionKey & Known>(KNOWN, ...keysOf(revisions));
    return new Map(rows.map((row) => [keyOf(row), row]));
  }

  /** Which data a copied revision has here, and whether that is to be written; `before` is what it had so far. */
  async #dataOf(
    at: Statements,
    row: CopiedRevision,
    before: bigint | null,
  ): Promise<{ id: bigint | null; isNew: boolean }> {
    const { oid, stored, link } = row;
    if (stored === null) {
      this.#dropParts(at, row);
      return { id: null, isNew: false };
    }
    const linkedId = link === null ? null : await this.#linkedId(at, oid, link, stored);
    if (linkedId !== null) {
      this.#dropParts(at, row);
      return { id: linkedId, isNew: false };
    }
    const hasParts = stored.compression === COMPRESSION_PARTS;
    const partsId = hasParts ? this.#takeParts(at, row) : undefined;
    if (!hasParts) this.#dropParts(at, row);
    if (hasParts && partsId === undefined && await this.#has(at, before, stored)) {
      return { id: before, isNew: false };
    }
    return { id: partsId ?? this.#data.newId(), isNew: true };
  }

  /** The data of an earlier revision, if it is the same. */
  async #linkedId(at: Statements, oid: Oid, link: Tid, stored: StoredData): Promise<bigint | null> {
    const sql = "SELECT data_id FROM obj WHERE oid = $1 AND tid = $2";
    const id = (await at.all<Known>(sql, oid, link))[0]?.data_id ?? null;
    return await this.#has(at, id, stored) ? id : null;
  }

  async #has(at: Statements, id: bigint | null, stored: StoredData): Promise<boolean> {
    if (id === null) return false;
    const sql = "SELECT compression, checksum, value FROM data WHERE id = $1";
    const [row] = await at.all<DataRow>(sql, id);
    return row !== undefined && row.compression === stored.compression
      && sameBytes(row.checksum, stored.checksum) && sameBytes(row.value, stored.data);
  }

  async #uncopy(at: Statements, { partition, transactions, revisions }: Write<"uncopy">): Promise<void> {
    if (transactions.length > 0) {
      at.run(
        "DELETE FROM trans WHERE partition = $1 AND tid = ANY ($2)",
        partition,
        new Column("int8", transactions),
      );
    }
    await this.#delete(at, revisions.filter(({ oid }) => partitionOf(oid, this.#partitions) === partition));
  }

  async #delete(at: Statements, revisions: readonly RevisionKey[]): Promise<void> {
    if (revisions.length === 0) return;
    const keys = "(oid, tid) IN (SELECT * FROM unnest($1::int8[], $2::int8[]))";
    await this.#data.deleteRevisions(at, keys, ...keysOf(revisions));
  }

  async #pack(at: Statements, { revisions, bound, after }: Write<"pack">): Promise<void> {
    await this.#delete(at, revisions);
    at.run(SET_META, "packed", numberBytes(bound, ...after === null ? [] : [after.oid, after.tid]));
  }

  async #erase(at: Statements, { partition, rowsMax }: Write<"erase">): Promise<void> {
    at.run("DELETE FROM resume WHERE partition = $1", partition);
    for (const key of this.#parts.entries()) {
      if (partitionOf(key.oid, this.#partitions) === partition) this.#dropParts(at, key);
    }
    if (rowsMax <= 0) return;
    const [last] = await at.all<RevisionKey>(ROW_AT, partition, rowsMax - 1);
    if (last === undefined) {
      at.run("DELETE FROM trans WHERE partition = $1", partition);
      return await this.#data.deleteRevisions(at, "partition = $1", partition);
    }
    at.run("DELETE FROM trans WHERE partition = $1 AND tid <= $2", partition, last.tid);
    const condition = "partition = $1 AND (tid, oid) <= ($2, $3)";
    await this.#data.deleteRevisions(at, condition, partition, last.tid, last.oid);
  }

  async #truncate(at: Statements, { number, tid }: Write<"truncate">): Promise<void> {
    for (const key of this.#parts.entries()) if (key.tid > tid) this.#dropParts(at, key);
    for (let partition = 0; partition < this.#partitions; partition++) {
      at.run("DELETE FROM trans WHERE partition = $1 AND tid > $2", partition, tid);
      await this.#data.deleteRevisions(at, "partition = $1 AND tid > $2", partition, tid);
    }
    at.run("UPDATE resume SET tid = $1 WHERE tid > $1", tid);
    at.run(SET_META, "truncations", numberBytes(number));
  }
}

function keyOf({ oid, tid }: RevisionKey): string {
  return `${oid} ${tid}`;
}

/** Cuts rows before each one that has come already, or whose link is one that came since the last cut. */
function* groupsOf(revisions: readonly CopiedRevision[]): Generator<readonly CopiedRevision[]> {
  let group: CopiedRevision[] = [];
  let seen = new Set<string>();
  for (const row of revisions) {
    const { oid, link } = row;
    if (seen.has(keyOf(row)) || (link !== null && seen.has(keyOf({ oid, tid: link })))) {
      yield group;
      [group, seen] = [[], new Set()];
    }
    group.push(row);
    seen.add(keyOf(row));
  }
  if (group.length > 0) yield group;
}

function keysOf(revisions: readonly RevisionKey[]): [oids: Column, tids: Column] {
  return [
    new Column("int8", revisions.map(({ oid }) => oid)),
    new Column("int8", revisions.map(({ tid }) => tid)),
  ];
}
