/**
 * What import and export carry: transactions as other tools of the ZODB world know them, the sink that takes a
 * file's bytes, and the error that names the place where a file is wrong.
 */
import { MalformedError } from "./errors.ts";
import type { Oid, Tid } from "./ids.ts";

/**
 * One object record of a transaction.
 *
 * | `data` | `from` | it is |
 * | --- | --- | --- |
 * | bytes | none | new data |
 * | `null` | none | a deletion, or the undone creation of the object: no file format tells one from the other |
 * | bytes | tid | a link: it repeats the object's record of transaction `from`, which ends in these bytes |
 * | `null` | tid | a link that ends in a deletion |
 * | `undefined` | tid | a link whose source doesn't carry the data: look revision (`oid`, `from`) up |
 *
 * A link is immediate: the record of `from` may be a link itself, or a deletion.
 */
export interface ObjectRecord {
  readonly oid: Oid;
  /** The bytes that readers see from this transaction on; `null`: no object; `undefined`: not known here. */
  readonly data: Uint8Array | null | undefined;
  /** The earlier transaction whose record of the same object this one repeats. */
  readonly from?: Tid;
}

/** One transaction with its records in the order of the file, which may name an object twice: the last one counts. */
export interface TransactionRecord {
  readonly tid: Tid;
  /** `p`: a pack has dropped older records of this transaction's time. */
  readonly status: " " | "p";
  /** Raw bytes, not always UTF-8. */
  readonly user: Uint8Array;
  readonly description: Uint8Array;
  /** What an application has added, as a pickle that nobody here reads. */
  readonly extension: Uint8Array;
  readonly records: readonly ObjectRecord[];
}

/** Transactions in the order of their tids. */
export type TransactionSource = Iterable<TransactionRecord> | AsyncIterable<TransactionRecord>;

/** Takes the bytes of a file one after another; what is handed over belongs to the sink and isn't changed later. */
export interface ByteSink {
  /** The next bytes aren't offered before the promise is fulfilled. */
  write(bytes: Uint8Array): void | Promise<void>;
}

/** What a writer has written. */
export interface WriteSummary {
  readonly transactions: number;
  readonly records: number;
  readonly bytes: number;
}

/** How a reader treats a file that is damaged. */
export interface ReadOptions {
  /** Goes on behind damage and yields what is whole. Without it the first damage throws. */
  readonly salvage?: boolean;
  /** Hears of each damage while salvaging, and of the byte at which reading goes on. */
  readonly onDamage?: (damage: FileFormatError, resumedAtByte: number) => void;
}

/** Where a file is wrong. */
export interface FilePlace {
  /** The file's name, or the format's name for one that is being written. */
  readonly file: string;
  /** Bytes before the place. */
  readonly byte: number;
  /** Of a text: the line, 1 and up. */
  readonly line?: number;
}

/** A file can't be read, or something can't be written to it, as its format demands. */
export class FileFormatError extends MalformedError implements FilePlace {
  override name = "FileFormatError";
  readonly file: string;
  readonly byte: number;
  readonly line?: number;

  /**
   * @param action what was tried: "read", "write"
   * @param cause what stood in the way, at `place`
   * @param remedy what the person at the terminal can do
   */
  constructor(action: "read" | "write", place: FilePlace, cause: string, remedy: string) {
    const line = place.line === undefined ? "" : `line ${place.line}, `;
    super(`Cannot ${action} ${place.file}: ${cause} (${line}byte ${place.byte}); ${remedy}`);
    this.file = place.file;
    this.byte = place.byte;
    if (place.line !== undefined) this.line = place.line;
  }
}
