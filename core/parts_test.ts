import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256, zlibCompression } from "../adapters/system.ts";
import { MalformedError } from "./errors.ts";
import { FRAME_BYTES_MAX, MESSAGE_BYTES_MAX, PART_BYTES_MAX, PARTS_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import {
  COMPRESSION_PARTS,
  decodeManifest,
  encodeManifest,
  type Manifest,
  manifestData,
  openPart,
  partCount,
  partLength,
} from "./parts.ts";
import type { StoredData } from "./ports.ts";

const ports = { digest: sha256, compression: zlibCompression };

const anyManifest = fc.record({
  partBytes: fc.integer({ min: 1, max: PART_BYTES_MAX }),
  count: fc.integer({ min: 1, max: 9 }),
})
  .chain(({ partBytes, count }) =>
    fc.integer({ min: (count - 1) * partBytes + 1, max: count * partBytes }).map((size): Manifest => {
      const checksums = Array.from({ length: count }, (_, seq) => sha256(Uint8Array.of(seq)));
      return { size, partBytes, checksums };
    })
  );

/** A value, cut and compressed, with its manifest. */
function cut(
  value: Uint8Array,
  partBytes: number,
  compression = 0,
): { manifest: Manifest; parts: StoredData[] } {
  const size = value.length;
  const parts = Array.from({ length: partCount({ size, partBytes }) }, (_, seq) => {
    const data = zlibCompression.compress(
      compression,
      value.subarray(seq * partBytes, (seq + 1) * partBytes),
    );
    return { compression, checksum: sha256(data), data };
  });
  return { manifest: { size, partBytes, checksums: parts.map(({ checksum }) => checksum) }, parts };
}

/** The bytes of a manifest that says of itself what it likes. */
function manifestBytes(
  { version = 1, size = 7n, partBytes = 4, length = 13 + 2 * 32 }: {
    version?: number;
    size?: bigint;
    partBytes?: number;
    length?: number;
  },
): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, 13)).fill(7);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setBigUint64(1, size);
  view.setUint32(9, partBytes);
  return bytes.subarray(0, length);
}

test("decodeManifest() reads what encodeManifest() wrote, wherever it stands (T19)", () => {
  fc.assert(fc.property(anyManifest, fc.nat(9), (manifest, before) => {
    const bytes = encodeManifest(manifest);
    const within = new Uint8Array(before + bytes.length + 3);
    within.set(bytes, before);
    assert.deepEqual(decodeManifest(within.subarray(before, before + bytes.length)), manifest);
  }));
});

test("encodeManifest() writes the same bytes in every version: replicas compare their digest", () => {
  const checksums = [new Uint8Array(32).fill(0xa1), new Uint8Array(32).fill(0xb2)];
  const hex = Array.from(
    encodeManifest({ size: 0x1_0002, partBytes: 0x1_0000, checksums }),
    (byte) => byte.toString(16).padStart(2, "0"),
  ).join("");
  assert.equal(hex, `01${"0000000000010002"}${"00010000"}${"a1".repeat(32)}${"b2".repeat(32)}`);
});

const malformed: { title: string; bytes: Uint8Array; says: RegExp }[] = [
  { title: "nothing", bytes: new Uint8Array(), says: /has 0 bytes/ },
  { title: "half a head", bytes: manifestBytes({ length: 12 }), says: /has 12 bytes/ },
  { title: "another version", bytes: manifestBytes({ version: 2 }), says: /version 2; expected 1/ },
  { title: "no checksums", bytes: manifestBytes({ length: 13 }), says: /0 checksums; expected 2/ },
  { title: "a checksum too few", bytes: manifestBytes({ length: 13 + 32 }), says: /1 checksums; expected 2/ },
  {
    title: "a checksum too many",
    bytes: manifestBytes({ length: 13 + 96 }),
    says: /3 checksums; expected 2/,
  },
  { title: "half a checksum", bytes: manifestBytes({ length: 13 + 48 }), says: /1.5 checksums; expected 2/ },
  { title: "a byte behind it", bytes: manifestBytes({ length: 13 + 65 }), says: /checksums; expected 2/ },
  { title: "an empty value", bytes: manifestBytes({ size: 0n, length: 13 }), says: /value has 0 bytes/ },
  {
    title: "a value above the limit",
    bytes: manifestBytes({ size: BigInt(VALUE_BYTES_MAX) + 1n }),
    says: /value has/,
  },
  { title: "a size beyond all numbers", bytes: manifestBytes({ size: 2n ** 64n - 1n }), says: /value has/ },
  { title: "empty parts", bytes: manifestBytes({ partBytes: 0 }), says: /parts have 0 bytes/ },
  {
    title: "parts above the limit",
    bytes: manifestBytes({ partBytes: PART_BYTES_MAX + 1 }),
    says: /parts have/,
  },
  {
    title: "more parts than the limit",
    bytes: manifestBytes({ size: BigInt(PARTS_MAX) + 1n, partBytes: 1, length: 13 + 32 * (PARTS_MAX + 1) }),
    says: /has 32769 parts; 32768 is the limit/,
  },
];
for (const { title, bytes, says } of malformed) {
  test(`decodeManifest() refuses ${title} (T19)`, () => {
    assert.throws(() => decodeManifest(bytes), { name: "MalformedError", code: "malformed", message: says });
  });
}

test("decodeManifest() of any bytes gives what encodes to the same bytes, or malformed", () => {
  let read = 0;
  const damage = fc.record({ at: fc.nat(), value: fc.nat(255), cut: fc.option(fc.nat(200)) });
  fc.assert(
    fc.property(anyManifest, damage, (manifest, { at, value, cut }) => {
      const bytes = encodeManifest(manifest).slice(0, cut ?? undefined);
      if (bytes.length > 0) bytes[at % bytes.length] = value;
      try {
        assert.deepEqual(encodeManifest(decodeManifest(bytes)), bytes);
        read += 1;
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
  assert.ok(read > 0);
});

test("encodeManifest() refuses what decodeManifest() wouldn't read", () => {
  const checksums = [new Uint8Array(32)];
  const good = { size: 4, partBytes: 4, checksums };
  assert.equal(encodeManifest(good).length, 45);
  const wrong = [
    { ...good, size: 0 },
    { ...good, size: 3.5 },
    { ...good, size: 5 },
    { ...good, partBytes: 0 },
    { ...good, partBytes: PART_BYTES_MAX + 1 },
    { ...good, checksums: [new Uint8Array(31)] },
    { ...good, checksums: [] },
  ];
  for (const manifest of wrong) assert.throws(() => encodeManifest(manifest), RangeError);
});

test("The manifest of the largest value fits into a message, and a part into a frame", () => {
  const checksums = new Array<Uint8Array>(PARTS_MAX).fill(new Uint8Array(32));
  const bytes = encodeManifest({ size: VALUE_BYTES_MAX, partBytes: PART_BYTES_MAX, checksums });
  assert.ok(bytes.length < MESSAGE_BYTES_MAX / 2);
  assert.equal(decodeManifest(bytes).checksums.length, PARTS_MAX);
  assert.ok(PART_BYTES_MAX < FRAME_BYTES_MAX);
});

test("manifestData() is checked like any data", () => {
  const { manifest } = cut(new Uint8Array(10), 4);
  const { compression, checksum, data } = manifestData(manifest, sha256);
  assert.equal(compression, COMPRESSION_PARTS);
  assert.deepEqual(checksum, sha256(data));
  assert.deepEqual(decodeManifest(data), manifest);
});

test("openPart() gives back a value that was cut, part by part, compressed or not (T19)", () => {
  const any = fc.record({
    value: fc.uint8Array({ minLength: 1, maxLength: 300 }),
    partBytes: fc.integer({ min: 1, max: 100 }),
    compression: fc.nat(1),
  });
  fc.assert(fc.property(any, ({ value, partBytes, compression }) => {
    const { manifest, parts } = cut(value, partBytes, compression);
    const opened = parts.map((part, seq) => openPart(manifest, seq, part, ports)!);
    assert.deepEqual(opened.map(({ length }) => length), parts.map((_, seq) => partLength(manifest, seq)));
    assert.deepEqual(Uint8Array.from(opened.flatMap((part) => [...part])), value);
  }));
});

test("openPart() refuses a part that is another one, damaged, or longer than its place", () => {
  const value = new TextEncoder().encode("first.second");
  const { manifest, parts } = cut(value, 6, 1);
  const [first, second] = parts as [StoredData, StoredData];
  assert.ok(openPart(manifest, 0, first, ports));
  assert.equal(openPart(manifest, 0, second, ports), undefined, "another part");
  assert.equal(openPart(manifest, 2, second, ports), undefined, "no such part");
  const damaged = first.data.with(3, first.data[3]! ^ 1);
  assert.equal(openPart(manifest, 0, { ...first, data: damaged }, ports), undefined, "damaged");
  assert.equal(openPart(manifest, 0, { ...first, compression: 0 }, ports), undefined, "compressed otherwise");
  assert.equal(
    openPart(manifest, 0, { ...first, compression: 9 }, ports),
    undefined,
    "an unknown compression",
  );
  for (const size of [11, 13]) {
    const partBytes = size === 11 ? 5 : 7;
    const checksums = size === 11 ? [...manifest.checksums, manifest.checksums[0]!] : manifest.checksums;
    assert.equal(
      openPart({ size, partBytes, checksums }, 0, first, ports),
      undefined,
      `in parts of ${partBytes}`,
    );
  }
});

test("openPart() doesn't hide what isn't the part's fault", () => {
  const { manifest, parts } = cut(new Uint8Array(4), 4);
  const compression = {
    ...zlibCompression,
    expand: () => {
      throw new TypeError("ours");
    },
  };
  assert.throws(() => openPart(manifest, 0, parts[0]!, { digest: sha256, compression }), TypeError);
});
