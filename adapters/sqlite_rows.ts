/** Rows of a storage's SQLite file, as its statements give them, and what they mean. */
import type { Oid, Tid, Ttid } from "../core/ids.ts";
import { SQLITE_COPY_BYTES_MIN } from "../core/limits.ts";
import type { Note, TransactionInfo } from "../core/messages.ts";
import type { StoredData } from "../core/ports.ts";
import { packIds, unpackIds } from "./row_digest.ts";
import type { Parameter } from "./sqlite_statements.ts";

/** A row of `data` or `part`. */
export interface DataRow {
  readonly compression: bigint;
  readonly checksum: Uint8Array;
  readonly value: Uint8Array;
}

/** A row of `trans` without its partition. */
export interface TransRow {
  readonly tid: Tid;
  readonly ttid: Ttid;
  readonly status: Uint8Array;
  readonly user: Uint8Array;
  readonly description: Uint8Array;
  readonly extension: Uint8Array;
  readonly oids: Uint8Array;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Texts as they stand in the file. */
export const textBytes = (text: string): Uint8Array => encoder.encode(text);
/** And back. */
export const bytesText = (bytes: Uint8Array): string => decoder.decode(bytes);

export function storedOf({ compression, checksum, value }: DataRow): StoredData {
  // Deno doesn't count what SQLite gives: it would pile up hundreds of megabytes of it before it collects
  const data = value.length < SQLITE_COPY_BYTES_MIN ? value : new Uint8Array(value);
  return { compression: Number(compression), checksum, data };
}

export function infoOf(row: TransRow): TransactionInfo {
  const { tid, ttid, status, user, description, extension, oids } = row;
  return { tid, ttid, status: bytesText(status), user, description, extension, oids: unpackIds<Oid>(oids) };
}

/** The columns of a note: status, user, description, extension, oids. */
export function noteColumns(note: Note | null): Parameter[] {
  if (note === null) return [null, null, null, null, null];
  const { status, user, description, extension, oids } = note;
  return [textBytes(status), user, description, extension, packIds(oids)];
}
