/** What workers have in common: commits, reads and syncs whose answers are noted for the checkers. */
import type { ConflictError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import type { Commit, LoadedRevision } from "../../roles/client/calls.ts";
import type { History, TransactionRecord, WriteRecord } from "./history.ts";
import type { SimRandom } from "./random.ts";
import type { Resolver, Worker } from "./sessions.ts";
import { call, wait } from "./sessions.ts";
import { dataOf, textOf } from "./texts.ts";
import type { World } from "./world.ts";

/** The objects that clients fight over. */
export interface Objects {
  /** Two objects that every transaction changes together. */
  readonly pairs: readonly (readonly [Oid, Oid])[];
  readonly singles: readonly Oid[];
  /** Objects that were made while the simulation ran. */
  readonly fresh: Oid[];
  /** What the workers in the files of these names change; empty where a seed has none of those. */
  readonly accounts: readonly Oid[];
  readonly lists: readonly Oid[];
  readonly counters: readonly Oid[];
  readonly streams: readonly Oid[];
  readonly guards: readonly (readonly [Oid, Oid])[];
  readonly bulk: readonly Oid[];
}

/** What a worker works with. */
export interface Job {
  readonly client: string;
  readonly world: World;
  readonly random: SimRandom;
  readonly history: History;
  readonly objects: Objects;
  /** What this process has heard so far. */
  readonly seen: { lastTid: Tid };
  /** Whether workers should come to an end. */
  readonly ends: () => boolean;
}

/** A write before its transaction has a number. */
export interface Draft {
  readonly oid: Oid;
  readonly base: Tid;
  /** What is stored; null deletes; undefined: something that names the transaction. */
  readonly text?: string | null;
  readonly link?: Tid;
  /** Nothing fills the text up: a later write repeats it, byte by byte. */
  readonly isBare?: boolean;
  /** Its parts were given before. */
  readonly streamed?: boolean;
}

/** Makes a text on top of one that another transaction has committed. */
export type Merge = (saved: string | null) => string;

const encoder = new TextEncoder();
const NOTHING = new Uint8Array();
/** How long a worker waits for anything but a commit. */
export const LOAD_MS = 30_000;
/** How long a program may take to resolve a conflict. */
const SLOW_MS_MAX = 1_500;
/** The answer that leaves a commit's fate open; all others say that nothing of it is stored, and nothing may be. */
const UNKNOWN: ReadonlySet<string> = new Set(["outcomePending"]);

/** Pauses between transactions: mostly short, so that many are on their way at once. */
export function rest(job: Job): Worker {
  return wait(job.random.chance(0.6) ? job.random.between(0, 100) : job.random.between(100, 3_000));
}

/** Commits and notes what became of it. */
export function* commit(
  job: Job,
  drafts: readonly Draft[],
  options: {
    readonly checks?: Commit["checks"];
    readonly ageMs?: number;
    readonly withinMs?: number;
    /** Makes one text of what another has committed and what this one wants; undefined: conflicts fail it. */
    readonly merge?: Merge | undefined;
    /** Under which the parts of streamed values were given. */
    readonly draft?: number;
    /** The tid under which it is imported. */
    readonly restoreTid?: Tid;
  } = {},
): Worker<TransactionRecord> {
  const { history, random, world, client } = job;
  const { checks = [], ageMs, merge, draft, restoreTid } = options;
  const { withinMs = random.pick([60_000, 60_000, 60_000, 5_000, 300]) } = options;
  const transaction = history.begin({
    client,
    begunMs: world.nowMs,
    checks,
    writes: (number) =>
      drafts.map(({ oid, base, text }) => ({ oid, base, text: text === undefined ? `by ${number}` : text })),
  });
  const writes = transaction.writes.map(({ oid, base, text }, at) => {
    const { link, streamed = false, isBare = false } = drafts[at]!;
    return {
      oid,
      base,
      data: text === null || streamed ? null : isBare ? encoder.encode(text) : dataOf(text, random),
      streamed,
      ...(link === undefined ? {} : { link }),
    };
  });
  const description = encoder.encode(String(transaction.number));
  const request: Commit = {
    writes,
    checks,
    user: NOTHING,
    description,
    extension: NOTHING,
    status: " ",
    ...(ageMs === undefined ? {} : { ageMs }),
    ...(merge === undefined ? {} : { resolves: true }),
    ...(draft === undefined ? {} : { draft }),
    ...(restoreTid === undefined ? {} : { restoreTid }),
  };
  const resolver = merge && resolverOf(job, transaction, merge);
  const outcome = yield* call("commit", request, withinMs, resolver);
  if (outcome.ok) {
    history.acknowledge(transaction, outcome.result, world.nowMs);
    return transaction;
  }
  const { code } = outcome.error;
  transaction.code = code;
  history.end(transaction, UNKNOWN.has(code) ? "unknown" : "refused", world.nowMs);
  if (code === "conflict") {
    for (const { oid, saved } of (outcome.error as ConflictError).conflicts) {
      history.conflicts.push({ client, oid, saved });
    }
  }
  return transaction;
}

/** Reads what others have committed, and merges it; slowly, now and then. */
function resolverOf(job: Job, transaction: TransactionRecord, merge: Merge): Resolver {
  const { random, history, client } = job;
  let newest = 0;
  return function*({ round, conflicts }) {
    newest = round;
    const merged: WriteRecord[] = [];
    for (const { oid, saved } of conflicts) {
      history.conflicts.push({ client, oid, saved });
      const outcome = yield* call("loadExact", { oid, tid: saved }, LOAD_MS);
      if (!outcome.ok || outcome.result === undefined) return undefined;
      merged.push({ oid, base: saved, text: merge(textOf(outcome.result)) });
    }
    if (random.chance(0.3)) yield* wait(random.between(0, SLOW_MS_MAX));
    if (round !== newest) return undefined; // the machine has asked again meanwhile, and doesn't listen to this
    const others = transaction.writes.filter(({ oid }) => !merged.some((write) => write.oid === oid));
    transaction.writes = [...others, ...merged];
    return merged.map(({ oid, text }) => ({ oid, data: dataOf(text!, random) }));
  };
}

/** Brings this client up to date, and checks that it is. */
export function* sync(job: Job): Worker<{ at: Tid; ageMs: number } | undefined> {
  const { history, client, seen } = job;
  const least = history.acknowledged.reduce((most, { tid }) => (tid! > most ? tid! : most), seen.lastTid);
  const outcome = yield* call("sync", {}, LOAD_MS);
  if (!outcome.ok) return undefined;
  const { lastTid, ageMs } = outcome.result;
  if (lastTid < least) {
    history.breach(`${client}: sync gave tid ${lastTid}, but ${least} had been acknowledged or seen before`);
  }
  if (lastTid > seen.lastTid) seen.lastTid = lastTid;
  return { at: lastTid, ageMs };
}

/** Reads objects of one snapshot, in one message or one by one; undefined when that failed. */
export function* read(
  job: Job,
  at: Tid,
  oids: readonly Oid[],
  options: { readonly apart: boolean } = { apart: job.random.chance(0.6) },
): Worker<readonly (LoadedRevision | undefined)[] | undefined> {
  const { random } = job;
  const found: (LoadedRevision | undefined)[] = [];
  if (!options.apart) {
    const outcome = yield* call("loadMany", { oids, at }, LOAD_MS);
    if (!outcome.ok) return undefined;
    found.push(...outcome.result);
  } else {
    for (const oid of oids) {
      const outcome = yield* call("load", { oid, at }, LOAD_MS);
      if (!outcome.ok) return undefined;
      found.push(outcome.result);
      if (random.chance(0.2)) yield* wait(random.between(0, 200));
    }
  }
  oids.forEach((oid, i) => noteRead(job, at, oid, found[i]));
  return found;
}

/** Notes what was read, for the checkers. */
export function noteRead(job: Job, at: Tid, oid: Oid, revision: LoadedRevision | undefined): void {
  const text = textOf(revision);
  const { tid, next = null } = revision ?? {};
  job.history.reads.push({ client: job.client, atMs: job.world.nowMs, at, oid, tid, next, text });
}
