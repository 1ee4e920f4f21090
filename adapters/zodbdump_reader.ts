/** Reads zodbdump, the text form of a ZODB database, transaction by transaction. */
import { hash } from "node:crypto";
import { hexOf, ID_MAX, type Oid, type Tid, toOid, toTid, ZERO_TID } from "../core/ids.ts";
import { NOTE_BYTES_MAX } from "../core/limits.ts";
import {
  FileFormatError,
  type ObjectRecord,
  type ReadOptions,
  type TransactionRecord,
} from "../core/records.ts";
import { BlockReader, type ByteSource, fileSource } from "./file_io.ts";
import { RecordIndex } from "./record_index.ts";
import { unquote } from "./zodbdump_quoting.ts";

/** A quoted note takes up to four bytes for one; the word before it and the quotes are short. */
const LINE_BYTES_MAX = 4 * NOTE_BYTES_MAX + 32;
const LF = 0x0a;
const decoder = new TextDecoder("latin1");
const SALVAGE = "import it with --salvage to take what is whole";
const TRANSACTION_LINE_BYTES = 24;
const TRANSACTION_LINE = /^txn ([0-9a-fA-F]{16}) "([ p])"$/;
const OBJECT_LINE =
  /^obj ([0-9a-fA-F]{16}) (?:([0-9]{1,15}) sha1:([0-9a-fA-F]{40})|from ([0-9a-fA-F]{16})|(delete))$/;
const HASHES_ONLY = / -$/;

/**
 * The transactions of a zodbdump, in its order. One is in memory at a time. Iterating twice reads twice.
 *
 * The text names the transaction that a link repeats and doesn't repeat its data, so `data` of a link is `undefined`:
 * whoever imports looks revision (`oid`, `from`) up in the database, which has it already, since the dump is read in
 * order. A dump of later transactions only may name ones that aren't in the file.
 */
export class ZodbdumpReader implements Iterable<TransactionRecord> {
  readonly format = "zodbdump";
  readonly #source: ByteSource;
  readonly #blocks: BlockReader;
  readonly #options: ReadOptions;
  /** Where the next line begins; when damage is found, where the search for the next transaction begins. */
  #position = 0;
  #counted = { byte: 0, line: 1 };
  /** While salvaging: what was yielded, since a link to something that was dropped can't be resolved. */
  #yielded = new RecordIndex();
  #first: Tid | undefined;

  constructor(source: ByteSource, options: ReadOptions = {}) {
    this.#source = source;
    this.#blocks = new BlockReader(source);
    this.#options = options;
  }

  /** @throws FileFormatError at the first damage, unless salvaging */
  *[Symbol.iterator](): Generator<TransactionRecord, void, undefined> {
    let last = ZERO_TID;
    let position = 0;
    this.#counted = { byte: 0, line: 1 };
    this.#yielded = new RecordIndex();
    this.#first = undefined;
    while (position < this.#source.byteLength) {
      const transaction = this.#attempt(position, last);
      position = this.#position;
      if (transaction === undefined) continue;
      last = transaction.tid;
      yield transaction;
    }
  }

  /** Lets the file go. */
  close(): void {
    this.#source.close();
  }

  /** The transaction at `position`; `undefined`: it is damaged. Moves behind it. */
  #attempt(position: number, last: Tid): TransactionRecord | undefined {
    this.#position = position;
    try {
      const transaction = this.#transaction(last);
      if (this.#options.salvage === true) this.#note(transaction, position);
      return transaction;
    } catch (error) {
      if (!(error instanceof FileFormatError) || this.#options.salvage !== true) throw error;
      this.#position = this.#nextTransaction(position);
      this.#options.onDamage?.(error, this.#position);
      return undefined;
    }
  }

  #transaction(last: Tid): TransactionRecord {
    const start = this.#position;
    const [, digits = "", status] = TRANSACTION_LINE.exec(this.#line())
      ?? this.#refuse(start, 'expected txn, a tid of 16 hexadecimal digits, and " " or "p" in double quotes');
    const value = BigInt(`0x${digits}`);
    if (value <= last || value > ID_MAX) {
      this.#refuse(start, `${digits} isn't between ${hexOf(last)}, the one before it, and ${hexOf(ID_MAX)}`);
    }
    const user = this.#quoted("user");
    const description = this.#quoted("description");
    const extension = this.#quoted("extension");
    const tid = toTid(value);
    const records: ObjectRecord[] = [];
    for (let record = this.#object(tid); record !== undefined; record = this.#object(tid)) {
      records.push(record);
    }
    return { tid, status: status === "p" ? "p" : " ", user, description, extension, records };
  }

  /** The next object; `undefined`: the empty line that ends the transaction. */
  #object(tid: Tid): ObjectRecord | undefined {
    const start = this.#position;
    const line = this.#line();
    if (line === "") return undefined;
    const match = OBJECT_LINE.exec(line);
    if (match === null && HASHES_ONLY.test(line)) {
      const cause = "it has digests in place of data";
      throw new FileFormatError("read", this.#place(start), cause, "dump again without --hashonly");
    }
    const [, digits = "", size, sha1 = "", from, deleted] = match
      ?? this.#refuse(
        start,
        "expected obj, an oid, and size and sha1, from and a tid, or delete; or an empty line",
      );
    const value = BigInt(`0x${digits}`);
    if (value > ID_MAX) this.#refuse(start, `oid ${digits} is above ${hexOf(ID_MAX)}`);
    const oid = toOid(value);
    if (deleted !== undefined) return { oid, data: null };
    if (from !== undefined) return this.#link(start, oid, BigInt(`0x${from}`), tid);
    return { oid, data: this.#data(start, Number(size), sha1.toLowerCase()) };
  }

  #link(start: number, oid: Oid, from: bigint, tid: Tid): ObjectRecord {
    if (from === 0n || from >= tid) this.#refuse(start, `${hexOf(from)} isn't an earlier transaction`);
    return { oid, data: undefined, from: toTid(from) };
  }

  #data(start: number, size: number, sha1: string): Uint8Array {
    const end = this.#position + size;
    if (end + 1 > this.#source.byteLength) {
      this.#refuse(start, `${size} bytes of data go past the file's end`);
    }
    const data = this.#blocks.copy(this.#position, size);
    if (hash("sha1", data, "hex") !== sha1) {
      this.#refuse(start, "the data has another sha1");
    }
    if (this.#blocks.view(end, 1)[0] !== LF) this.#refuse(start, `no line ends after ${size} bytes of data`);
    this.#position = end + 1;
    return data;
  }

  #quoted(word: string): Uint8Array {
    const start = this.#position;
    const bytes = this.#lineBytes();
    const prefix = `${word} `;
    const matches = String.fromCharCode(...bytes.subarray(0, prefix.length)) === prefix;
    return (matches ? unquote(bytes.subarray(prefix.length)) : undefined)
      ?? this.#refuse(
        start,
        `expected ${word} and a text in double quotes, with \\n \\r \\t \\" \\\\ \\xNN in it`,
      );
  }

  #line(): string {
    return decoder.decode(this.#lineBytes());
  }

  /** The next line without its end. Moves behind it. */
  #lineBytes(): Uint8Array {
    const start = this.#position;
    const end = this.#blocks.indexOf(LF, start, Math.min(start + LINE_BYTES_MAX, this.#source.byteLength));
    if (end < 0) {
      const isLast = start + LINE_BYTES_MAX >= this.#source.byteLength;
      this.#refuse(
        start,
        isLast ? "it ends within a transaction" : `a line is longer than ${LINE_BYTES_MAX} bytes`,
      );
    }
    this.#position = end + 1;
    return this.#blocks.copy(start, end - start);
  }

  /** While salvaging: takes the transaction, unless it repeats one that was dropped. */
  #note(transaction: TransactionRecord, start: number): void {
    this.#first ??= transaction.tid;
    for (const { oid, from } of transaction.records) {
      if (from === undefined || from < this.#first || this.#yielded.find(oid, from) > 0) continue;
      this.#refuse(start, `object ${hexOf(oid)} repeats transaction ${hexOf(from)}, which isn't there whole`);
    }
    for (const { oid } of transaction.records) this.#yielded.add(oid, 1);
    this.#yielded.end(transaction.tid);
  }

  /** Where the next line begins that begins a transaction, or seems to in the midst of data; else the file's end. */
  #nextTransaction(damaged: number): number {
    const length = this.#source.byteLength;
    for (let at = Math.max(this.#position - 1, damaged); at < length;) {
      const end = this.#blocks.indexOf(LF, at, length);
      if (end < 0) return length;
      at = end + 1;
      const line = this.#blocks.view(at, Math.min(TRANSACTION_LINE_BYTES, length - at));
      if (TRANSACTION_LINE.test(String.fromCharCode(...line))) return at;
    }
    return length;
  }

  /** `byte` with its line. Lines are counted only when an error needs one. */
  #place(byte: number): { file: string; byte: number; line: number } {
    let { byte: at, line } = this.#counted.byte <= byte ? this.#counted : { byte: 0, line: 1 };
    for (let end = this.#blocks.indexOf(LF, at, byte); end >= 0; end = this.#blocks.indexOf(LF, at, byte)) {
      at = end + 1;
      line++;
    }
    this.#counted = { byte: at, line };
    return { file: this.#source.name, byte, line };
  }

  #refuse(byte: number, cause: string): never {
    throw new FileFormatError("read", this.#place(byte), cause, SALVAGE);
  }
}

/**
 * Opens a zodbdump. Close the reader when done.
 *
 * @throws the system's error when it can't be opened
 */
export function openZodbdump(path: string, options: ReadOptions = {}): ZodbdumpReader {
  return new ZodbdumpReader(fileSource(path), options);
}
