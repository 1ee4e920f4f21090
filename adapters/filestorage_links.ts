/** Where a `Data.fs`' records begin, for back pointers: they may lead to nothing else. */
import { LINK_TRANSACTIONS } from "../core/limits.ts";
import type { BlockReader } from "./file_io.ts";
import { NUMBER_BYTES, RECORD_HEADER_BYTES, TRANSACTION_HEADER_BYTES } from "./filestorage.ts";

/**
 * Walks through transactions that links lead into. Bytes that look like a record aren't enough: where a damaged length
 * swallows the records behind it, they still stand there, but as data that nobody reads as records.
 *
 * An undo leads to many records of few transactions, so the last few are remembered.
 */
export class RecordStarts {
  readonly #blocks: BlockReader;
  readonly #recent = new Map<number, ReadonlySet<number>>();

  constructor(blocks: BlockReader) {
    this.#blocks = blocks;
  }

  /** Whether a record begins at `position` in the transaction from `start` on, whose records end at `end`. */
  has(start: number, end: number, position: number): boolean {
    return this.#of(start, end).has(position);
  }

  #of(start: number, end: number): ReadonlySet<number> {
    const known = this.#recent.get(start);
    if (known !== undefined) return known;
    const starts = new Set<number>();
    for (let position = this.#first(start); position + RECORD_HEADER_BYTES <= end;) {
      starts.add(position);
      const dataBytes = Number(this.#blocks.uint64(position + RECORD_HEADER_BYTES - NUMBER_BYTES));
      position += RECORD_HEADER_BYTES + (dataBytes === 0 ? NUMBER_BYTES : dataBytes);
    }
    const [oldest] = this.#recent.keys();
    if (oldest !== undefined && this.#recent.size === LINK_TRANSACTIONS) this.#recent.delete(oldest);
    this.#recent.set(start, starts);
    return starts;
  }

  #first(start: number): number {
    const bytes = this.#blocks.view(start, TRANSACTION_HEADER_BYTES);
    const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return start + TRANSACTION_HEADER_BYTES + fields.getUint16(17) + fields.getUint16(19)
      + fields.getUint16(21);
  }
}
