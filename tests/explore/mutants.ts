/**
 * Clusters that break one rule each, and the small world in which that is found. What is broken stands between a machine and what it
 * hears, does and saves; the roles know nothing of it. Where two rules hold the same wall, the mutant breaks both.
 */
import type { Effect } from "../../core/machine.ts";
import {
  changesCells,
  contextOf,
  forged,
  hasty,
  ignoring,
  isAsked,
  lazily,
  lenient,
  nameOf,
  ofRole,
  outdatedVotes,
  phaseOf,
  swapped,
  votesOfFormerCells,
} from "./bends.ts";
import { laterMutants } from "./later_mutants.ts";
import type { Mutant, WorldSpec } from "./spec.ts";
import { BACK, worldNamed } from "./worlds.ts";

/** A mutant, where it is looked for, and what is found. */
export interface MutantCase extends Mutant {
  readonly world: string | WorldSpec;
  readonly noticed: RegExp;
  /** It takes more states than every run of the tests should walk. */
  readonly isLong?: boolean;
}

/** A copy that may be read lacks what was acknowledged, or what another copy has. */
const HALF = /^T1 .* isn't at s\d$/;

const ALONE: Pick<WorldSpec, "storages" | "clients" | "partitions" | "replicas" | "calls"> = {
  storages: 2,
  clients: 1,
  partitions: 1,
  replicas: 1,
  calls: [{ client: 1, writes: [1] }],
};

/** What a storage and the second process of a primary say to each other until they know each other. */
function rejoined(storage: string): readonly string[] {
  return [
    `${storage} hears that m1-${storage} is over`,
    `${storage} has waited`,
    `m1 <- ${storage} (connection 2): hello`,
    `${storage} <- m1 (connection 2): hello`,
    `${storage} <- m1 (connection 2)`,
    `m1 <- ${storage} (connection 2): fence answered`,
  ];
}

/** A transaction is voted by these storages, and its `finish` has come. */
function finishing(...storages: readonly string[]): readonly string[] {
  return [
    "c1 begins T1",
    ...storages.flatMap((storage) => [`${storage} <- c1`, `c1 <- ${storage}`]),
    "m1 <- c1",
  ];
}

/** A copy that was started again is let in. */
const REJOINS: readonly string[] = [
  "m1 <- s2 (connection 2): hello",
  "s2 <- m1 (connection 2): hello",
  "s2 <- m1 (connection 2)",
  "m1 <- s2 (connection 2)",
];

const BACK_TWICE: WorldSpec = {
  ...ALONE,
  name: "a copy comes back twice",
  about: "a copy that catches up votes, and restarts before the transaction finishes",
  faults: { crash: { s2: 2 } },
  path: [
    ...BACK,
    "s1 <- m1",
    "c1 hears that s2-c1 is over",
    "s1 <- c1",
    "c1 <- s1",
    "m1 <- s2",
    "s2 <- m1",
  ],
};

const FINISHED_APART: WorldSpec = { ...worldNamed("rows apart"), path: finishing("s1", "s2") };

/** All of them. */
export const mutants: readonly MutantCase[] = [
  {
    breaks: "a storage's vote isn't flushed before it is answered",
    world: FINISHED_APART,
    save: lazily("storage", ({ op }) => op === "vote"),
    isLong: true,
    noticed: HALF,
  },
  {
    breaks: "a storage's lock isn't flushed before it is answered",
    world: FINISHED_APART,
    save: lazily("storage", ({ op }) => op === "lock"),
    isLong: true,
    noticed: HALF,
  },
  {
    breaks: "votes count that weren't given, and a storage locks what it hasn't (A1, A14)",
    world: "client's line breaks often",
    hear: forged,
    act: lenient,
    isLong: true,
    noticed: HALF,
  },
  {
    breaks: "a lock is sent before the outdating of those that miss it is held (B1)",
    world: {
      ...ALONE,
      name: "outdated, then the primary is lost",
      about: "a copy is lost, then the primary, with what it hadn't flushed",
      faults: { crash: { s2: 1, m1: 1 }, timers: 1 },
      path: [
        "c1 begins T1",
        "s2 crashes",
        "m1 hears that m1-s2 is over",
        "s1 <- m1",
        "c1 <- m1",
        "s1 <- c1",
        "c1 <- s1",
        "m1 <- c1",
      ],
    },
    save: lazily("master", (write, process) => changesCells(write) && phaseOf(process) === "running"),
    isLong: true,
    noticed: HALF,
  },
  {
    breaks:
      "storages are started before the outdating of the absent ones is held, and follow an older table (B3, B7)",
    world: {
      ...ALONE,
      name: "started without a copy, then the primary is lost",
      about: "a primary that goes on without a copy is lost in its turn",
      faults: { crash: { m1: 2, c1: 1 }, timers: 2 },
      path: [
        ...finishing("s1", "s2"),
        "c1 crashes",
        "s1 <- m1",
        "m1 crashes, what it said is lost",
        "m1 starts again",
        ...rejoined("s2"),
      ],
    },
    save: lazily("master", (write, process) => changesCells(write) && phaseOf(process) !== "running"),
    hear: (event, process) => {
      if (!ofRole("storage", process) || !isAsked(event, "fence")) return [event];
      (process.machine!["$site"] as { table: unknown }).table = undefined;
      return [event];
    },
    isLong: true,
    noticed: HALF,
  },
  {
    breaks: "verification unlocks each storage as soon as it has locked (B2)",
    world: {
      name: "verified by two",
      about: "a primary that verifies is lost: home on two storages, data on a third one",
      storages: 3,
      clients: 1,
      partitions: 2,
      replicas: 1,
      table: [[1, 1, "discarded"]],
      before: [3],
      calls: [{ client: 1, writes: [2, 3] }],
      faults: { crash: { m1: 2, c1: 1 }, timers: 1 },
      path: [
        ...finishing("s1", "s2", "s3"),
        "c1 crashes",
        "s1 <- m1",
        "m1 crashes, what it said is lost",
        "m1 starts again",
        ...rejoined("s3"),
        ...rejoined("s2"),
        ...rejoined("s1"),
      ],
    },
    act: (effects, process) =>
      effects.flatMap((effect) => {
        if (!ofRole("master", process) || effect.do !== "ask" || contextOf(effect).of !== "verify") {
          return [effect];
        }
        return [
          effect,
          {
            do: "tell",
            conns: [effect.conn],
            message: { name: "unlock", body: effect.message.body },
          } as Effect,
        ];
      }),
    isLong: true,
    noticed: HALF,
  },
  {
    breaks: "a transaction is published when the first storage has locked it",
    world: "alone",
    hear: (event, process) => {
      if (!ofRole("master", process) || event.type !== "answered") return [event];
      const context = event["context"] as {
        readonly of: string;
        readonly node: number;
        readonly ttid: bigint;
      };
      if (context.of !== "lock") return [event];
      const { $storages } = process.machine as unknown as {
        readonly $storages: { node(index: number): { readonly session: number } };
      };
      return [2, 3].map((node) => ({
        ...event,
        context: { ...context, node, session: $storages.node(node).session },
      }));
    },
    noticed: HALF,
  },
  {
    breaks: "unlocks come in another order than publications (A19)",
    world: "apart",
    act: swapped,
    noticed: /is unlocked after/,
  },
  {
    breaks: "an object's newest revision isn't compared with what a write stands on (A17)",
    world: "same",
    hear: (event, process) => {
      const { for: what } = (event["context"] ?? {}) as { readonly for?: string };
      if (!ofRole("storage", process) || event.type !== "read" || what !== "lock") return [event];
      const { ttid, oid } = event["context"] as { readonly ttid: bigint; readonly oid: bigint };
      const { $transactions: { $all } } = process.machine as unknown as {
        readonly $transactions: {
          readonly $all: ReadonlyMap<
            bigint,
            { readonly objects: ReadonlyMap<bigint, { readonly base: bigint }> }
          >;
        };
      };
      const tid = $all.get(ttid)?.objects.get(oid)?.base;
      return [{ ...event, result: { read: "latest", tid } }];
    },
    noticed: /lost update/,
  },
  {
    breaks: "a voted transaction isn't told that an older one waits (A6)",
    world: "same",
    act: (effects, process) =>
      ofRole("storage", process) ? effects.filter((effect) => nameOf(effect) !== "tell deadlock") : effects,
    noticed: /waits for ever/,
  },
  {
    breaks: "nodes outside of the lock set aren't told, and don't ask (A12)",
    world: "client dies",
    act: (effects, process) =>
      effects.filter((effect) =>
        nameOf(effect) !== "ask settle"
        && !(ofRole("master", process) && nameOf(effect) === "tell sessionEnded")
      ),
    noticed: /waits for ever|for ever/,
  },
  {
    breaks: "an unlock isn't sent",
    world: "alone",
    act: (effects, process) =>
      ofRole("master", process) ? effects.filter((effect) => nameOf(effect) !== "tell unlock") : effects,
    noticed: /holds transaction \d+ for ever/,
  },
  {
    breaks: "the outcome of a transaction that is queued is said to be none (B11)",
    world: "session breaks",
    act: (effects, process) =>
      effects.map((effect) => {
        if (
          !ofRole("master", process) || effect.do !== "answer" || effect.message.name !== "outcome"
        ) return effect;
        return { ...effect, message: { name: "outcome", body: { tid: null } } };
      }),
    isLong: true,
    noticed: /lost update|failed .* and is there/,
  },
  {
    breaks: "the primary doesn't note which transactions an out-of-date cell misses (A2)",
    world: "copy catches up",
    hear: (event, process) => {
      if (!ofRole("master", process)) return [event];
      const { $catchUp } = process.machine as unknown as {
        readonly $catchUp: { readonly $missed: Map<number, unknown> };
      };
      $catchUp.$missed.clear();
      return [event];
    },
    noticed: HALF,
  },
  {
    breaks: "a target is the tid that was allocated last (A3)",
    world: "copy catches up",
    act: (effects, process) => {
      if (!ofRole("master", process)) return effects;
      const { $site: { allocated } } = process.machine as unknown as {
        readonly $site: { readonly allocated: bigint };
      };
      return effects.map((effect) =>
        effect.do === "answer" && effect.message.name === "catchUp"
          ? {
            ...effect,
            message: { name: "catchUp", body: { ...effect.message.body, target: allocated } },
          } as Effect
          : effect
      );
    },
    noticed: HALF,
  },
  {
    breaks: "a source doesn't wait for what it has locked up to the target (6, catch-up)",
    world: "copy catches up",
    hear: (event, process) => {
      if (ofRole("storage", process)) {
        const { $transactions } = process.machine as unknown as {
          readonly $transactions: { lockedBelow: () => boolean };
        };
        $transactions.lockedBelow = () => false;
      }
      return [event];
    },
    noticed: HALF,
  },
  {
    breaks: "a transaction isn't waited for where a copy that has it becomes readable (B13)",
    world: "copy catches up",
    hear: (event, process) => {
      if (ofRole("master", process)) {
        const { $transactions } = process.machine as unknown as {
          readonly $transactions: { opened(): void };
        };
        $transactions.opened = () => {};
      }
      return [event];
    },
    noticed: HALF,
  },
  {
    breaks: "a copy is readable though it hasn't locked what was published without waiting for it (B13)",
    world: "copy catches up",
    hear: (event, process) => {
      if (ofRole("master", process)) {
        const { $catchUp } = process.machine as unknown as { readonly $catchUp: { late(): void } };
        $catchUp.late = () => {};
      }
      return [event];
    },
    noticed: HALF,
  },
  {
    breaks: "what a storage with an older table has no cell for is acknowledged and dropped (A4, A14)",
    world: "copy is added",
    hear: hasty,
    act: ignoring,
    noticed: HALF,
  },
  {
    breaks:
      "votes for a cell that was taken away and given again count, and a storage locks what it hasn't (A5, A14)",
    world: {
      ...worldNamed("copy moves"),
      path: [
        "c1 begins T1",
        ...["s1", "s2"].flatMap((storage) => [`${storage} <- c1`, `c1 <- ${storage}`]),
        ...["setReplicas (1)", "tweak (2)", "setReplicas (3)", "tweak (4)"].map((order) =>
          `the operator wants ${order}`
        ),
      ],
    },
    hear: votesOfFormerCells,
    act: lenient,
    noticed: HALF,
  },
  {
    breaks: "what a storage had voted for before it came again isn't missed (A1, A2)",
    world: {
      ...BACK_TWICE,
      name: "a copy comes back while a commit waits",
      about: "a copy that catches up has voted, restarts, and catches up before the transaction is published",
      path: [
        ...BACK,
        "s1 <- m1",
        ...REJOINS,
        "s1 <- m1",
        "s2 <- m1 (connection 2)",
        "m1 <- s2 (connection 2)",
        "s1 <- m1",
        "s2 <- m1 (connection 2)",
        "s1 <- c1",
        "c1 <- s1",
        "c1 hears that s2-c1 is over",
        "s2 <- c1 (connection 2): hello",
        "c1 <- s2 (connection 2): hello",
        "s2 <- c1 (connection 2)",
        "c1 <- s2 (connection 2)",
        "m1 <- c1",
        "s2 crashes",
      ],
    },
    hear: (event, process) => {
      if (ofRole("master", process)) {
        const { $catchUp } = process.machine as unknown as { readonly $catchUp: { admitted(): void } };
        $catchUp.admitted = () => {};
      }
      return [event];
    },
    noticed: HALF,
  },
  {
    breaks: "votes of an earlier session count, and a storage locks what it hasn't (A1, A14)",
    world: BACK_TWICE,
    hear: outdatedVotes,
    act: lenient,
    isLong: true,
    noticed: HALF,
  },
  ...laterMutants,
];
