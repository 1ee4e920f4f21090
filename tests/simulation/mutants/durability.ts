/** Mutants of what is on disk when something is said. */
import type { DatabaseWrite, MetadataWrite } from "../../../core/ports.ts";
import type { Cluster } from "../cluster.ts";
import type { Round } from "../disk.ts";
import { logs } from "../sometimes/point.ts";
import { labelOf } from "../trace.ts";
import type { AnyEffect, AnyMachine, MutantCase, Viewed } from "./kit.ts";
import { answering, bendAll, dieBehind, lazily, lie, LOSS, provoking, without, wrapAll } from "./kit.ts";

/** Saves that are said to be done and aren't. */
export const durabilityMutants: readonly MutantCase[] = [
  {
    breaks: "a storage's disk says flushed and isn't (C1)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => lie(plan.disk!)),
    noticed: LOSS,
    seed: 1,
  },
  {
    breaks: "a vote isn't flushed",
    mutate: ({ storages }) => {
      for (const storage of storages) {
        storage.plan.disk!.lazyMs = Infinity;
        storage.bend = lazily("save vote");
      }
    },
    noticed: LOSS,
    seed: 24,
  },
  {
    breaks: "a storage says locked before that is flushed (A14)",
    mutate: ({ storages }) => {
      for (const storage of storages) {
        storage.plan.disk!.lazyMs = Infinity;
        storage.bend = lazily("save lock");
      }
    },
    noticed: LOSS,
    seed: 8,
  },
  {
    breaks: "a save that failed is taken for done (C1)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => (plan.disk!.swallowsFailures = true)),
    noticed: /Cannot go on|isn't there|is there without|differ|lost update|sees copies/,
    seed: 11,
  },
  {
    breaks: "the master's disk says flushed and isn't (B1, B3, B4)",
    mutate: ({ master }) => lie(master.plan.disk!),
    noticed: LOSS,
    seed: 1,
  },
  {
    isRare: true,
    breaks: "the absent copies' outdating isn't held when a recovery goes on (B3)",
    mutate: ({ master, world }) => {
      master.plan.disk!.lazyMs = Infinity;
      wrapAll([master], (machine) => (event, step) => {
        const isRecovering = () => (machine as AnyMachine & Viewed).view?.phase === "recovering";
        const before = isRecovering();
        const effects = step(event);
        if (!before || !isRecovering()) return effects;
        if (logs({ effects }, "Going on without storages")) {
          const back = () => world.after(50, () => master.start());
          const when = { after: "ask start", at: "write", calls: 1, done: true } as const;
          master.trap({ ...when, death: "killed", dying: () => true, sprung: back });
        }
        return effects.map(lazyAppend);
      });
    },
    isFlapping: true,
    noticed:
      /can't commit|wait for ever|first commit|isn't there|is there without|differ|holds something else/,
    seed: 475,
  },
  {
    breaks: "the outdating of a lost copy isn't held when a commit goes on without it (B1)",
    mutate: ({ master }) => {
      master.plan.disk!.lazyMs = Infinity;
      wrapAll([master], () => (event, step) => {
        const effects = step(event);
        return event.type === "lost" ? effects.map(lazyAppend) : effects;
      });
    },
    isFlapping: true,
    noticed: LOSS,
    seed: 23,
  },
  {
    breaks: "a block of oids is granted before it is durable",
    mutate: (cluster) => {
      const { master, world } = cluster;
      const provoke = provoking(cluster, () => dieBehind(master, world, "answer newOids", "write"));
      wrapAll([master], () => {
        master.plan.disk!.bend = nextTime(({ durable }) => !durable);
        return (event, step) => {
          const effects = step(event);
          const isBlock = event.type === "asked" && event.message.name === "newOids";
          if (!isBlock || !effects.some((effect) => labelOf(effect) === "save append")) return effects;
          provoke();
          return effects.map(lazyAppend);
        };
      });
    },
    work: ["objects"],
    noticed: /oid .* was given to|holds something else/,
    seed: 8,
  },
  {
    breaks: "a storage's disk is lost, and another is put in its place under its name and disk id (B7)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => (plan.disk!.losesAll = true)),
    noticed: LOSS,
    seed: 8,
  },
  {
    breaks: "a resume point is taken from the newest row (A19, trap 5)",
    mutate: (cluster) => {
      for (const storage of cluster.storages) {
        const disk = storage.plan.disk!;
        disk.lazyMs = 0; // what it dies behind stays
        disk.bendState = (state) => ({
          ...state,
          resumes: state.resumes.map((resume) => {
            const newest = state.newest.find(({ partition }) => partition === resume.partition);
            return newest && newest.tid > resume.tid ? { ...resume, tid: newest.tid } : resume;
          }),
        });
        dieBehindUnlocks(cluster, storage);
      }
    },
    isFlapping: true,
    noticed: LOSS,
    seed: 6,
  },
  {
    breaks: "a storage doesn't do its truncations (N7)",
    mutate: ({ storages }) => (storages[0]!.bend = without("save truncate", 1)),
    isTruncated: true,
    noticed: /truncation|differ|sees copies/,
    seed: 3,
  },
  {
    breaks: "a storage that was away during a truncation isn't told of it (N7)",
    mutate: ({ master }) => {
      let isFirst = true;
      master.bend = (effects) =>
        effects.filter((effect) => {
          if (labelOf(effect) !== "tell truncated") return true;
          const isTold = isFirst;
          isFirst = false;
          return isTold;
        });
    },
    isTruncated: true,
    noticed: /truncation|differ|sees copies/,
    seed: 3,
  },
  {
    breaks: "a storage tells nobody of broken rows (X5)",
    mutate: ({ storages }) => storages.forEach((storage) => (storage.bend = without("tell damaged", 1))),
    isRotting: true,
    noticed: /isn't whole/,
    seed: 4,
  },
  {
    breaks: "a copy keeps its broken rows when it is made anew (N8)",
    mutate: ({ master }) =>
      bendAll([master], (effect) =>
        effect.do === "tell" && effect.message.name === "mend"
          ? { ...effect, message: { name: "mend", body: { ...effect.message.body, rows: [] } } }
          : effect),
    isRotting: true,
    noticed: /isn't whole/,
    seed: 4,
  },
  {
    breaks: "a storage doesn't report its votes at a fence (B2)",
    mutate: ({ storages }) =>
      bendAll(storages, answering("fence", (body) => ({ ...body, votes: [], locks: [] }))),
    noticed: LOSS,
    seed: 5,
  },
  {
    breaks: "a storage doesn't report its locks at a fence (B2)",
    mutate: ({ storages }) => bendAll(storages, answering("fence", (body) => ({ ...body, locks: [] }))),
    noticed: LOSS,
    seed: 5,
  },
  {
    breaks: "a read runs beside an unlock whose lock is free already (C2)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => (plan.disk!.bend = delayedUnlocks())),
    noticed: /read/,
    seed: 1,
  },
  {
    breaks: "a transaction that was aborted leaves its rows behind",
    mutate: ({ storages }) => {
      for (const { plan } of storages) {
        plan.disk!.bend = (round) => ({ ...round, writes: round.writes.filter(({ op }) => op !== "abort") });
      }
    },
    noticed: /not all is over: .*rows|Cannot go on/,
    seed: 1,
  },
];

/** A storage dies behind an unlock that comes while a copy of it lacks others. */
function dieBehindUnlocks(cluster: Cluster, storage: Cluster["storages"][number]): void {
  const provoke = provoking(cluster, () => dieBehind(storage, cluster.world, undefined, "apply"));
  wrapAll([storage], () => {
    let isBehind = false;
    return (event, step) => {
      const name = event.type === "told" ? event.message.name : "";
      if (name === "tableChange") isBehind = false;
      if (name === "unlock" && isBehind) provoke();
      const effects = step(event);
      isBehind ||= effects.some((effect) => labelOf(effect) === "ask catchUp");
      return effects;
    };
  });
}

function lazyAppend(effect: AnyEffect): AnyEffect {
  return labelOf(effect) === "save append" ? { ...effect, durable: false } as AnyEffect : effect;
}

/** Writes rounds with the next one; nothing of them is there if the process dies before. */
function nextTime(
  isLate: (round: Round<MetadataWrite>) => boolean,
): (round: Round<MetadataWrite>) => Round<MetadataWrite> {
  let late: readonly MetadataWrite[] = [];
  return (round) => {
    const writes = [...late, ...round.writes];
    late = isLate(round) ? writes : [];
    return { writes: late.length > 0 ? [] : writes, durable: round.durable };
  };
}

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
