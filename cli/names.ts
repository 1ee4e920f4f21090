/** Names for clusters that were given none. */
import type { Random } from "../core/ports.ts";

const QUALITIES = [
  "amber",
  "bold",
  "brisk",
  "calm",
  "clear",
  "cosy",
  "early",
  "fair",
  "gentle",
  "glad",
  "golden",
  "green",
  "keen",
  "kind",
  "late",
  "light",
  "lively",
  "lucky",
  "mellow",
  "merry",
  "mild",
  "neat",
  "noble",
  "plain",
  "proud",
  "quick",
  "quiet",
  "ready",
  "round",
  "sharp",
  "silver",
  "smooth",
  "snug",
  "solid",
  "still",
  "sunny",
  "swift",
  "tidy",
  "warm",
  "wise",
];
const THINGS = [
  "acorn",
  "alder",
  "anchor",
  "barn",
  "beacon",
  "birch",
  "bridge",
  "brook",
  "cedar",
  "cliff",
  "cloud",
  "coral",
  "dune",
  "falcon",
  "fern",
  "ferry",
  "field",
  "garden",
  "grove",
  "harbor",
  "hazel",
  "heron",
  "hill",
  "island",
  "lake",
  "lantern",
  "maple",
  "meadow",
  "mill",
  "moss",
  "otter",
  "pebble",
  "pine",
  "pond",
  "reef",
  "ridge",
  "river",
  "spruce",
  "valley",
  "willow",
];

/**
 * A name that is easy to say and unlikely to meet another: `calm-harbor-4711`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { generateName } from "./names.ts";
 * assert.equal(generateName({ next: () => 0 }), "amber-acorn-1000");
 * ```
 */
export function generateName(random: Random): string {
  const pick = (words: readonly string[]) => words[Math.floor(random.next() * words.length)];
  return `${pick(QUALITIES)}-${pick(THINGS)}-${1000 + Math.floor(random.next() * 9000)}`;
}
