/** What the objects of a simulated cluster hold: a short text, now and then filled up to much more. */
import { COMPRESSION_PARTS, decodeManifest } from "../../core/parts.ts";
import type { StoredData } from "../../core/ports.ts";
import type { LoadedRevision } from "../../roles/client/calls.ts";
import type { SimRandom } from "./random.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A text as data: filled up now and then, to more than a connection takes at once; what fills it may be compressible. */
export function dataOf(text: string, random: SimRandom): Uint8Array {
  const length = random.chance(0.02) ? random.int(600, 100_000) : text.length;
  return encoder.encode(text.padEnd(length, random.pick([" ", "."])));
}

/** What stands for a value in parts: its size, which hardly any other value has. */
export function partsText(size: number): string {
  return `${size} bytes in parts`;
}

/** The text of a revision; null: a deletion, or nothing at all. */
export function textOf(revision: LoadedRevision | undefined): string | null {
  if (revision?.parts) return partsText(revision.parts.size);
  return revision?.data ? trimmed(decoder.decode(revision.data)) : null;
}

/** The text as a database keeps it: large data is compressed in a way that can be read as it is. */
export function textIn({ compression, data }: StoredData): string {
  if (compression === COMPRESSION_PARTS) return partsText(decodeManifest(data).size);
  return trimmed(decoder.decode(compression === 0 ? data : data.subarray(4)));
}

/** A number as a text; what isn't one, or isn't there, is 0. */
export function numberIn(text: string | null): number {
  return text !== null && /^-?\d+$/.test(text) ? Number(text) : 0;
}

/** A list of numbers as a text. */
export function listText(list: readonly number[]): string {
  return `[${list}]`;
}

/** A text as a list of numbers; what isn't one, or isn't there, is empty. */
export function listIn(text: string | null): number[] {
  const inner = text?.match(/^\[(\d+(?:,\d+)*)\]$/)?.[1];
  return inner === undefined ? [] : inner.split(",").map(Number);
}

/** Without what filled it up. */
function trimmed(text: string): string {
  return text.replace(/[ .]+$/, "");
}
