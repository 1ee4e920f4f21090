/**
 * A notice as it travels by multicast: `stream (16 bytes), number (8, big-endian), message, code (32)`. The code is made with the
 * stream's key, which its receivers were given on their connections, over the cluster's id and all before it: nobody else can
 * say something in the sender's name, or move a notice into another cluster, stream or place.
 */
import { hmac, sameCode } from "./hmac.ts";
import { DATAGRAM_BYTES_MAX } from "./limits.ts";
import type { Digest } from "./ports.ts";

/** Bytes of what names a stream; drawn by its sender when it begins. */
export const STREAM_BYTES = 16;
/** Bytes of a stream's key. */
export const STREAM_KEY_BYTES = 32;
const HEAD_BYTES = STREAM_BYTES + 8;
const CODE_BYTES = 32;
/** The longest message that a datagram takes. */
export const NOTICE_BYTES_MAX = DATAGRAM_BYTES_MAX - HEAD_BYTES - CODE_BYTES;

/** A sender's notices, from its start to its end. */
export interface Stream {
  readonly id: Uint8Array;
  readonly key: Uint8Array;
  readonly clusterId: string;
}

/** A datagram that the sender of the stream has made. */
export interface Datagram {
  readonly number: number;
  readonly message: Uint8Array;
}

/**
 * Makes a datagram.
 *
 * @throws RangeError when the message is longer than `NOTICE_BYTES_MAX`
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { openDatagram, sealDatagram } from "./datagrams.ts";
 * import { sha256 } from "../adapters/system.ts";
 * const stream = { id: new Uint8Array(16), key: new Uint8Array(32), clusterId: "c1" };
 * const bytes = sealDatagram(sha256, stream, { number: 7, message: new Uint8Array([1, 2]) });
 * assert.deepEqual(openDatagram(sha256, stream, bytes), { number: 7, message: new Uint8Array([1, 2]) });
 * assert.equal(openDatagram(sha256, { ...stream, clusterId: "c2" }, bytes), undefined);
 * ```
 */
export function sealDatagram(digest: Digest, stream: Stream, { number, message }: Datagram): Uint8Array {
  if (message.length > NOTICE_BYTES_MAX) {
    throw new RangeError(
      `Cannot send ${message.length} bytes as a datagram: ${NOTICE_BYTES_MAX} is the limit; use TCP`,
    );
  }
  const bytes = new Uint8Array(HEAD_BYTES + message.length + CODE_BYTES);
  bytes.set(stream.id);
  new DataView(bytes.buffer).setBigUint64(STREAM_BYTES, BigInt(number));
  bytes.set(message, HEAD_BYTES);
  const end = HEAD_BYTES + message.length;
  bytes.set(codeOf(digest, stream, bytes.subarray(0, end)), end);
  return bytes;
}

/** Reads a datagram: undefined for whatever the stream's sender didn't make. */
export function openDatagram(digest: Digest, stream: Stream, bytes: Uint8Array): Datagram | undefined {
  if (!isOf(stream, bytes)) return undefined;
  const end = bytes.length - CODE_BYTES;
  if (!sameCode(codeOf(digest, stream, bytes.subarray(0, end)), bytes.subarray(end))) return undefined;
  const number = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(STREAM_BYTES);
  return { number: Number(number), message: bytes.subarray(HEAD_BYTES, end) };
}

/** Whether bytes say that they belong to a stream: a look that costs little, before the one that proves it. */
function isOf({ id }: Stream, bytes: Uint8Array): boolean {
  if (bytes.length < HEAD_BYTES + CODE_BYTES || bytes.length > DATAGRAM_BYTES_MAX) return false;
  return sameCode(id, bytes.subarray(0, STREAM_BYTES));
}

function codeOf(digest: Digest, { key, clusterId }: Stream, bytes: Uint8Array): Uint8Array {
  const cluster = new TextEncoder().encode(clusterId);
  return hmac(digest, key, new Uint8Array([cluster.length & 0xff]), cluster, bytes);
}
