/**
 * The digest of a partition's final rows. Every adapter feeds the same rows in the same order, so that replicas on
 * different databases can be compared.
 */
import type { Oid, Tid } from "../core/ids.ts";
import { DIGEST_FOLD_BYTES } from "../core/limits.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { Digest } from "../core/ports.ts";

const TRANSACTION_TAG = 1;
const REVISION_TAG = 2;
const HAS_DATA = 1;
const HAS_LINK = 2;

const encoder = new TextEncoder();

/** Ids as 8 bytes each, big-endian: how `oids` of a transaction stand in a database. */
export function packIds(ids: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(8 * ids.length);
  const view = new DataView(bytes.buffer);
  ids.forEach((id, index) => view.setBigUint64(8 * index, id));
  return bytes;
}

/** The ids that `packIds` packed, in the same order. */
export function unpackIds<T extends bigint>(bytes: Uint8Array): T[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 8 }, (_, index) => view.getBigUint64(8 * index) as T);
}

/**
 * Digests rows one by one: first transactions by tid, then revisions by (tid, oid). Each row says its own lengths, so
 * different rows never give the same bytes. After every 64 KiB of rows what has been digested so far becomes a digest
 * that the next ones follow; rows aren't cut.
 */
export class RowDigest {
  readonly #digest: Digest;
  #bytes = new Uint8Array(512);
  #view = new DataView(this.#bytes.buffer);
  #end = 0;
  /** Where the rows begin: behind the digest of those before. */
  #start = 0;
  #count = 0;

  constructor(digest: Digest) {
    this.#digest = digest;
  }

  transaction(info: TransactionInfo): void {
    const fields = [
      encoder.encode(info.status),
      info.user,
      info.description,
      info.extension,
      packIds(info.oids),
    ];
    const at = this.#room(17 + fields.reduce((sum, { length }) => sum + 4 + length, 0));
    const view = this.#view;
    view.setUint8(at, TRANSACTION_TAG);
    view.setBigUint64(at + 1, info.tid);
    view.setBigUint64(at + 9, info.ttid);
    fields.forEach((field, index) => view.setUint32(at + 17 + 4 * index, field.length));
    let next = at + 17 + 4 * fields.length;
    for (const field of fields) {
      this.#bytes.set(field, next);
      next += field.length;
    }
    this.#added();
  }

  /** `checksum` null is a deletion. */
  revision(row: {
    readonly tid: Tid;
    readonly oid: Oid;
    readonly checksum: Uint8Array | null;
    readonly link: Tid | null;
  }): void {
    const { tid, oid, checksum, link } = row;
    const at = this.#room(30 + (checksum?.length ?? 0));
    const view = this.#view;
    view.setUint8(at, REVISION_TAG);
    view.setUint8(at + 1, (checksum === null ? 0 : HAS_DATA) | (link === null ? 0 : HAS_LINK));
    view.setBigUint64(at + 2, tid);
    view.setBigUint64(at + 10, oid);
    view.setBigUint64(at + 18, link ?? 0n);
    view.setUint32(at + 26, checksum?.length ?? 0);
    if (checksum !== null) this.#bytes.set(checksum, at + 30);
    this.#added();
  }

  /** Rows so far, and their digest; the next row is the first one again. */
  end(): { readonly count: number; readonly digest: Uint8Array } {
    const ended = { count: this.#count, digest: this.#digest(this.#bytes.subarray(0, this.#end)) };
    this.#end = this.#start = this.#count = 0;
    return ended;
  }

  /** Makes room for a row, and gives where it begins. */
  #room(length: number): number {
    const at = this.#end;
    this.#end += length;
    if (this.#end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#end, 4 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  #added(): void {
    this.#count++;
    if (this.#end - this.#start < DIGEST_FOLD_BYTES) return;
    const folded = this.#digest(this.#bytes.subarray(0, this.#end));
    this.#bytes.set(folded);
    this.#end = this.#start = folded.length;
  }
}
