/** Clusters that break one promise each, to see that the checkers bite. */
import type { Effect } from "../../core/machine.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import type { Cluster } from "./cluster.ts";
import type { Round } from "./disk.ts";
import { labelOf } from "./trace.ts";

/** What is broken, how, and what a checker may say about it. */
export interface MutantCase {
  readonly breaks: string;
  readonly mutate: (cluster: Cluster) => void;
  readonly noticed: RegExp;
}

function without<E extends Effect>(label: string): (effects: E[]) => E[] {
  return (effects) => effects.filter((effect) => labelOf(effect) !== label);
}

/** All of them. */
export const mutants: readonly MutantCase[] = [
  {
    breaks: "a storage's disk says flushed and isn't (C1)",
    mutate: ({ storages }) => {
      for (const { plan } of storages) plan.disk!.bend = (round) => ({ ...round, durable: false });
    },
    noticed: /isn't there|is there without|Cannot go on|lost update|differ/,
  },
  {
    breaks: "a storage answers lock before its tid is kept (A14)",
    mutate: ({ storages }) => {
      for (const storage of storages) storage.bend = without("save lock");
    },
    noticed: /isn't there|Cannot go on/,
  },
  {
    breaks: "the master's disk says flushed and isn't (B1, B3)",
    mutate: ({ master }) => {
      master.plan.disk!.bend = (round) => ({ ...round, durable: false });
    },
    noticed: /isn't there|differ|was given to|can't commit|lost update|read object|Cannot go on/,
  },
  {
    breaks: "a read runs beside an unlock whose lock is free already (C2)",
    mutate: ({ storages }) => {
      for (const { plan } of storages) plan.disk!.bend = delayedUnlocks();
    },
    noticed: /read|lost update/,
  },
  {
    breaks: "a connection doesn't keep its order (C4)",
    mutate: ({ network }) => {
      network.disorder = true;
    },
    noticed: /./,
  },
];

/** Writes the unlocks of a round with the next one. */
function delayedUnlocks(): (round: Round<DatabaseWrite>) => Round<DatabaseWrite> {
  let late: readonly DatabaseWrite[] = [];
  return ({ writes, durable }) => {
    const unlocks = writes.filter(({ op }) => op === "unlock");
    const round = { writes: [...late, ...writes.filter(({ op }) => op !== "unlock")], durable };
    late = unlocks;
    return round;
  };
}
