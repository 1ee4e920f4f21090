/** Points of commits: the failure matrix of the reference (5.8), and how a finish is judged. */
import type { Ttid } from "../../../core/ids.ts";
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
  savedTtids,
  saves,
  tells,
} from "./point.ts";
import type { Point } from "./point.ts";

/** What happens between `begin` and the last `unlock`. */
export const commitPoints: readonly Point[] = [
  {
    name: "a client's session ends before its finish, and storages drop what it voted",
    of: "5.8 client dies before finish",
    ...isTold(
      "storage",
      "sessionEnded",
      (_, seen) => savedTtids(seen, "abort").some((ttid) => seen.node.voted.has(ttid as Ttid)),
    ),
  },
  {
    name: "a finish is answered whose client is gone",
    of: "5.8 client loses the primary after finish; traps 8, 9",
    ...answers("master", "finish", (_, { node, to }) => node.lost.has(to)),
  },
  {
    name: "a client's connection is lost before its vote, and the storage drops what it stored",
    of: "5.8 client loses a storage before its vote; trap 11",
    ...happens(
      "storage",
      "lost",
      (seen) => seen.node.peers.get(seen.conn)?.role === "client" && savedTtids(seen, "abort").length > 0,
    ),
  },
  {
    name: "a client's connection is lost after its vote, and the transaction is locked all the same",
    of: "5.8 client loses a storage after its vote; trap 11",
    ...isAsked("storage", "lock", ({ ttid }, { node }) => node.orphans.has(ttid)),
  },
  {
    name: "a client aborts, and a storage drops its transaction",
    of: "5.8 client aborts",
    ...isTold("storage", "abort", (_, seen) => has(seen, "save abort")),
  },
  {
    name: "an abort reaches a storage that has nothing of it",
    of: "5.8 client aborts; trap 10",
    ...isTold("storage", "abort", (_, seen) => isSilent(seen)),
  },
  {
    name: "a store comes behind the abort of its transaction",
    of: "trap 10",
    ...isAsked("storage", "store", ({ ttid }, { node }) => node.aborted.has(ttid)),
  },
  {
    name: "a storage is lost before its vote has come",
    of: "5.8 storage dies before vote",
    ...fails("client", "vote", "lost"),
  },
  {
    name: "a storage is lost while it is stored to",
    of: "5.8 storage dies before vote",
    ...fails("client", "store", "lost"),
  },
  {
    name: "a finish comes with the vote of an earlier session",
    of: "5.8 storage dies after vote; A6 counted; A1",
    ...isAsked(
      "master",
      "finish",
      ({ evidence }, { node }) => evidence.some((vote) => node.sessions.get(vote.node) !== vote.session),
    ),
  },
  {
    name: "a storage is lost between lock and answer, and the transaction is published",
    of: "5.8 storage dies between lock and answer; A5 loss of a storage",
    ...tells("master", "unlock", ({ ttid }, { node }) => node.queue.get(ttid)?.hasLost === true),
  },
  {
    name: "publication waits until an outdating is held",
    of: "5.8 PT outdated first; traps 6, 13; B1, C6",
    ...tells("master", "unlock", (_, seen) => seen.event.type === "saved" && has(seen, "tell tableChange")),
  },
  {
    name: "locks are complete behind the head of the queue",
    of: "trap 13; A6 publish",
    ...isAnswered("master", "lock", (_, { of, node: index, ttid }, { node }) => {
      const accepted = node.queue.get(ttid!);
      if (of !== "lock" || !accepted || accepted.waiting.size !== 1) return false;
      if (!accepted.waiting.has(index!)) return false;
      return [...node.queue.values()].some(({ tid, waiting }) => tid < accepted.tid && waiting.size > 0);
    }),
  },
  {
    name: "a finish is answered missing",
    of: "A6 finish 1; A10",
    ...refuses("master", "missing"),
  },
  {
    name: "a client votes again where it was missing",
    of: "A6 finish 1; A10",
    ...asks("client", "vote", ({ ttid }, _, { node }) => node.missing.has(ttid)),
  },
  {
    name: "a finish names a storage failed",
    of: "A6 finish 3; A15; 5.6",
    ...isAsked("master", "finish", ({ failed }) => failed.length > 0),
  },
  {
    name: "a voter is heard before others are outdated",
    of: "A6 finish 3; A15",
    ...asks("master", "fate", (_, { of }) => of === "hear"),
  },
  {
    name: "a partition isn't locked on any readable copy",
    of: "A6 finish 2; trap 2; A7",
    ...refuses("master", "incomplete"),
  },
  {
    name: "a vote finds less than its client has sent",
    of: "A13",
    ...refuses("storage", "lacks"),
  },
  {
    name: "a foreign oid raises the mark",
    of: "A5 oid mark; B10",
    ...isAsked("master", "finish", (_, seen) => has(seen, "save append") && has(seen, "ask lock")),
  },
  {
    name: "a block of oids is held before the first is granted",
    of: "A5 block of oids",
    ...answers("master", "newOids", (_, { event }) => event.type === "saved"),
  },
  {
    name: "a transaction brings its own tid",
    of: "A6 import; trap 14",
    ...isAsked("master", "finish", ({ explicit }) => explicit !== null),
  },
  {
    name: "a given tid is taken already",
    of: "A6 import; trap 14",
    ...refuses("master", "tidTaken"),
  },
  {
    name: "an import is refused while others are connected",
    of: "A6 import",
    ...isAsked("master", "stage", (_, seen) => has(seen, "refuse")),
  },
  {
    name: "the wall clock is behind the last tid",
    of: "A5 tid; traps 13, 14",
    ...asks(
      "master",
      "lock",
      ({ tid }, { of }, { node }) => of === "lock" && tid > node.lastTid && tid - node.lastTid <= 64n,
    ),
  },
  {
    name: "a finish checks objects that it doesn't write",
    of: "trap 17",
    ...isAsked("master", "finish", ({ stored, checked }) => checked.some((oid) => !stored.includes(oid))),
  },
  {
    name: "an object is deleted",
    of: "trap 18",
    ...saves(
      "storage",
      "store",
      ({ stored, link, mode }) => stored === null && link === null && mode === "store",
    ),
  },
  {
    name: "a deletion is undone by a link",
    of: "trap 23",
    ...saves("storage", "store", ({ link }) => link !== null),
  },
  {
    name: "a disk is short of space",
    of: "5.8 disk full; C1",
    ...refuses("storage", "noSpace"),
  },
  {
    name: "the primary hears of a disk that is short of space",
    of: "5.8 disk full; A3 reserve",
    ...isTold("master", "space", ({ low }) => low),
  },
  {
    name: "a storage asks what became of an old transaction, and it is refused for ever",
    of: "A6 ends; A12",
    ...answers("master", "settle", ({ accepted }) => !accepted),
  },
  {
    name: "a storage drops what the primary has refused for ever",
    of: "A6 ends; A12",
    ...isAnswered("storage", "settle", (_, __, seen) => has(seen, "save abort")),
  },
  {
    name: "a finish is served while the cluster stops",
    of: "A6 ends: stopping",
    ...answers("master", "finish", (_, { node }) => node.phase === "stopping"),
  },
  {
    name: "a client asks for the outcome of a commit",
    of: "5.8 client lost the answer; A6 outcome",
    ...asks("client", "outcome"),
  },
  {
    name: "an outcome is a tid",
    of: "5.8 PM dies after the first home lock",
    ...isAnswered("client", "outcome", ({ tid }) => tid !== null),
  },
  {
    name: "an outcome is that nothing is stored",
    of: "5.8 PM dies before any home lock",
    ...isAnswered("client", "outcome", ({ tid }) => tid === null),
  },
  {
    name: "a home cell is asked for an outcome",
    of: "A6 outcome; B11",
    ...asks("master", "fate", (_, { of }) => of === "outcome"),
  },
  {
    name: "an outcome is told at publication",
    of: "A6 outcome; scenario 332",
    ...answers("master", "outcome", (_, seen) => has(seen, "answer finish")),
  },
  {
    name: "the time for an outcome is over",
    of: "A6 outcome: outcomePending",
    ...happens(
      "client",
      "due",
      ({ effects }) =>
        effects.some((effect) =>
          effect.do === "output"
          && (effect.output as { error?: { code?: string } }).error?.code === "outcomePending"
        ),
    ),
  },
];
