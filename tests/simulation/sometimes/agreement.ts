/** Points of masters that agree: who leads, what a minority can't do, and how one that was away comes up again. */
import { answers, happens, has, isAsked, isTold, logs, tells } from "./point.ts";
import type { Point } from "./point.ts";

/** What happens among masters. */
export const agreementPoints: readonly Point[] = [
  {
    name: "a master asks whether it would be elected",
    of: "A5: pre-vote",
    ...tells("master", "canvass", ({ trial }) => trial),
  },
  {
    name: "a master isn't elected",
    of: "A5: up-to-date check; pre-vote",
    ...isTold("master", "ballot", ({ granted }) => !granted),
  },
  {
    name: "a master is elected by others",
    of: "A5: election",
    ...isTold("master", "ballot", ({ granted, trial }) => granted && !trial),
  },
  {
    name: "another master becomes the primary",
    of: "A5; 4.4; reference 335",
    on: "master > log",
    seen: (seen) =>
      seen.node.phase === "" && seen.node.name !== "m1" && logs(seen, "This master is the primary"),
  },
  {
    name: "a primary learns that it leads no more",
    of: "A5: stops for want of a majority, or for a higher epoch",
    on: "master > log",
    seen: (seen) => seen.node.phase !== "" && (logs(seen, "There is no primary") || logs(seen, "Master ")),
  },
  {
    name: "a log is found to differ, and is tried from an earlier place",
    of: "A5: Raft's rules",
    ...isTold("master", "appended", ({ ok }) => !ok),
  },
  {
    name: "a sync waits for a heartbeat of the majority",
    of: "A5 freshness; B5",
    ...isAsked("master", "sync", (seen_, seen) => seen_ !== undefined && !has(seen, "answer sync")),
  },
  {
    name: "a commit is told to a client by a later primary",
    of: "A6 outcome; B6",
    ...happens(
      "client",
      "identified",
      ({ event, node }) =>
        event.type === "identified" && event.hello.role === "master" && node.welcomes > 0
        && event.hello.name !== "m1",
    ),
  },
  {
    name: "a master that waited is taken in, and votes",
    of: "A5 roster; T52",
    ...answers("master", "addMaster"),
  },
  {
    name: "a master is removed",
    of: "A5 roster; T52",
    ...answers("master", "removeMaster"),
  },
  {
    name: "a primary has another master take over",
    of: "A5 roster",
    ...answers("master", "stepDown"),
  },
  {
    name: "somebody is sent to the primary by another master",
    of: "A5; 4.1",
    ...happens(
      "master",
      "identified",
      ({ effects }) => effects.some((effect) => effect.do === "reject" && effect.error.code === "notPrimary"),
    ),
  },
];
