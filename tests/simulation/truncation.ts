/**
 * A truncation of a quiet cluster (N7): what is behind a tid is deleted everywhere, also where a storage dies meanwhile or is
 * away; all else stays as it was, what clients have in their caches of it is forgotten, and no tid is given again.
 */
import { type Tid, ZERO_TID } from "../../core/ids.ts";
import { checkReads } from "./checkers.ts";
import type { Cluster } from "./cluster.ts";
import type { History } from "./history.ts";
import type { AnyNode, Death } from "./node_plan.ts";
import type { CommandEnd } from "./operator.ts";
import type { Packs } from "./packs.ts";
import type { SimRandom } from "./random.ts";
import type { Stored, StoredText } from "./stored.ts";

/** Ids of its commands: an operator who does more counts from 1. */
const FIRST_ID = 1_000_000;
/** Pauses between two attempts. */
const AGAIN_MS = 500;
/** How often somebody packs what is behind the tid at the same time, and how much earlier. */
const PACKED_SHARE = 0.5;
const PACKED_MS_MAX = 80;

/** What it needs. */
export interface TruncationPorts {
  readonly cluster: Cluster;
  readonly random: SimRandom;
  /** Of one who packs. */
  readonly packs: Packs | undefined;
  /** Starts a process again that has died. */
  restart(node: AnyNode): void;
}

/** A tid to truncate to, at the bound of packs or above, which has something behind it; undefined: nothing has. */
export function drawCut(random: SimRandom, { transactions }: Stored, bound: Tid): Tid | undefined {
  const all = [...transactions.keys()].sort((a, b) => (a < b ? -1 : 1)).slice(0, -1);
  const tids = all.filter((tid) => tid >= bound);
  return tids.length === 0 ? undefined : random.pick(tids);
}

/**
 * Asks for a truncation until it is decided, while processes die, and perhaps somebody packs beyond it: then it is refused, or the
 * pack is. Calls `done` with whether it is decided.
 */
export function truncate(
  { cluster, random, packs, restart }: TruncationPorts,
  { tid, last }: { readonly tid: Tid; readonly last: Tid },
  done: (isCut: boolean) => void,
): void {
  const { world, storages, masters, operator } = cluster;
  const death = (): Death => (random.chance(0.5) ? "killed" : "dark");
  const dieAt = (node: AnyNode, after: string, calls: number): void =>
    node.trap({
      after,
      at: "apply",
      calls,
      done: random.chance(0.5),
      death: death(),
      dying: () => false,
      sprung: () => restart(node),
    });
  if (random.chance(0.4)) dieAt(random.pick(storages), "save truncate", 1);
  if (random.chance(0.3)) { for (const master of masters) dieAt(master, "save append", random.int(1, 2)); }
  if (random.chance(0.4)) {
    const storage = random.pick(storages);
    storage.crash(death());
    world.after(random.between(0, 6_000), () => storage.start());
  }
  let id = FIRST_ID;
  const ask = () => operator.call({ type: "command", id, message: { name: "truncate", body: { tid } } });
  const ended = (end: CommandEnd): void => {
    if (end.id !== id) return;
    // the answer of an earlier attempt may have been lost
    const isCut = "answer" in end || (id > FIRST_ID && end.error.message.includes("nothing is behind that"));
    if (isCut || ("error" in end && end.error.message.includes("history is packed up to"))) {
      cluster.heard.delete(ended);
      return done(isCut);
    }
    id += 1;
    world.after(AGAIN_MS, ask);
  };
  cluster.heard.add(ended);
  if (packs === undefined || !random.chance(PACKED_SHARE)) return ask();
  packs.ask(last);
  world.after(random.between(0, PACKED_MS_MAX), ask);
}

/** The tid of the last transaction. */
export function newestOf({ transactions }: Stored): Tid {
  return [...transactions.keys()].reduce((most, tid) => (tid > most ? tid : most), ZERO_TID);
}

/** What is wrong behind a truncation. `history`: of what was done since. */
export function truncationBreaches(
  { cut, before, after }: { readonly cut: Tid; readonly before: Stored; readonly after: Stored },
  history: History,
): string[] {
  const all = [...after.breaches];
  const last = newestOf(before);
  for (const [tid, { number }] of before.transactions) {
    if (tid <= cut && after.transactions.get(tid)?.number !== number) {
      all.push(`the truncation to ${cut} took transaction ${tid} with it`);
    }
  }
  for (const { tid } of after.transactions.values()) {
    if (before.transactions.has(tid) ? tid > cut : tid <= last) {
      all.push(`transaction ${tid} is there behind a truncation to ${cut}; the last one was ${last}`);
    }
  }
  for (const { tid } of history.acknowledged) {
    if (!after.transactions.has(tid!)) {
      all.push(`behind the truncation ${tid} was acknowledged, and isn't there`);
    }
  }
  for (const [oid, revisions] of after.revisions) {
    const [is, was] = [kept(revisions, cut), kept(before.revisions.get(oid) ?? [], cut)];
    if (is !== was) all.push(`object ${oid} is [${is}] up to a truncation to ${cut}: it was [${was}]`);
    for (const { tid } of revisions) {
      if (tid <= cut || after.transactions.has(tid)) continue;
      all.push(`object ${oid} has revision ${tid} behind a truncation to ${cut}`);
    }
  }
  checkReads(history, after.revisions, all);
  return all;
}

function kept(revisions: readonly StoredText[], cut: Tid): string {
  return revisions.filter(({ tid }) => tid <= cut).map(({ tid, text }) => `${tid} ${text}`).join();
}
