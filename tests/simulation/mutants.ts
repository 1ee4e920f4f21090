/** Clusters that break one promise each, to see that the checkers bite. */
import type { Oid } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import type { DatabaseAnswer, DatabaseQuery, DatabaseWrite } from "../../core/ports.ts";
import type { Cluster } from "./cluster.ts";
import type { Round, SimDisk } from "./disk.ts";
import { labelOf } from "./trace.ts";

/** What is broken, how, and what a checker may say about it. */
export interface MutantCase {
  readonly breaks: string;
  readonly mutate: (cluster: Cluster) => void;
  readonly noticed: RegExp;
}

/** Something acknowledged is gone, or half of it is, or copies differ, or nothing goes on. */
const LOSS =
  /isn't there|is there without|had been acknowledged|can't commit|differ|read apart|read object|was read as/;

/** All of them. */
export const mutants: readonly MutantCase[] = [
  {
    breaks: "a storage's disk says flushed and isn't (C1)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => lie(plan.disk!)),
    noticed: LOSS,
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
  },
  {
    breaks: "a storage doesn't report its votes at a fence (B2)",
    mutate: ({ storages }) => storages.forEach((storage) => (storage.bend = forgetful)),
    noticed: LOSS,
  },
  {
    breaks: "the master's disk says flushed and isn't (B1, B3, B4)",
    mutate: ({ master }) => lie(master.plan.disk!),
    noticed: LOSS,
  },
  {
    breaks: "a read runs beside an unlock whose lock is free already (C2)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => (plan.disk!.bend = delayedUnlocks())),
    noticed: /read/,
  },
  {
    breaks: "an object's newest tid is read without what was just committed (A17)",
    mutate: ({ storages }) => storages.forEach(({ plan }) => (plan.disk!.bendAnswer = staleLatest())),
    noticed: /lost update/,
  },
  {
    breaks: "a connection loses a write and goes on (C4)",
    mutate: ({ network }) => (network.lossRate = 0.01),
    noticed: /can't commit|wait for ever|still hold|read|had been acknowledged/,
  },
  {
    breaks: "an invalidation isn't sent",
    mutate: ({ master }) => (master.bend = without("tell invalidate", 10)),
    noticed: /heard of tid/,
  },
];

/** Nothing is flushed, whatever the host asks for. */
function lie<W, Q, A, S>(disk: SimDisk<W, Q, A, S>): void {
  disk.lazyMs = Infinity;
  disk.bend = (round) => ({ ...round, durable: false });
}

/** Each `every`th effect with that label is left out. */
function without<E extends Effect>(label: string, every: number): (effects: E[]) => E[] {
  let count = 0;
  return (effects) => effects.filter((effect) => labelOf(effect) !== label || ++count % every > 0);
}

/** Effects with that label aren't flushed. */
function lazily<E extends Effect>(label: string): (effects: E[]) => E[] {
  return (effects) =>
    effects.map((effect) => labelOf(effect) === label ? { ...effect, durable: false } : effect);
}

function forgetful<E extends Effect>(effects: E[]): E[] {
  return effects.map((effect) => {
    if (effect.do !== "answer" || effect.message.name !== "fence") return effect;
    const body = { ...effect.message.body, votes: [], locks: [] };
    return { ...effect, message: { name: "fence", body } };
  });
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

/** Now and then says of an object's newest tid what was said the last time. */
function staleLatest(): (answer: DatabaseAnswer, query: DatabaseQuery) => DatabaseAnswer {
  const said = new Map<Oid, DatabaseAnswer>();
  let count = 0;
  return (answer, query) => {
    if (query.read !== "latest") return answer;
    const before = said.get(query.oid);
    said.set(query.oid, answer);
    count += 1;
    return count % 5 === 0 && before !== undefined ? before : answer;
  };
}
