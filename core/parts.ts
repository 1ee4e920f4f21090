/**
 * Values that are too large for one message are kept in parts. What stands for such a value in evidence, row digests and
 * undo links is its manifest: how long it is, how it was cut, and the checksum of each part as it travels. The manifest
 * has a checksum of its own, so that every byte of the value can be checked by whoever reads it.
 *
 * A manifest is, most significant bytes first: 1 byte version, 8 bytes size of the value, 4 bytes size of a part (the
 * last one may be shorter), then 32 bytes a part.
 */
import { sameBytes } from "./bytes.ts";
import { MalformedError } from "./errors.ts";
import { PART_BYTES_MAX, PARTS_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import type { Compression, Digest, StoredData } from "./ports.ts";

/** The `compression` of stored data that is a manifest. */
export const COMPRESSION_PARTS = 2;

const VERSION = 1;
const HEAD_BYTES = 13;
const CHECKSUM_BYTES = 32;

/** How a value was cut. */
export interface Manifest {
  /** Bytes of the value: 1 to `VALUE_BYTES_MAX`. */
  readonly size: number;
  /** Bytes of each part before its compression, the last one excepted: 1 to `PART_BYTES_MAX`. */
  readonly partBytes: number;
  /** Digest of each part as it travels, after its compression; 32 bytes each. */
  readonly checksums: readonly Uint8Array[];
}

/** Into how many parts a value is cut. */
export function partCount({ size, partBytes }: Pick<Manifest, "size" | "partBytes">): number {
  return Math.ceil(size / partBytes);
}

/**
 * Bytes of one part before its compression.
 *
 * @param seq its place, from 0 to `partCount() - 1`
 */
export function partLength({ size, partBytes }: Pick<Manifest, "size" | "partBytes">, seq: number): number {
  return Math.min(partBytes, size - seq * partBytes);
}

/**
 * A manifest as bytes.
 *
 * @throws RangeError for a manifest that nobody would read
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeManifest, encodeManifest } from "./parts.ts";
 * const checksums = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
 * const bytes = encodeManifest({ size: 7, partBytes: 4, checksums });
 * assert.equal(bytes.length, 13 + 2 * 32);
 * assert.deepEqual(decodeManifest(bytes), { size: 7, partBytes: 4, checksums });
 * assert.throws(() => encodeManifest({ size: 9, partBytes: 4, checksums }), /2 checksums; expected 3/);
 * ```
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { size, partBytes, checksums } = manifest;
  const problem = problemOf({ size, partBytes, count: checksums.length });
  if (problem !== undefined) throw new RangeError(`Cannot write a manifest: ${problem}`);
  const odd = checksums.find(({ length }) => length !== CHECKSUM_BYTES);
  if (odd !== undefined) throw new RangeError(`Cannot write a manifest: a checksum has ${odd.length} bytes`);
  const bytes = new Uint8Array(HEAD_BYTES + CHECKSUM_BYTES * checksums.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, VERSION);
  view.setBigUint64(1, BigInt(size));
  view.setUint32(9, partBytes);
  checksums.forEach((checksum, seq) => bytes.set(checksum, HEAD_BYTES + CHECKSUM_BYTES * seq));
  return bytes;
}

/**
 * Reads a manifest; its checksums are views of `bytes`.
 *
 * @throws MalformedError for anything that `encodeManifest()` doesn't give
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fail = (problem: string): never => {
    throw new MalformedError(`Cannot read a manifest: ${problem}`);
  };
  if (bytes.length < HEAD_BYTES) return fail(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint8(0) !== VERSION) return fail(`it has version ${view.getUint8(0)}; expected ${VERSION}`);
  const [size, partBytes] = [Number(view.getBigUint64(1)), view.getUint32(9)];
  const count = (bytes.length - HEAD_BYTES) / CHECKSUM_BYTES;
  const problem = problemOf({ size, partBytes, count });
  if (problem !== undefined) return fail(problem);
  const checksums = Array.from({ length: count }, (_, seq) => {
    const at = HEAD_BYTES + CHECKSUM_BYTES * seq;
    return bytes.subarray(at, at + CHECKSUM_BYTES);
  });
  return { size, partBytes, checksums };
}

/** A manifest as the data of an object. */
export function manifestData(manifest: Manifest, digest: Digest): StoredData {
  const data = encodeManifest(manifest);
  return { compression: COMPRESSION_PARTS, checksum: digest(data), data };
}

/**
 * A part of a value as it was before its compression.
 *
 * @param seq which part of the manifest it should be
 * @returns undefined when it isn't that part: another checksum, damaged, or of a wrong length
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { sha256, zlibCompression } from "../adapters/system.ts";
 * import { openPart } from "./parts.ts";
 * const ports = { digest: sha256, compression: zlibCompression };
 * const data = new TextEncoder().encode("all of it");
 * const part = { compression: 0, checksum: sha256(data), data };
 * const manifest = { size: 9, partBytes: 16, checksums: [part.checksum] };
 * assert.deepEqual(openPart(manifest, 0, part, ports), data);
 * assert.equal(openPart(manifest, 0, { ...part, data: data.subarray(1) }, ports), undefined);
 * ```
 */
export function openPart(
  manifest: Manifest,
  seq: number,
  { compression, data }: Pick<StoredData, "compression" | "data">,
  ports: { readonly digest: Digest; readonly compression: Compression },
): Uint8Array | undefined {
  const expected = manifest.checksums[seq];
  if (expected === undefined) return undefined;
  const actual = ports.digest(data);
  if (!sameBytes(actual, expected)) return undefined;
  const length = partLength(manifest, seq);
  try {
    const value = ports.compression.expand(compression, data, length);
    return value.length === length ? value : undefined;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What is wrong with a manifest of so many checksums, if anything. */
function problemOf(
  { size, partBytes, count }: { readonly size: number; readonly partBytes: number; readonly count: number },
): string | undefined {
  if (!isBetween(size, 1, VALUE_BYTES_MAX)) return `its value has ${size} bytes`;
  if (!isBetween(partBytes, 1, PART_BYTES_MAX)) return `its parts have ${partBytes} bytes`;
  const expected = partCount({ size, partBytes });
  if (expected > PARTS_MAX) return `its value has ${expected} parts; ${PARTS_MAX} is the limit`;
  return count === expected ? undefined : `it has ${count} checksums; expected ${expected}`;
}

function isBetween(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && least <= value && value <= most;
}
