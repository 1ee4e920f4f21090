/** Points of packs. */
import type { Tid } from "../../../core/ids.ts";
import { answers, asks, logs, refuses, saves } from "./point.ts";
import type { Point } from "./point.ts";

/** What happens while history goes. */
export const packingPoints: readonly Point[] = [
  {
    name: "a pack is decided",
    of: "A6 pack; T13",
    ...answers("master", "pack", ({ tid, before }) => tid > before),
  },
  {
    name: "a pack is refused for what a client has open",
    of: "J1",
    ...refuses("master", "denied", (_, { error }) => error.message.includes(" reads a snapshot of ")),
  },
  {
    name: "a pack is refused behind a recovery",
    of: "J1 none in an epoch until earlier sessions are back",
    ...refuses("master", "denied", (_, { error }) => error.message.includes("has recovered just now")),
  },
  {
    name: "a storage deletes history",
    of: "T13; reference 7.3",
    ...saves("storage", "pack", ({ revisions }) => (revisions as readonly unknown[]).length > 0),
  },
  {
    name: "a storage passes over what its copies have to sort out",
    of: "reference 7.3: readable cells only; trap 24",
    ...saves("storage", "pack", ({ after }) => (after as { tid: Tid } | null)?.tid === 0n),
  },
  {
    name: "what was packed is asked for",
    of: "J2",
    ...refuses("storage", "packed"),
  },
  {
    name: "a copy is compared as it is behind a pack",
    of: "J2; trap 24",
    ...asks("storage", "slices", ({ packBound }) => packBound > 0n),
  },
  {
    name: "a pack is done",
    of: "reference 7.3 progress",
    on: "storage read packable",
    seen: (seen) => logs(seen, "Packed"),
  },
];
