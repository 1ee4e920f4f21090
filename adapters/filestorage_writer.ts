/** Writes a `Data.fs` (layout: `filestorage.ts`) that ZODB opens. */
import { hexOf, type Oid, type Tid, ZERO_TID } from "../core/ids.ts";
import { NOTE_BYTES_MAX } from "../core/limits.ts";
import {
  type ByteSink,
  FileFormatError,
  type ObjectRecord,
  type TransactionRecord,
  type TransactionSource,
  type WriteSummary,
} from "../core/records.ts";
import { BufferedSink } from "./file_io.ts";
import { type Magic, NUMBER_BYTES, RECORD_HEADER_BYTES, TRANSACTION_HEADER_BYTES } from "./filestorage.ts";
import { RecordIndex } from "./record_index.ts";

const EXPORT_AS_TEXT = "export it as zodbdump";

/** A record as it will stand: its data, or a back pointer where there is none. */
interface Body {
  readonly oid: Oid;
  readonly data: Uint8Array | undefined;
  readonly back: number;
}

/**
 * Writes transactions as a Data.fs. Memory holds one transaction and an index of all records (`record_index.ts`).
 *
 * - A record's previous-record position is that of the object's newest record in the transactions before, but 0 in
 *   packed transactions: ZODB's pack writes them so, as it has dropped what stood between.
 * - A link becomes a back pointer to the object's record of transaction `from`. If that isn't in the file, because it
 *   was packed away or the export began later, the link's own data is written.
 *
 * @param options.magic `FS30` unless told: only the first four bytes differ
 * @throws FileFormatError for what a Data.fs can't hold: data of no bytes, a user, description or extension longer
 * than 65,535 bytes, a link without data to a record that isn't in the file
 * @throws RangeError when tids don't grow
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid, toTid } from "../core/ids.ts";
 * import { bytesSource } from "./file_io.ts";
 * import { FileStorageReader } from "./filestorage_reader.ts";
 * import { writeFileStorage } from "./filestorage_writer.ts";
 *
 * const none = new Uint8Array();
 * const records = [{ oid: toOid(1n), data: new Uint8Array([42]) }];
 * const history = [
 *   { tid: toTid(7n), status: " " as const, user: none, description: none, extension: none, records },
 * ];
 * let file = none;
 * await writeFileStorage(history, { write: (bytes) => void (file = new Uint8Array([...file, ...bytes])) });
 * assert.deepEqual([...new FileStorageReader(bytesSource("Data.fs", file))], history);
 * ```
 */
export async function writeFileStorage(
  source: TransactionSource,
  sink: ByteSink,
  options: { readonly magic?: Magic } = {},
): Promise<WriteSummary> {
  const out = new BufferedSink(sink);
  const index = new RecordIndex();
  let last = ZERO_TID;
  let transactions = 0;
  let records = 0;
  await out.write(new TextEncoder().encode(options.magic ?? "FS30"));
  for await (const transaction of source) {
    if (transaction.tid <= last) {
      throw new RangeError(
        `Cannot write transaction ${hexOf(transaction.tid)} after ${hexOf(last)}: tids only grow`,
      );
    }
    last = transaction.tid;
    await writeTransaction(transaction, out, index);
    transactions++;
    records += transaction.records.length;
  }
  await out.flush();
  return { transactions, records, bytes: out.position };
}

async function writeTransaction(
  transaction: TransactionRecord,
  out: BufferedSink,
  index: RecordIndex,
): Promise<void> {
  const { tid, records } = transaction;
  const place = { file: "Data.fs", byte: out.position };
  const bodies = records.map((record) => bodyOf(record, tid, index, place));
  const header = headerOf(transaction, bodies, place);
  const start = out.position;
  await out.write(header);
  for (const { oid, data, back } of bodies) {
    const previous = transaction.status === "p" ? 0 : index.newest(oid);
    index.add(oid, out.position);
    const fields = new DataView(new ArrayBuffer(RECORD_HEADER_BYTES + (data ? 0 : NUMBER_BYTES)));
    fields.setBigUint64(0, oid);
    fields.setBigUint64(8, tid);
    fields.setBigUint64(16, BigInt(previous));
    fields.setBigUint64(24, BigInt(start));
    fields.setBigUint64(34, BigInt(data?.length ?? 0));
    if (!data) fields.setBigUint64(RECORD_HEADER_BYTES, BigInt(back));
    await out.write(new Uint8Array(fields.buffer));
    if (data) await out.write(data);
  }
  await out.write(header.slice(8, 16)); // the length again
  index.end(tid);
}

function bodyOf(
  record: ObjectRecord,
  tid: Tid,
  index: RecordIndex,
  place: { file: string; byte: number },
): Body {
  const { oid, data, from } = record;
  const back = from === undefined ? 0 : index.find(oid, from);
  if (back !== 0 || data === null) return { oid, data: undefined, back };
  const refuse = (cause: string, remedy: string) =>
    new FileFormatError("write", place, `object ${oid} of transaction ${hexOf(tid)} ${cause}`, remedy);
  if (data === undefined) {
    throw refuse(
      `repeats transaction ${hexOf(from ?? ZERO_TID)}, which isn't in the file`,
      "export from an earlier transaction",
    );
  }
  if (data.length === 0) throw refuse("has data of no bytes, which would delete it there", EXPORT_AS_TEXT);
  return { oid, data, back };
}

function headerOf(
  transaction: TransactionRecord,
  bodies: readonly Body[],
  place: { file: string; byte: number },
): Uint8Array {
  const { tid, status, user, description, extension } = transaction;
  const notes = [user, description, extension];
  if (notes.some((note) => note.length > NOTE_BYTES_MAX)) {
    const cause = `user, description or extension of transaction ${
      hexOf(tid)
    } is longer than ${NOTE_BYTES_MAX} bytes`;
    throw new FileFormatError("write", place, cause, EXPORT_AS_TEXT);
  }
  const headerBytes = TRANSACTION_HEADER_BYTES + user.length + description.length + extension.length;
  const recordBytes = bodies.reduce(
    (sum, { data }) => sum + RECORD_HEADER_BYTES + (data?.length ?? NUMBER_BYTES),
    0,
  );
  const header = new Uint8Array(headerBytes);
  const fields = new DataView(header.buffer);
  fields.setBigUint64(0, tid);
  fields.setBigUint64(8, BigInt(headerBytes + recordBytes));
  fields.setUint8(16, status.charCodeAt(0));
  notes.forEach((note, at) => fields.setUint16(17 + 2 * at, note.length));
  header.set(user, TRANSACTION_HEADER_BYTES);
  header.set(description, TRANSACTION_HEADER_BYTES + user.length);
  header.set(extension, TRANSACTION_HEADER_BYTES + user.length + description.length);
  return header;
}
