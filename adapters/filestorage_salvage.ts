/** Finds the way on in a damaged `Data.fs`: where does the next whole transaction begin? */
import { ID_MAX, type Tid } from "../core/ids.ts";
import { SALVAGE_BLOCK_BYTES } from "../core/limits.ts";
import type { BlockReader } from "./file_io.ts";
import { NUMBER_BYTES, RECORD_HEADER_BYTES, TRANSACTION_HEADER_BYTES } from "./filestorage.ts";

const TRANSACTION_BYTES_MIN = TRANSACTION_HEADER_BYTES + NUMBER_BYTES;

/**
 * Where the transaction at `position` ends, if its length stands at its end too: then damage is inside it only, and
 * the next one follows.
 */
export function isFramed(blocks: BlockReader, fileBytes: number, position: number): number | undefined {
  if (position + TRANSACTION_BYTES_MIN > fileBytes) return undefined;
  const length = Number(blocks.uint64(position + NUMBER_BYTES));
  const end = position + length;
  if (length < TRANSACTION_HEADER_BYTES || end + NUMBER_BYTES > fileBytes) return undefined;
  return Number(blocks.uint64(end)) === length ? end + NUMBER_BYTES : undefined;
}

/** The first position from `position` on where a transaction newer than `last` seems to begin; else the file's end. */
export function findTransaction(blocks: BlockReader, fileBytes: number, position: number, last: Tid): number {
  for (let at = position; at + TRANSACTION_BYTES_MIN <= fileBytes;) {
    const block = blocks.copy(at, Math.min(SALVAGE_BLOCK_BYTES, fileBytes - at));
    const starts = block.length - TRANSACTION_HEADER_BYTES + 1;
    for (let offset = 0; offset < starts; offset++) {
      // The cheap test first: no length reaches 2^48 bytes, and only two statuses are taken.
      if (block[offset + 8] !== 0 || block[offset + 9] !== 0) continue;
      const status = block[offset + 16];
      if (status !== 0x20 && status !== 0x70) continue;
      if (seemsWhole(blocks, fileBytes, at + offset, last)) return at + offset;
    }
    at += starts;
  }
  return fileBytes;
}

function seemsWhole(blocks: BlockReader, fileBytes: number, position: number, last: Tid): boolean {
  const next = isFramed(blocks, fileBytes, position);
  if (next === undefined) return false;
  const header = blocks.copy(position, TRANSACTION_HEADER_BYTES);
  const fields = new DataView(header.buffer);
  const tid = fields.getBigUint64(0);
  if (tid <= last || tid > ID_MAX) return false;
  const noteBytes = fields.getUint16(17) + fields.getUint16(19) + fields.getUint16(21);
  const first = position + TRANSACTION_HEADER_BYTES + noteBytes;
  const end = next - NUMBER_BYTES;
  if (first === end) return true;
  if (first + RECORD_HEADER_BYTES > end) return false;
  return blocks.uint64(first + 8) === tid && blocks.uint64(first + 24) === BigInt(position);
}
