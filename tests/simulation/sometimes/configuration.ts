/** Points of the configuration: who is told of it how, and what becomes of those who change it at once. */
import { answers, isAsked, isTold, refuses, tells } from "./point.ts";
import type { Point } from "./point.ts";

/** What happens to the configuration. */
export const configurationPoints: readonly Point[] = [
  {
    name: "a change is refused, because another was faster",
    of: "X3: compare-and-set",
    // it leaves when the entry that says so is held: in another step than the question
    ...refuses("master", "denied", (_, { error }) => /it is at revision \d+, not/.test(error.message)),
  },
  {
    name: "several changes are on their way to the masters at once",
    of: "X3: each is a revision",
    ...isAsked(
      "master",
      "changeConfig",
      ({ base }, { effects }) => base === null && effects.every((effect) => effect.do !== "refuse"),
    ),
  },
  {
    name: "a change is held and answered",
    of: "X3",
    ...answers("master", "changeConfig"),
  },
  {
    name: "a later primary tells what was configured before it",
    of: "T51: revisions outlive the primary",
    ...tells(
      "master",
      "config",
      ({ isWhole, revision }, { node }) => isWhole && revision > 0 && node.name !== "m1",
    ),
  },
  {
    name: "a storage is told of a revision that it has missed",
    of: "T51: a node that was away has it when it returns",
    ...isTold("storage", "config", ({ isWhole, revision }) => isWhole && revision > 1),
  },
  {
    name: "a client is told what a revision changes for it",
    of: "T51: clients too, as differences",
    ...isTold("client", "config", ({ isWhole, values }) => !isWhole && values.length > 0),
  },
  {
    name: "what is set for a storage is set no more",
    of: "X3: the default counts again",
    ...isTold("storage", "config", ({ values }) => values.some(({ value }) => value === null)),
  },
  {
    name: "a client comes to a cluster that is configured",
    of: "T51: the configuration is there from the beginning",
    ...isTold("client", "config", ({ isWhole, values }) => isWhole && values.length > 0),
  },
];
