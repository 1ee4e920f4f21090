/**
 * Mutants of what is decided while something else isn't known everywhere: entries in flight, deposed primaries, older tables.
 *
 * D2 isn't here. Whoever is given a target or a tid has heard of the table before it, in the same lane (C6), and chooses no source
 * that this one outdates: the storage that doesn't know is a second wall, which no small world reaches with the first one standing.
 */
import type { Effect } from "../../core/machine.ts";
import { isReadable } from "../../core/partition_table.ts";
import { isAsked, lazily, ofRole } from "./bends.ts";
import type { MutantCase } from "./mutants.ts";
import type { HeardEvent, Process } from "./spec.ts";
import { BACK, worldNamed } from "./worlds.ts";

const HALF = /^T1 .* isn't at s\d$/;
/** The number of a question that nobody asked there. */
const LATE = 1_000_000;

interface OpenTable {
  cell(partition: number, node: number): Parameters<typeof isReadable>[0];
  cellsOf(node: number): unknown;
}

interface OpenPrimary {
  readonly $site: {
    readonly table: OpenTable;
    readonly proposed: OpenTable;
    reads(partition: number, node: number): boolean;
  };
  readonly $admission: { admit(node: { leaving: number }): void };
}

/** Changes a primary, whenever it begins to hear something. */
function ofPrimary(change: (primary: OpenPrimary) => void) {
  return (event: HeardEvent, process: Process): readonly HeardEvent[] => {
    const primary = process.machine as unknown as Partial<OpenPrimary> | undefined;
    if (ofRole("master", process) && primary?.$site) change(primary as OpenPrimary);
    return [event];
  };
}

/** A copy has come back, and asks for its next target with all that it was told to copy; nobody has heard so yet. */
const COPIED: readonly string[] = [
  "m1 <- s2 (connection 2): hello",
  "s2 <- m1 (connection 2): hello",
  "what m1 proposes is held",
  "s1 <- m1",
  "s2 <- m1 (connection 2)",
  "m1 <- s2 (connection 2)",
  "s1 <- m1",
  "s2 <- m1 (connection 2)",
  "m1 <- s2 (connection 2)",
  "s1 <- m1",
  "s2 <- m1 (connection 2)",
];

/** A client stores and votes at a copy that has come back. */
function votesAgain(client: string): readonly string[] {
  return [
    `${client} hears that s2-${client} is over`,
    `s2 <- ${client} (connection 2): hello`,
    `${client} <- s2 (connection 2): hello`,
    `s2 <- ${client} (connection 2)`,
    `${client} <- s2 (connection 2)`,
  ];
}

/** A lock of an older primary arrives when the next one has asked already, and is taken for its own. */
function overtaken(event: HeardEvent, process: Process): readonly HeardEvent[] {
  if (!ofRole("storage", process)) return [event];
  if (isAsked(event, "lock") && process.notes.length === 0) {
    process.notes.push(event);
    const error = { code: "lost", message: "Lost the connection: silent" };
    return [{ type: "lost", conn: event["conn"], target: "primary", error }];
  }
  const [held] = process.notes as HeardEvent[];
  if (!held || process.notes.length > 1 || !isAsked(event, "start")) return [event];
  process.notes.push(true);
  const { name, body } = held["message"] as { readonly name: string; readonly body: object };
  const { epoch } = (event["message"] as { readonly body: { readonly epoch: number } }).body;
  return [{ ...held, conn: event["conn"], id: LATE, message: { name, body: { ...body, epoch } } }, event];
}

/** Its answer goes to the one who asked. */
function answersOlder(effects: readonly Effect[], process: Process): readonly Effect[] {
  const [held] = process.notes as HeardEvent[];
  if (!ofRole("storage", process) || !held) return effects;
  return effects.map((effect) =>
    (effect.do === "answer" || effect.do === "refuse") && effect.id === LATE
      ? { ...effect, conn: held["conn"], id: held["id"] } as Effect
      : effect
  );
}

/** All of them. */
export const laterMutants: readonly MutantCase[] = [
  {
    breaks: "what an older primary still says counts behind a fence (B4)",
    world: { ...worldNamed("one copy, another primary"), faults: { elections: 1, timers: 1 } },
    hear: overtaken,
    act: answersOlder,
    noticed: HALF,
  },
  {
    breaks: "a cell counts as readable by the held table alone (A8)",
    world: "held later",
    hear: ofPrimary(({ $site }) => {
      $site.reads = function(this: OpenPrimary["$site"], partition, node) {
        return isReadable(this.table.cell(partition, node));
      };
    }),
    noticed: HALF,
  },
  {
    breaks: "of a lost node only what the held table calls readable is outdated (A8)",
    world: {
      ...worldNamed("held later"),
      name: "held later, and lost again",
      faults: { crash: { s2: 2 } },
      path: [
        ...BACK,
        "s1 <- m1: nodes",
        ...COPIED,
        "s1 <- c1",
        "c1 <- s1",
        ...votesAgain("c1"),
        "m1 <- s2 (connection 2): catchUp",
        "m1 <- c1: finish",
      ],
    },
    hear: ofPrimary(({ $site: { table, proposed } }) => {
      proposed.cellsOf = (node) => table.cellsOf(node);
    }),
    noticed: HALF,
  },
  {
    breaks: "a lost node is let in again before its outdating is held (A8)",
    world: {
      ...worldNamed("held later"),
      name: "lost before it is held",
      path: ["c1 begins T1", "s1 <- c1", "c1 <- s1", "s2 <- c1", "c1 <- s2", "m1 <- c1"],
    },
    hear: ofPrimary(({ $admission }) => {
      $admission.admit = function(node) {
        const { leaving } = node;
        node.leaving = 0;
        Object.getPrototypeOf(this).admit.call(this, node);
        node.leaving = leaving;
      };
    }),
    noticed: HALF,
  },
  {
    breaks: "a lock that verification has voided is dropped, but not for good (A8, T17)",
    world: {
      ...worldNamed("storage and primary"),
      name: "voided, then readable",
      about: "a copy that isn't readable has the only lock; a primary drops it, and calls the copy readable",
      faults: { crash: { s1: 1, s2: 2, m1: 1, c1: 1 }, timers: 1 },
      path: [
        ...BACK,
        "s1 <- m1",
        "m1 <- s2 (connection 2): hello",
        "s2 <- m1 (connection 2): hello",
        "s2 <- m1 (connection 2)",
        "m1 <- s2 (connection 2)",
        "s1 <- m1",
        "s2 <- m1 (connection 2)",
        ...votesAgain("c1"),
        "s1 <- c1",
        "c1 <- s1",
        "m1 <- c1: finish",
        "s2 <- m1 (connection 2): lock",
        "c1 crashes",
        "s1 crashes",
        "m1 hears that m1-s1 is over",
        ...["s2 <- m1", "m1 <- s2", "s2 <- m1", "m1 <- s2"].map((label) => `${label} (connection 2)`),
        "s1 starts again",
        "m1 <- s1 (connection 2): hello",
        "s1 <- m1 (connection 2): hello",
        ...["s1 <- m1", "m1 <- s1", "s1 <- m1", "m1 <- s1"].map((label) => `${label} (connection 2)`),
        ...["s2 <- m1", "s2 <- m1", "m1 <- s2", "s2 <- m1", "m1 <- s2", "s2 <- m1", "m1 <- s2"].map((label) =>
          `${label} (connection 2)`
        ),
        "m1 crashes, what it said is lost",
        "s2 crashes, 1 rounds aren't flushed",
      ],
    },
    save: lazily("storage", ({ op }) => op === "abort"),
    noticed: HALF,
  },
  {
    breaks: "a vote without a lock counts as one with a lock (A7)",
    world: {
      ...worldNamed("storage crashes between two"),
      name: "copy catches up between two",
      about: "a copy catches up while two clients write one object, and the other copy is lost",
      faults: { crash: { s1: 1, s2: 1 } },
      path: [
        "c1 begins T1",
        "c2 begins T2",
        "s2 crashes",
        "m1 hears that m1-s2 is over",
        "s2 starts again",
        "s1 <- m1",
        "s1 <- c1",
        "c1 <- s1",
        "s1 <- c2",
        "m1 <- s2 (connection 2): hello",
        "s2 <- m1 (connection 2): hello",
        "s2 <- m1 (connection 2)",
        "m1 <- s2 (connection 2)",
        "s1 <- m1",
        "s2 <- m1 (connection 2)",
        ...votesAgain("c1"),
        ...votesAgain("c2"),
        "m1 <- s2 (connection 2)",
        "s1 <- m1",
        "s2 <- m1 (connection 2)",
        "m1 <- s2 (connection 2): catchUp",
        "s2 <- m1 (connection 2)",
        "s1 crashes",
        "m1 hears that m1-s1 is over",
        "c2 hears that s1-c2 is over",
        "s2 <- m1 (connection 2)",
        "m1 <- c1: finish",
      ],
    },
    act: (effects, process) => {
      if (!ofRole("storage", process)) return effects;
      return effects.map((effect) => {
        if (effect.do !== "answer" || effect.message.name !== "vote") return effect;
        const { evidence } = effect.message.body as {
          readonly evidence: { readonly cells: readonly object[] };
        };
        const cells = evidence.cells.map((cell) => ({ ...cell, locked: true }));
        return {
          ...effect,
          message: { name: "vote", body: { evidence: { ...evidence, cells } } },
        } as unknown as Effect;
      });
    },
    noticed: /lost update/,
  },
];
