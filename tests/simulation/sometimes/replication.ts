/** Points of copies that are out of date, and come up again while clients write. */
import {
  answers,
  asks,
  happens,
  has,
  isAsked,
  isSilent,
  isTold,
  logs,
  refuses,
  saves,
  tells,
} from "./point.ts";
import type { Point } from "./point.ts";

/** What happens to copies that have missed something. */
export const replicationPoints: readonly Point[] = [
  {
    name: "broken rows are found on a disk",
    of: "A6 scrub; N8; X5",
    ...tells("storage", "damaged"),
  },
  {
    name: "another copy vouches for broken rows",
    of: "A6 scrub; X5",
    ...answers("storage", "vouch", ({ whole }) => whole.some((is) => is)),
  },
  {
    name: "a copy drops its broken rows, and copies them anew",
    of: "A6 scrub; N8",
    ...tells("master", "mend"),
  },
  {
    name: "a client writes to a copy that is out of date",
    of: "A6 writes; trap 1",
    ...answers("storage", "store", ({ lockless }) => lockless),
  },
  {
    name: "a vote has no lock",
    of: "A6 vote; trap 2; A7",
    ...answers("storage", "vote", ({ evidence: { cells } }) => cells.some(({ locked }) => !locked)),
  },
  {
    name: "a write is void because its copy was outdated",
    of: "A6 writes: since; A5 of the hazards",
    ...refuses("storage", "notAssigned"),
  },
  {
    name: "the primary gives a target",
    of: "A6 catch-up; A3",
    ...answers("master", "catchUp"),
  },
  {
    name: "a question for a target waits",
    of: "A6 catch-up",
    ...isAsked("master", "catchUp", (_, seen) => isSilent(seen)),
  },
  {
    name: "what a copy covers isn't enough yet",
    of: "A6 catch-up; A2; trap 3",
    ...isAsked(
      "master",
      "catchUp",
      ({ cells }, seen) => cells.some(({ covered }) => covered !== null) && has(seen, "answer catchUp"),
    ),
  },
  {
    name: "a copy becomes readable",
    of: "A6 catch-up; A8",
    ...tells("master", "tableChange", ({ cells }) => cells.some(({ state }) => state === "upToDate")),
  },
  {
    name: "a copy is outdated again",
    of: "trap 4; A5 of the hazards",
    ...tells(
      "master",
      "tableChange",
      ({ cells }, { view }) =>
        cells.some(({ partition, node, state }) =>
          state === "outOfDate" && view.wereOutdated.has(`${partition}@${node}`)
        ),
    ),
  },
  {
    name: "a copy is readable while it has writes without a lock",
    of: "A6 writes: holders for newcomers; trap 3",
    ...isTold(
      "storage",
      "tableChange",
      ({ cells }, seen) => cells.some(({ state }) => state === "upToDate") && seen.node.voted.size > 0,
    ),
  },
  {
    name: "the last of those writes is gone",
    of: "A6 catch-up: settled",
    ...tells("storage", "settled"),
  },
  {
    name: "a resume point is saved when a copy is outdated",
    of: "A6 catch-up; A19; trap 5",
    ...saves(
      "storage",
      "resume",
      (_, { event }) => event.type === "told" || (event.type === "asked" && event.message.name === "fence"),
    ),
  },
  {
    name: "a resume point moves to a confirmed target",
    of: "A6 catch-up; A19; trap 5",
    ...saves("storage", "resume", (_, { event }) => event.type === "answered" || event.type === "read"),
  },
  {
    name: "rows are copied",
    of: "8.4; A8 of the architecture",
    ...saves("storage", "copy"),
  },
  {
    name: "a part of a large value is copied",
    of: "8.4",
    ...saves("storage", "copyPart"),
  },
  {
    name: "copies compare slices",
    of: "architecture 8",
    ...answers("storage", "slices"),
  },
  {
    name: "single rows are fetched",
    of: "architecture 8",
    ...asks("storage", "pick"),
  },
  {
    name: "copies compare rows",
    of: "architecture 8",
    ...answers("storage", "keys"),
  },
  {
    name: "a source waits until nothing below the target is locked",
    of: "A6 catch-up; A3; trap 12",
    ...isAsked("storage", "rows", ({ settled }, seen) => settled && isSilent(seen)),
  },
  {
    name: "a source can't be used, and another time or another is taken",
    of: "5: source change",
    on: "storage > log",
    seen: (seen) => logs(seen, "Cannot copy from"),
  },
  {
    name: "copies go on while the cluster recovers",
    of: "architecture 8: in any phase",
    ...asks("storage", "slices", ({ settled }) => !settled),
  },
  {
    name: "a transaction is unlocked at a copy that is out of date",
    of: "A6 unlock in tid order; A19",
    ...isTold("storage", "unlock", (_, { node, view }) => node.voted.size >= 0 && view.outdated.size > 0),
  },
  {
    name: "a storage confirms what it covers",
    of: "A6 catch-up: confirm",
    ...asks("storage", "catchUp", ({ cells }) => cells.some(({ covered }) => covered !== null)),
  },
  {
    name: "a cell is created while clients write",
    of: "A5: cells created; architecture 8: tweak",
    ...tells(
      "master",
      "tableChange",
      ({ cells }, { view }) =>
        cells.some(({ partition, node, state }) =>
          state === "outOfDate" && !view.wereOutdated.has(`${partition}@${node}`)
        ) && cells.every(({ state }) => state !== "upToDate"),
    ),
  },
  {
    name: "a cell feeds another until that is readable",
    of: "architecture 8: readable copies are never fewer",
    ...tells("master", "tableChange", ({ cells }) => cells.some(({ state }) => state === "feeding")),
  },
  {
    name: "a cell is discarded",
    of: "A5 discarded; B9",
    ...tells("master", "tableChange", ({ cells }) => cells.some(({ state }) => state === "discarded")),
  },
  {
    name: "the rows of a discarded cell go",
    of: "A5 discarded; B9; 8.6",
    ...saves("storage", "erase"),
  },
  {
    name: "a storage is added",
    of: "A5 identity; 8.7",
    ...answers("master", "addNode"),
  },
  {
    name: "a storage is told to leave",
    of: "A5 identity: a dropped node stops; 8.7",
    ...tells("master", "leave"),
  },
  {
    name: "cells are to be spread while a storage doesn't run",
    of: "8.2",
    ...isAsked("master", "tweak", (_, seen) => has(seen, "refuse")),
  },
  {
    name: "copies are compared by an operator",
    of: "7.6; architecture 8: verify",
    ...answers("master", "verifyTable"),
  },
  {
    name: "a storage that isn't known is turned away",
    of: "A5 identity; B7",
    ...happens(
      "master",
      "identified",
      ({ effects }) =>
        effects.some((effect) => effect.do === "reject" && effect.error.code === "unknownNode"),
    ),
  },
];
