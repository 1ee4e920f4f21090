/** Points of recovery and of storages that come and go. */
import type { Ttid } from "../../../core/ids.ts";
import {
  answers,
  asks,
  fails,
  happens,
  has,
  isAnswered,
  isAsked,
  logs,
  savedTtids,
  saves,
  tells,
} from "./point.ts";
import type { Point, Seen } from "./point.ts";

const isStorage = (seen: Seen): boolean =>
  seen.event.type === "identified" && seen.event.hello.role === "storage";

/** What happens when operation is lost, and taken up again. */
export const recoveryPoints: readonly Point[] = [
  {
    name: "the last copy of a partition is lost, and operation ends",
    of: "5.8 non-replicated data; A5 loss of a storage; 4.8",
    ...happens(
      "master",
      "lost",
      (seen) => seen.node.phase === "running" && logs(seen, "Cluster is recovering"),
    ),
  },
  {
    name: "a storage that others can stand in for is lost",
    of: "A5 loss of a storage",
    ...happens(
      "master",
      "lost",
      (seen) =>
        seen.node.phase === "running" && !logs(seen, "Cluster is recovering") && has(seen, "save append"),
    ),
  },
  {
    name: "a storage deletes what is behind a truncation",
    of: "A5 truncation; N7",
    ...saves("storage", "truncate"),
  },
  {
    name: "a loss during verification begins another recovery",
    of: "A5 verification",
    ...happens("master", "lost", (seen) =>
      (seen.node.phase === "verifying" || seen.node.phase === "starting")
      && logs(seen, "Cluster is recovering")),
  },
  {
    name: "a storage reports votes at the fence",
    of: "A5 recovery 2; B4",
    ...answers("storage", "fence", ({ votes }) => votes.length > 0),
  },
  {
    name: "a storage reports a lock at the fence",
    of: "5.8 storage dies after lock; A5 recovery 2",
    ...answers("storage", "fence", ({ locks }) => locks.length > 0),
  },
  {
    name: "a node without a readable copy reports votes",
    of: "A5 recovery: votes of such cells don't count; trap 7",
    ...isAnswered(
      "master",
      "fence",
      ({ votes }, { node: index }, { view }) =>
        votes.some(({ partitions }) =>
          partitions.length > 0 && partitions.every((partition) => view.outdated.has(`${partition}@${index}`))
        ),
    ),
  },
  {
    name: "the grace time is over, and absent copies are outdated",
    of: "A5 recovery 3, 4; B3; trap 22",
    ...happens("master", "due", (seen) => logs(seen, "Going on without storages")),
  },
  {
    name: "a home cell is asked what became of a transaction",
    of: "A5 verification; trap 7",
    ...asks("master", "fate", (_, { of }) => of === "verifyFate"),
  },
  {
    name: "verification locks a transaction again",
    of: "5.8 PM dies after the first home lock; A5 verification; B2",
    ...asks("master", "lock", (_, { of }) => of === "verify"),
  },
  {
    name: "verification learns a tid from a home cell where it is final",
    of: "5.8 PM dies after publish; trap 7",
    ...isAnswered("master", "fate", ({ tid }, { of }) => of === "verifyFate" && tid !== null),
  },
  {
    name: "verification publishes a transaction",
    of: "5.8 everything killed; A5 verification",
    ...tells("master", "unlock", (_, { node }) => node.phase === "verifying"),
  },
  {
    name: "a transaction that was voted is dropped at the start",
    of: "5.8 PM dies before any home lock; A5 start",
    ...isAsked(
      "storage",
      "start",
      (_, seen) => savedTtids(seen, "abort").some((ttid) => seen.node.voted.has(ttid as Ttid)),
    ),
  },
  {
    name: "a storage that was lost is admitted again when its outdating is held",
    of: "A5 loss of a storage; A8",
    ...happens("master", "saved", (seen) => has(seen, "accept") && has(seen, "tell tableChange")),
  },
  {
    name: "a storage comes to a cluster that runs",
    of: "A5; 1.3",
    ...happens("master", "identified", (seen) => seen.node.phase === "running" && isStorage(seen)),
  },
  {
    name: "a second connection of a storage ends the first",
    of: "A5 loss of a storage",
    ...happens(
      "master",
      "identified",
      (seen) => isStorage(seen) && (has(seen, "close") || has(seen, "reject") || logs(seen, "Lost storage")),
    ),
  },
  {
    name: "an answer comes when its recovery is over",
    of: "trap 25",
    ...isAnswered("master", "lock", (_, { of, ttid }, seen) => of === "lock" && !seen.node.queue.has(ttid!)),
  },
  {
    name: "a storage doesn't answer a lock in time",
    of: "A5 detection; B13",
    ...fails("master", "lock", "timedOut"),
  },
  {
    name: "a silent storage is lost",
    of: "A5 detection; B13",
    ...happens(
      "master",
      "lost",
      ({ event, node, conn }) =>
        event.type === "lost" && event.error.code === "timedOut" && node.peers.get(conn)?.role === "storage",
    ),
  },
  {
    name: "a client is told that the cluster recovers",
    of: "4.8",
    ...tells("master", "phase", ({ phase }) => phase === "recovering"),
  },
  {
    name: "a storage loses its primary in the middle of a transaction",
    of: "A5 epoch",
    ...happens(
      "storage",
      "lost",
      ({ node, conn }) => node.peers.get(conn)?.role === "master" && node.voted.size > 0,
    ),
  },
  {
    name: "operation is lost while finishes wait",
    of: "4.8; trap 9",
    ...happens("master", "lost", (seen) => logs(seen, "Cluster is recovering") && seen.node.queue.size > 0),
  },
];
