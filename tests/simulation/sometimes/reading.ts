/** Points of reads: what waits for an unlock, what is published meanwhile, and what a session's end makes void. */
import type { Tid } from "../../../core/ids.ts";
import {
  answers,
  asks,
  fails,
  happens,
  has,
  isAnswered,
  isAsked,
  isSilent,
  isTold,
  refuses,
} from "./point.ts";
import type { Point } from "./point.ts";

/** What happens to readers. */
export const readingPoints: readonly Point[] = [
  {
    name: "a read waits for an unlock",
    of: "A6 reads; trap 12; C2",
    ...happens("storage", "saved", (seen) => has(seen, "read load") || has(seen, "read loadMany")),
  },
  {
    name: "a lock beyond the snapshot is told as the end of a revision",
    of: "A6 reads; H2",
    ...answers(
      "storage",
      "load",
      ({ revision: { next } }, { node }) => next !== null && [...node.locked.values()].includes(next as Tid),
    ),
  },
  {
    name: "an iteration waits for an unlock",
    of: "trap 12: iterators",
    ...isAsked("storage", "transactions", (_, seen) => isSilent(seen)),
  },
  {
    name: "a request waits for a newer table",
    of: "A6 writes, reads; A4, D2",
    ...isTold("storage", "tableChange", (seen_, seen) =>
      seen_.cells.length > 0
      && seen.effects.some(({ do: what }) => what === "read" || what === "answer" || what === "refuse")),
  },
  {
    name: "a client reads where there is no readable copy any more",
    of: "A6 reads; D2",
    ...refuses("storage", "notReadable"),
  },
  {
    name: "a storage that has lost its primary goes on reading",
    of: "A6 reads; H3; T53",
    ...answers("storage", "load", (_, { node }) => node.isAlone),
  },
  {
    name: "an object is published while it is loaded",
    of: "trap 19; 6.5",
    ...isTold("client", "invalidate", ({ oids }, { node }) => oids.some((oid) => node.loads.has(oid))),
  },
  {
    name: "a load is answered behind a new session",
    of: "trap 19; 6.6",
    ...isAnswered(
      "client",
      "load",
      ({ revision: _ }, __, { node }) =>
        [...node.loads.values()].some((welcomes) => welcomes < node.welcomes),
    ),
  },
  {
    name: "a client begins another session",
    of: "6.6; trap 20",
    ...isTold("client", "welcome", (_, { node }) => node.welcomes > 0),
  },
  {
    name: "a read is asked elsewhere when its storage is lost",
    of: "6.2",
    ...fails("client", "load", "lost", (seen) => has(seen, "ask load")),
  },
  {
    name: "a client comes to a storage before it was announced",
    of: "A6 sessions; trap 21; A11",
    ...isTold("storage", "sessionOpened", (_, seen) => has(seen, "accept")),
  },
  {
    name: "a client comes to a storage with a session that is over",
    of: "A6 sessions; A11",
    ...happens(
      "storage",
      "identified",
      (seen) => seen.event.type === "identified" && seen.event.hello.role === "client" && has(seen, "reject"),
    ),
  },
  {
    name: "a client waits until the cluster runs",
    of: "4.3",
    ...happens(
      "master",
      "identified",
      (seen) => seen.event.type === "identified" && seen.event.hello.role === "client" && isSilent(seen),
    ),
  },
  {
    name: "a new session ends the old one of the same client",
    of: "A6 outcome; trap 21",
    ...isAsked("master", "outcome", (_, seen) => has(seen, "reject")),
  },
  {
    name: "no object has that id",
    of: "trap 18",
    ...refuses("storage", "oidUnknown"),
  },
  {
    name: "an object has no revision at a snapshot",
    of: "trap 18",
    ...refuses("storage", "noSuchRevision"),
  },
  {
    name: "a sync is asked behind a lost answer",
    of: "A5 freshness",
    ...asks("client", "sync", (_, __, { node }) => node.welcomes > 1),
  },
  {
    name: "a feed reads what it has missed from history",
    of: "change feed",
    ...isAnswered(
      "client",
      "transactions",
      ({ transactions }, _, { node }) => transactions.length > 0 && node.welcomes > 1,
    ),
  },
];
