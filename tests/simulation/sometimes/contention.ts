/** Points of locks: who waits for whom, conflicts and how they are resolved. */
import { asks, fails, happens, has, isAsked, isSilent, isTold, refuses, saves, tells } from "./point.ts";
import type { Point } from "./point.ts";

interface Output {
  readonly type: string;
  readonly call: number;
  readonly round: number;
}

/** What happens when two want the same. */
export const contentionPoints: readonly Point[] = [
  {
    name: "a store waits for a lock",
    of: "5.3.3a; A6 locks",
    ...isAsked("storage", "store", (_, seen) => isSilent(seen)),
  },
  {
    name: "a check waits for a lock",
    of: "trap 17",
    ...isAsked("storage", "check", (_, seen) => isSilent(seen)),
  },
  {
    name: "an older one waits for a younger, whose client is told",
    of: "A6 locks; trap 15",
    ...tells("storage", "deadlock"),
  },
  {
    name: "the younger has voted already",
    of: "A6 locks; A6 of the hazards",
    ...tells("storage", "deadlock", ({ ttid }, { node }) => node.voted.has(ttid)),
  },
  {
    name: "a client gives a lock to an older one",
    of: "5.4; A6 relock",
    ...tells("client", "relock"),
  },
  {
    name: "a client doesn't give it while its finish is out",
    of: "A6 locks",
    ...isTold("client", "deadlock", ({ ttid }, { node }) => node.finishing.has(ttid)),
  },
  {
    name: "a relock makes a vote void",
    of: "A6 relock",
    ...isTold("storage", "relock", (_, seen) => has(seen, "save unvote")),
  },
  {
    name: "relock conflict",
    of: "5.4; trap 16",
    ...fails("client", "vote", "conflict", (seen) => isSilent(seen) === false),
  },
  {
    name: "a store conflicts",
    of: "5.3.2; A17",
    ...refuses("storage", "conflict"),
  },
  {
    name: "a check conflicts",
    of: "trap 17",
    ...fails("client", "check", "conflict"),
  },
  {
    name: "a program is asked to resolve conflicts",
    of: "5.5; A18",
    on: "client > output",
    seen: (_, what) => "do" in what && isConflict(what),
  },
  {
    name: "another one commits while conflicts are resolved",
    of: "5.5: cascading conflicts; A18",
    on: "client > output",
    seen: ({ node }, what) => {
      if (!("do" in what) || what.do !== "output") return false;
      const { type, call, round } = what.output as Output;
      return type === "conflict" && round > (node.conflicts.get(call) ?? round);
    },
  },
  {
    name: "a lock isn't got in time",
    of: "A12; LOCK_WAIT_MS",
    ...refuses("storage", "lockTimeout"),
  },
  {
    name: "a lock goes to the next at the save of an unlock",
    of: "A3 saved; A17; trap 12; scenario 012",
    ...happens("storage", "saved", (seen) => has(seen, "read latest")),
  },
  {
    name: "an object is stored again by its own transaction",
    of: "5.3.4; A18",
    ...asks("client", "store", ({ oid }, _, { node }) => node.conflicts.size > 0 && oid >= 0n),
  },
  {
    name: "a vote waits for a parked store",
    of: "A6 vote",
    ...isAsked("storage", "vote", (_, seen) => isSilent(seen)),
  },
  {
    name: "a store behind a vote makes it void",
    of: "A6 vote",
    ...isAsked("storage", "store", (_, seen) => has(seen, "save unvote")),
  },
  {
    name: "a part of a large value comes",
    of: "large values",
    ...saves("storage", "part"),
  },
];

function isConflict(effect: { readonly do: string; readonly output?: unknown }): boolean {
  return effect.do === "output" && (effect.output as Output).type === "conflict";
}
