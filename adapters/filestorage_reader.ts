/** Reads a `Data.fs` (layout: `filestorage.ts`) transaction by transaction. */
import { hexOf, ID_MAX, type Oid, type Tid, toOid, toTid, ZERO_TID } from "../core/ids.ts";
import { LINK_BLOCK_BYTES } from "../core/limits.ts";
import {
  FileFormatError,
  type ObjectRecord,
  type ReadOptions,
  type TransactionRecord,
} from "../core/records.ts";
import { BlockReader, type ByteSource, fileSource } from "./file_io.ts";
import {
  type Magic,
  MAGIC_BYTES,
  NUMBER_BYTES,
  RECORD_HEADER_BYTES,
  TRANSACTION_HEADER_BYTES,
} from "./filestorage.ts";
import { RecordStarts } from "./filestorage_links.ts";
import { findTransaction, isFramed } from "./filestorage_salvage.ts";

const SALVAGE = "import it with --salvage to take what is whole";

interface Header {
  readonly position: number;
  readonly tid: Tid;
  readonly status: " " | "p";
  /** Where the user begins, and the lengths of user, description, extension. */
  readonly notes: number;
  readonly lengths: readonly [number, number, number];
  /** Where the data records begin, and where they end: there the length stands again. */
  readonly first: number;
  readonly end: number;
}

interface Place {
  readonly position: number;
  readonly tid: Tid;
}

interface Target extends Place {
  readonly dataBytes: number;
}

/**
 * The transactions of a Data.fs, in its order, each with its records' data; links are resolved. One transaction is in
 * memory at a time. Iterating twice reads twice.
 *
 * A transaction of status `c` was never finished: the file ends there.
 */
export class FileStorageReader implements Iterable<TransactionRecord> {
  readonly format = "filestorage";
  readonly magic: Magic;
  readonly #source: ByteSource;
  readonly #blocks: BlockReader;
  readonly #links: BlockReader;
  readonly #starts: RecordStarts;
  readonly #options: ReadOptions;
  /** Stretches that were skipped: what stands there was never yielded, so no link may name it. */
  #skipped: { start: number; end: number }[] = [];

  /** @throws FileFormatError when it isn't a Data.fs */
  constructor(source: ByteSource, options: ReadOptions = {}) {
    this.#source = source;
    this.#options = options;
    this.#blocks = new BlockReader(source);
    this.#links = new BlockReader(source, LINK_BLOCK_BYTES);
    this.#starts = new RecordStarts(this.#links);
    const head = this.#blocks.copy(0, Math.min(MAGIC_BYTES, source.byteLength));
    const magic = String.fromCharCode(...head);
    if (magic !== "FS21" && magic !== "FS30") {
      const place = { file: source.name, byte: 0 };
      throw new FileFormatError("read", place, "it doesn't begin with FS21 or FS30", "name a Data.fs");
    }
    this.magic = magic;
  }

  /** @throws FileFormatError at the first damage, unless salvaging */
  *[Symbol.iterator](): Generator<TransactionRecord, void, undefined> {
    let position = MAGIC_BYTES;
    let last = ZERO_TID;
    this.#skipped = [];
    while (position < this.#source.byteLength) {
      const found = this.#attempt(position, last);
      if (found === undefined) return;
      if (found.transaction !== undefined) {
        last = found.transaction.tid;
        yield found.transaction;
      }
      position = found.next;
    }
  }

  /** Lets the file go. */
  close(): void {
    this.#source.close();
  }

  /** The transaction at `position` and where the next one begins; `undefined`: the file's end. */
  #attempt(position: number, last: Tid): { transaction?: TransactionRecord; next: number } | undefined {
    try {
      const header = this.#header(position, last);
      return header && { transaction: this.#transaction(header), next: header.end + NUMBER_BYTES };
    } catch (error) {
      if (!(error instanceof FileFormatError) || this.#options.salvage !== true) throw error;
      const framed = isFramed(this.#blocks, this.#source.byteLength, position);
      const next = framed ?? findTransaction(this.#blocks, this.#source.byteLength, position + 1, last);
      this.#skipped.push({ start: position, end: next });
      this.#options.onDamage?.(error, next);
      return { next };
    }
  }

  #header(position: number, last: Tid): Header | undefined {
    const left = this.#source.byteLength - position;
    const bytes = this.#blocks.view(position, Math.min(left, TRANSACTION_HEADER_BYTES));
    if (bytes[16] === 0x63) return undefined; // c
    if (left < TRANSACTION_HEADER_BYTES + NUMBER_BYTES) {
      throw this.#damage(position, "it ends within a transaction's header");
    }
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const value = fields.getBigUint64(0);
    const length = Number(fields.getBigUint64(8));
    const status = String.fromCharCode(fields.getUint8(16));
    const lengths = [fields.getUint16(17), fields.getUint16(19), fields.getUint16(21)] as const;
    const name = `transaction ${hexOf(value)}`;
    const notes = position + TRANSACTION_HEADER_BYTES;
    const first = notes + lengths[0] + lengths[1] + lengths[2];
    const end = position + length;
    if (status !== " " && status !== "p") throw this.#damage(position, `${name} has an unknown status`);
    if (value <= last || value > ID_MAX) {
      throw this.#damage(
        position,
        `${name} isn't between ${hexOf(last)}, the one before it, and ${hexOf(ID_MAX)}`,
      );
    }
    if (end + NUMBER_BYTES > this.#source.byteLength) {
      throw this.#damage(position, `${name} goes on for ${length + NUMBER_BYTES} bytes, past the file's end`);
    }
    if (first > end) throw this.#damage(position, `${name} is shorter than its own header`);
    if (Number(this.#links.uint64(end)) !== length) {
      throw this.#damage(end, `${name} has another length at its end than at its beginning`);
    }
    return { position, tid: toTid(value), status, notes, lengths, first, end };
  }

  #transaction(header: Header): TransactionRecord {
    const { tid, status, notes, lengths: [user, description, extension] } = header;
    return {
      tid,
      status,
      user: this.#blocks.copy(notes, user),
      description: this.#blocks.copy(notes + user, description),
      extension: this.#blocks.copy(notes + user + description, extension),
      records: this.#records(header),
    };
  }

  #records(header: Header): ObjectRecord[] {
    const records: ObjectRecord[] = [];
    for (let position = header.first; position < header.end;) {
      const left = header.end - position;
      if (left < RECORD_HEADER_BYTES) throw this.#damage(position, "a data record is cut off");
      const bytes = this.#blocks.view(position, RECORD_HEADER_BYTES);
      const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const oid = this.#oid(position, fields.getBigUint64(0));
      const dataBytes = Number(fields.getBigUint64(34));
      if (fields.getBigUint64(8) !== header.tid) {
        throw this.#damage(position, "a data record has another tid");
      }
      if (fields.getBigUint64(24) !== BigInt(header.position)) {
        throw this.#damage(position, "a data record belongs to another transaction");
      }
      if (fields.getUint16(32) !== 0) {
        throw this.#damage(position, "a data record has a version, which ZODB gave up long ago");
      }
      const bodyBytes = dataBytes === 0 ? NUMBER_BYTES : dataBytes;
      if (bodyBytes > left - RECORD_HEADER_BYTES) {
        throw this.#damage(position, "a data record is longer than its transaction");
      }
      const body = position + RECORD_HEADER_BYTES;
      records.push(
        dataBytes === 0
          ? this.#link(header, oid, body)
          : { oid, data: this.#blocks.copy(body, dataBytes) },
      );
      position = body + bodyBytes;
    }
    return records;
  }

  #oid(position: number, value: bigint): Oid {
    if (value > ID_MAX) throw this.#damage(position, `oid ${hexOf(value)} is above ${hexOf(ID_MAX)}`);
    return toOid(value);
  }

  /** The record whose back pointer stands at `body`. */
  #link(header: Header, oid: Oid, body: number): ObjectRecord {
    const back = Number(this.#blocks.uint64(body));
    if (back === 0) return { oid, data: null };
    const first = this.#target(body, oid, back, header);
    let target = first;
    while (target.dataBytes === 0) {
      const next = Number(this.#links.uint64(target.position + RECORD_HEADER_BYTES));
      if (next === 0) return this.#repeated(oid, null, first);
      // A chain leads backwards only, so it ends.
      target = this.#target(body, oid, next, target);
    }
    const data = new Uint8Array(target.dataBytes);
    this.#source.read(target.position + RECORD_HEADER_BYTES, data);
    return this.#repeated(oid, data, first);
  }

  #repeated(oid: Oid, data: Uint8Array | null, { position, tid }: Target): ObjectRecord {
    return this.#isSkipped(position) ? { oid, data } : { oid, data, from: tid };
  }

  #isSkipped(position: number): boolean {
    return this.#skipped.some(({ start, end }) => start <= position && position < end);
  }

  /** Checks from all sides that a record of `oid` stands at `position`, in a whole transaction before `later`. */
  #target(pointer: number, oid: Oid, position: number, later: Place): Target {
    const nowhere = () => {
      const cause = `a back pointer of object ${
        hexOf(oid)
      } leads to ${position}, where it has no earlier record`;
      return this.#damage(pointer, cause);
    };
    if (position < MAGIC_BYTES + TRANSACTION_HEADER_BYTES) throw nowhere();
    if (position + RECORD_HEADER_BYTES + NUMBER_BYTES > later.position) throw nowhere();
    const bytes = this.#links.view(position, RECORD_HEADER_BYTES);
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const tid = fields.getBigUint64(8);
    const start = Number(fields.getBigUint64(24));
    const dataBytes = Number(fields.getBigUint64(34));
    if (fields.getBigUint64(0) !== oid || fields.getUint16(32) !== 0) throw nowhere();
    if (start < MAGIC_BYTES || start + TRANSACTION_HEADER_BYTES > position) throw nowhere();
    const end = start + Number(this.#links.uint64(start + NUMBER_BYTES));
    if (this.#links.uint64(start) !== tid || tid >= later.tid) throw nowhere();
    if (end + NUMBER_BYTES > later.position) throw nowhere();
    if (position + RECORD_HEADER_BYTES + (dataBytes === 0 ? NUMBER_BYTES : dataBytes) > end) throw nowhere();
    // in what was skipped anything may be wrong, and its data is taken without a link
    if (!this.#isSkipped(position) && !this.#starts.has(start, end, position)) throw nowhere();
    return { position, tid: toTid(tid), dataBytes };
  }

  #damage(byte: number, cause: string): FileFormatError {
    return new FileFormatError("read", { file: this.#source.name, byte }, cause, SALVAGE);
  }
}

/**
 * Opens a Data.fs. Close the reader when done.
 *
 * @throws FileFormatError when it isn't one, the system's error when it can't be opened
 */
export function openFileStorage(path: string, options: ReadOptions = {}): FileStorageReader {
  const source = fileSource(path);
  try {
    return new FileStorageReader(source, options);
  } catch (error) {
    source.close();
    throw error;
  }
}
