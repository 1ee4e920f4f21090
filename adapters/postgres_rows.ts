/** Rows of a storage in PostgreSQL, as its statements give them, and what they mean. */
import type { Oid, Tid, Ttid } from "../core/ids.ts";
import type { Note, TransactionInfo } from "../core/messages.ts";
import type { CopiedRevision, RevisionKey, StoredData } from "../core/ports.ts";
import { Column } from "./postgres_store.ts";
import type { Statements, Value } from "./postgres_store.ts";
import { packIds, unpackIds } from "./row_digest.ts";

/** A row of `data` or `part`. */
export interface DataRow {
  readonly compression: number;
  readonly checksum: Uint8Array;
  readonly value: Uint8Array;
}

/** A row of `trans` without its partition. */
export interface TransRow {
  readonly tid: Tid;
  readonly ttid: Ttid;
  readonly status: Uint8Array;
  readonly username: Uint8Array;
  readonly description: Uint8Array;
  readonly extension: Uint8Array;
  readonly oids: Uint8Array;
}

/** A final revision with its data; the columns of the data are null for a deletion. */
export interface RevisionRow extends RevisionKey {
  readonly link: Tid | null;
  readonly data_id: bigint | null;
  readonly compression: number | null;
  readonly checksum: Uint8Array | null;
  readonly value: Uint8Array | null;
}

/** The columns of a note, in the order in which they are written. */
export const NOTE = "status, username, description, extension, oids";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function storedOf({ compression, checksum, value }: DataRow): StoredData {
  return { compression, checksum, data: value };
}

export function infoOf(row: TransRow): TransactionInfo {
  const { tid, ttid, status, username, description, extension, oids } = row;
  return {
    tid,
    ttid,
    status: decoder.decode(status),
    user: username,
    description,
    extension,
    oids: unpackIds<Oid>(oids),
  };
}

export function copiedOf({ oid, tid, link, compression, checksum, value }: RevisionRow): CopiedRevision {
  const isDeletion = compression === null || checksum === null || value === null;
  return { oid, tid, link, stored: isDeletion ? null : { compression, checksum, data: value } };
}

/** The columns of a note. */
export function noteColumns(note: Note | null): (Uint8Array | null)[] {
  if (note === null) return [null, null, null, null, null];
  const { status, user, description, extension, oids } = note;
  return [encoder.encode(status), user, description, extension, packIds(oids)];
}

/** Types of the columns of a table, in the order in which rows are written. */
export type Columns = readonly ("int4" | "int8" | "bool" | "bytea")[];

/** The columns of tables that get many rows at once. */
export const tables = {
  data: ["int8", "int4", "bytea", "bytea"],
  part: ["int8", "int4", "int4", "bytea", "bytea"],
  obj: ["int4", "int8", "int8", "int8", "int8"],
  tobj: ["int8", "int8", "int4", "int8", "bool", "bool", "int8", "bool", "int8"],
  trans: ["int4", "int8", "int8", "bytea", "bytea", "bytea", "bytea", "bytea"],
} as const satisfies { readonly [table: string]: Columns };

/** Inserts rows with one statement, whatever their number; `then` says what happens to those that are there. */
export function insertRows(
  statements: Statements,
  table: keyof typeof tables,
  rows: readonly (readonly unknown[])[],
  then: string = "",
): void {
  if (rows.length === 0) return;
  const types = tables[table];
  const values: Value[] = types.map((type, at) => new Column(type, rows.map((row) => row[at])));
  const arrays = types.map((type, at) => `$${at + 1}::${type}[]`).join(", ");
  statements.run(`INSERT INTO ${table} SELECT * FROM unnest(${arrays}) ${then}`, ...values);
}
