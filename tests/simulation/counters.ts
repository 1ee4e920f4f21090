/** Counters: each acknowledged increment counts once. */
import type { Oid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { LoadedRevision } from "../../roles/client/calls.ts";
import type { History, TransactionRecord } from "./history.ts";
import type { Job, Merge } from "./jobs.ts";
import { commit, read, rest, sync } from "./jobs.ts";
import type { Worker } from "./sessions.ts";
import type { Stored } from "./stored.ts";
import { numberIn, textOf } from "./texts.ts";

/** How often a worker tries to raise a counter that others raise too. */
const ATTEMPTS_MAX = 6;

/** Raises counters: where others were faster it raises what they made, or begins again, one worker so, one so. */
export function* counterWorker(job: Job): Worker {
  const { random, objects: { counters } } = job;
  const merge = random.chance(0.5) ? raised : undefined;
  while (!job.ends()) {
    yield* rest(job);
    const oid = random.pick(counters);
    let ageMs: number | undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX && !job.ends(); attempt++) {
      const begun = yield* sync(job);
      if (begun === undefined) break;
      ageMs ??= begun.ageMs;
      const found = yield* read(job, begun.at, [oid]);
      if (found === undefined) break;
      const done = yield* increment(job, oid, { seen: found[0], ageMs, merge });
      if (done.code !== "conflict" && done.code !== "lockTimeout") break;
    }
  }
}

const raised: Merge = (text) => String(numberIn(text) + 1);

/** One attempt: a counter one higher than it was seen, or than another has made it. */
function* increment(
  job: Job,
  oid: Oid,
  { seen, ...options }: {
    readonly seen: LoadedRevision | undefined;
    readonly ageMs: number;
    readonly merge: Merge | undefined;
  },
): Worker<TransactionRecord> {
  job.history.increments.push({ oid, number: job.history.transactions.length });
  return yield* commit(job, [{ oid, base: seen?.tid ?? ZERO_TID, text: raised(textOf(seen)) }], options);
}

/** A counter holds as many increments as are stored: all acknowledged ones, and others of unknown fate at most. */
export function counterBreaches(history: History, counters: readonly Oid[], stored: Stored): string[] {
  const there = new Set([...stored.transactions.values()].map(({ number }) => number));
  return counters.flatMap((oid) => {
    const all = history.increments.filter((one) => one.oid === oid);
    const count = (fate: string) =>
      all.filter(({ number }) => history.transactions[number]!.fate === fate).length;
    const [sure, unsure] = [count("acknowledged"), count("unknown")];
    const value = numberIn(stored.revisions.get(oid)?.at(-1)?.text ?? null);
    const exact = all.filter(({ number }) => there.has(number)).length;
    if (sure <= value && value <= sure + unsure && value === exact) return [];
    const facts = `${sure} increments acknowledged, ${unsure} unknown, ${exact} stored`;
    return [`counter: object ${oid} is ${value}, with ${facts}`];
  });
}
