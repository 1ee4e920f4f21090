/** A digest and a compression without cost: the same everywhere, and good enough for what a simulator compares. */
import type { Compression, Digest } from "../../core/ports.ts";

/** 32 bytes that depend on every byte of the parts joined. */
export const simDigest: Digest = (...parts) => {
  let [a, b, c, d] = [0x9e3779b9 | 0, 0x85ebca6b | 0, 0xc2b2ae35 | 0, 0x27d4eb2f | 0];
  let length = 0;
  for (const part of parts) {
    length += part.length;
    for (let i = 0; i < part.length; i++) {
      a = Math.imul(a ^ part[i]!, 0x01000193);
      b = Math.imul(b + a, 0x85ebca6b) ^ (b >>> 13);
      c = (c ^ b) + Math.imul(c, 33) | 0;
      d = Math.imul(d ^ c, 0x27d4eb2f);
    }
  }
  const out = new Uint8Array(32);
  const view = new DataView(out.buffer);
  [a, b, c, d, length, a ^ (d >>> 7), b ^ (a >>> 9), c ^ (b >>> 11)].forEach((word, i) =>
    view.setInt32(4 * i, word)
  );
  return out;
};

const SPACE = 32;

/** Leaves the spaces at the end out. */
export const simCompression: Compression = {
  compress: (algorithm, data) => {
    if (algorithm === 0) return data;
    const length = data.findLastIndex((byte) => byte !== SPACE) + 1;
    const small = new Uint8Array(4 + length);
    new DataView(small.buffer).setUint32(0, data.length);
    small.set(data.subarray(0, length), 4);
    return small;
  },
  expand: (algorithm, data, bytesMax) => {
    if (algorithm === 0) return data;
    const length = new DataView(data.buffer, data.byteOffset).getUint32(0);
    if (length > bytesMax) throw new RangeError(`expands to ${length} bytes, ${bytesMax} at most`);
    const whole = new Uint8Array(length).fill(SPACE);
    whole.set(data.subarray(4));
    return whole;
  },
};
