/** Clusters that break one promise each, to see that the checkers bite. */
import type { Oid, Tid } from "../../core/ids.ts";
import { toTid } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import type { DatabaseAnswer, DatabaseQuery, DatabaseWrite } from "../../core/ports.ts";
import type { ClientEffect } from "../../roles/client/site.ts";
import type { MasterEffect } from "../../roles/master/site.ts";
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

/** An object's newest tid is read without what was just committed. */
const forgetLatest = ({ storages }: Cluster) =>
  storages.forEach(({ plan }) => (plan.disk!.bendAnswer = staleLatest()));
/** Some reads of a client are of an older snapshot than others. */
const readApart = ({ clients }: Cluster) => clients.forEach(({ node }) => (node.bend = olderReads(20)));

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
    mutate: forgetLatest,
    noticed: /lost update/,
  },
  {
    breaks: "an append is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /lists: lostUpdate/,
  },
  {
    breaks: "an increment is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /counter: object/,
  },
  {
    breaks: "a transfer is stored over another (N1)",
    mutate: forgetLatest,
    noticed: /bank: .* (hold|read accounts)/,
  },
  {
    breaks: "accounts are read in different snapshots (N1)",
    mutate: readApart,
    noticed: /bank: .* read accounts/,
  },
  {
    breaks: "lists are read in different snapshots (N1)",
    mutate: readApart,
    noticed: /lists: G-single:/,
  },
  {
    breaks: "a snapshot is older than what had ended before it (N1)",
    mutate: readApart,
    noticed: /lists: G-single-order/,
  },
  {
    breaks: "a storage doesn't say that a revision has ended (T43)",
    mutate: ({ storages }) => storages.forEach((storage) => (storage.bend = endless)),
    noticed: /read object .* as revision/,
  },
  {
    breaks: "a sync is answered with an older tid",
    mutate: ({ master }) => (master.bend = olderSyncs),
    noticed: /sync gave tid/,
  },
  {
    breaks: "an unlock isn't sent",
    mutate: ({ master }) => (master.bend = without("tell unlock", 40)),
    noticed: /can't commit|not all is over: .*transactions/,
  },
  {
    breaks: "a client doesn't tell the end of a call",
    mutate: ({ clients }) => clients.forEach(({ node }) => (node.bend = withoutEnds(50))),
    noticed: /workers wait for ever/,
  },
  {
    breaks: "a connection loses a write and goes on (C4)",
    mutate: ({ network }) => (network.lossRate = 0.01),
    noticed: /can't commit|wait for ever|not all is over|read|had been acknowledged/,
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

/** Each `every`th end of a call is left out. */
function withoutEnds(every: number): (effects: ClientEffect[]) => ClientEffect[] {
  let count = 0;
  return (effects) =>
    effects.filter((effect) => {
      return effect.do !== "output" || effect.output.type !== "settled" || ++count % every > 0;
    });
}

/** Each `every`th question for objects asks for what was a second before. */
function olderReads(every: number): (effects: ClientEffect[]) => ClientEffect[] {
  let count = 0;
  return (effects) =>
    effects.map((effect) => {
      if (effect.do !== "ask" || ++count % every > 0) return effect;
      const { message } = effect;
      if (message.name === "load") {
        return {
          ...effect,
          message: { name: "load", body: { ...message.body, at: before(message.body.at) } },
        };
      }
      if (message.name !== "loadMany") return effect;
      return {
        ...effect,
        message: { name: "loadMany", body: { ...message.body, at: before(message.body.at) } },
      };
    });
}

/** What a client loads seems to be current, whenever it was. */
function endless<E extends Effect>(effects: E[]): E[] {
  return effects.map((effect) => {
    if (effect.do !== "answer") return effect;
    const { message } = effect;
    if (message.name === "load") {
      const revision = { ...message.body.revision, next: null };
      return { ...effect, message: { name: "load", body: { revision } } };
    }
    if (message.name !== "loadMany") return effect;
    const objects = message.body.objects.map(({ revision, ...rest }) => {
      return { ...rest, revision: revision && { ...revision, next: null } };
    });
    return { ...effect, message: { name: "loadMany", body: { objects } } };
  });
}

function olderSyncs(effects: MasterEffect[]): MasterEffect[] {
  return effects.map((effect) => {
    if (effect.do !== "answer" || effect.message.name !== "sync") return effect;
    const { lastTid, wallMs } = effect.message.body;
    return { ...effect, message: { name: "sync", body: { lastTid: before(lastTid), wallMs } } };
  });
}

/** A second before: tids count 2^32 to a minute. */
function before(tid: Tid): Tid {
  const older = tid - 2n ** 32n / 60n;
  return older > 0n ? toTid(older) : tid;
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
