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
  #parts: Uint8Array[] = [];
  #bytes = 0;
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
    const head = new Uint8Array(17 + 4 * fields.length);
    const view = new DataView(head.buffer);
    view.setUint8(0, TRANSACTION_TAG);
    view.setBigUint64(1, info.tid);
    view.setBigUint64(9, info.ttid);
    fields.forEach((field, index) => view.setUint32(17 + 4 * index, field.length));
    this.#add(head, ...fields);
  }

  /** `checksum` null is a deletion. */
  revision(row: {
    readonly tid: Tid;
    readonly oid: Oid;
    readonly checksum: Uint8Array | null;
    readonly link: Tid | null;
  }): void {
    const { tid, oid, checksum, link } = row;
    const head = new Uint8Array(30);
    const view = new DataView(head.buffer);
    view.setUint8(0, REVISION_TAG);
    view.setUint8(1, (checksum === null ? 0 : HAS_DATA) | (link === null ? 0 : HAS_LINK));
    view.setBigUint64(2, tid);
    view.setBigUint64(10, oid);
    view.setBigUint64(18, link ?? 0n);
    view.setUint32(26, checksum?.length ?? 0);
    this.#add(head, ...(checksum === null ? [] : [checksum]));
  }

  /** Rows so far, and their digest. */
  end(): { readonly count: number; readonly digest: Uint8Array } {
    return { count: this.#count, digest: this.#digest(...this.#parts) };
  }

  #add(...row: Uint8Array[]): void {
    for (const part of row) {
      this.#parts.push(part);
      this.#bytes += part.length;
    }
    this.#count++;
    if (this.#bytes < DIGEST_FOLD_BYTES) return;
    this.#parts = [this.#digest(...this.#parts)];
    this.#bytes = 0;
  }
}
