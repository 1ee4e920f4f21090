/**
 * What the clients of a simulated cluster do: they raise pairs of objects together, read them in snapshots, write alone,
 * write much at once, delete, undo, make new objects, and get into each other's way on purpose. Every answer is noted.
 */
import type { ConflictError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import type { Commit, LoadedRevision } from "../../roles/client/calls.ts";
import type { History, TransactionRecord } from "./history.ts";
import type { SimRandom } from "./random.ts";
import type { Worker } from "./sessions.ts";
import { call, wait } from "./sessions.ts";
import type { World } from "./world.ts";

/** The objects that clients fight over. */
export interface Objects {
  /** Two objects that every transaction changes together. */
  readonly pairs: readonly (readonly [Oid, Oid])[];
  readonly singles: readonly Oid[];
  /** Objects that were made while the simulation ran. */
  readonly fresh: Oid[];
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
interface Draft {
  readonly oid: Oid;
  readonly base: Tid;
  /** What is stored; null deletes; undefined: something that names the transaction. */
  readonly text?: string | null;
  readonly link?: Tid;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array();
const LOAD_MS = 30_000;
/** Answers that leave a commit's fate open; all others say that nothing of it is stored. */
const UNKNOWN: ReadonlySet<string> = new Set(["timedOut", "lost", "outcomePending", "stopping"]);

/** Objects of a seed: some pairs and single ones, anywhere. */
export function drawObjects(random: SimRandom): Objects {
  const oids = new Set<number>();
  while (oids.size < 20) oids.add(random.int(0, 60));
  const all = [...oids].map((oid) => toOid(oid));
  const pairs = Array.from({ length: random.int(2, 4) }, () => [all.pop()!, all.pop()!] as const);
  return { pairs, singles: all.slice(0, random.int(3, 8)), fresh: [] };
}

/** Commits and notes what became of it. */
export function* commit(
  job: Job,
  drafts: readonly Draft[],
  options: { readonly checks?: Commit["checks"]; readonly ageMs?: number; readonly withinMs?: number } = {},
): Worker<TransactionRecord> {
  const { history, random, world, client } = job;
  const { checks = [], ageMs, withinMs = random.pick([60_000, 60_000, 60_000, 5_000, 300]) } = options;
  const transaction = history.begin({
    client,
    begunMs: world.nowMs,
    checks,
    writes: (number) =>
      drafts.map(({ oid, base, text }) => ({ oid, base, text: text === undefined ? `by ${number}` : text })),
  });
  const writes = transaction.writes.map(({ oid, base, text }, at) => {
    const link = drafts[at]!.link;
    return {
      oid,
      base,
      data: text === null ? null : encoder.encode(text),
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
  };
  const outcome = yield* call("commit", request, withinMs);
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

function noteRead(job: Job, at: Tid, oid: Oid, revision: LoadedRevision | undefined): void {
  const text = textOf(revision);
  const { tid, next = null } = revision ?? {};
  job.history.reads.push({ client: job.client, atMs: job.world.nowMs, at, oid, tid, next, text });
}

/** A text as data: filled up with spaces, now and then to more than a connection takes at once. */
function dataOf(text: string, random: SimRandom): Uint8Array {
  const length = random.chance(0.02) ? random.int(10_000, 100_000) : text.length;
  return encoder.encode(text.padEnd(length));
}

function textOf(revision: LoadedRevision | undefined): string | null {
  return revision?.data ? decoder.decode(revision.data).trimEnd() : null;
}

/** Raises both objects of a pair together, or only looks at them; nobody may ever see them apart. */
export function* pairWorker(job: Job): Worker {
  const { random, history, objects } = job;
  while (!job.ends()) {
    yield* rest(job);
    const oids = random.pick(objects.pairs);
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const found = yield* read(job, begun.at, oids);
    if (found === undefined) continue;
    const [a, b] = found;
    if (a?.tid !== b?.tid || textOf(a) !== textOf(b)) {
      history.breach(
        `${job.client}: the pair ${oids} was read apart at ${begun.at}: ${a?.tid} ${textOf(a)}, ${b?.tid} ${
          textOf(b)
        }`,
      );
    }
    if (random.chance(0.3)) continue;
    const isDeletion = a?.data && random.chance(0.08);
    const drafts = oids.map((oid) => {
      return { oid, base: a?.tid ?? ZERO_TID, ...(isDeletion ? { text: null } : {}) };
    });
    yield* commit(job, random.chance(0.5) ? drafts : drafts.reverse(), { ageMs: begun.ageMs });
  }
}

/** Writes single objects, with checks of others now and then; goes on until its conflict is solved. */
export function* singleWorker(job: Job): Worker {
  const { random, objects } = job;
  while (!job.ends()) {
    yield* rest(job);
    const oids = [...new Set([random.pick(objects.singles), random.pick(objects.singles)])];
    let ageMs: number | undefined;
    for (let attempt = 0; attempt < 4 && !job.ends(); attempt++) {
      const begun = yield* sync(job);
      if (begun === undefined) break;
      ageMs ??= begun.ageMs;
      const found = yield* read(job, begun.at, oids);
      if (found === undefined) break;
      const [first, second] = oids.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID }));
      const checks = second && random.chance(0.5) ? [second] : [];
      const done = yield* commit(job, [first!], { checks, ageMs });
      if (done.code !== "conflict" && done.code !== "lockTimeout") break;
    }
  }
}

/** Writes much at once, over all partitions. */
export function* largeWorker(job: Job): Worker {
  const { random, objects } = job;
  while (!job.ends()) {
    yield* rest(job);
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const oids = [...random.some(objects.singles, 0.6), ...random.some(objects.fresh.slice(-10), 0.4)];
    const pair = random.pick(objects.pairs);
    if (random.chance(0.3)) oids.push(...pair);
    if (oids.length === 0) continue;
    const found = yield* read(job, begun.at, oids);
    if (found === undefined) continue;
    yield* commit(job, oids.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID })), {
      ageMs: begun.ageMs,
    });
  }
}

/** Makes objects with ids from the master, or beyond them; then deletes one, or undoes its last change. */
export function* makerWorker(job: Job): Worker {
  const { random, history, objects, client } = job;
  while (!job.ends()) {
    yield* rest(job);
    const acknowledged = history.acknowledged.length;
    const granted = yield* call("newOids", { count: random.chance(0.05) ? 300 : random.int(1, 5) }, LOAD_MS);
    if (!granted.ok) continue;
    history.grants.push({ client, oids: granted.result, acknowledged });
    const oids = granted.result.slice(0, 5);
    if (random.chance(0.1)) oids.push(toOid(100_000 + history.transactions.length * 20_011));
    const made = yield* commit(job, oids.map((oid) => ({ oid, base: ZERO_TID })));
    if (made.tid === undefined) continue;
    objects.fresh.push(...oids);
    const [oid] = oids;
    const deleted = yield* commit(job, [{ oid: oid!, base: made.tid, text: null }]);
    if (deleted.tid === undefined || random.chance(0.5)) continue;
    yield* commit(job, [{ oid: oid!, base: deleted.tid, link: made.tid, text: made.writes[0]!.text }]);
  }
}

/** Reads what was: at tids of the past, and exact revisions. */
export function* pastWorker(job: Job): Worker {
  const { random, history, objects } = job;
  while (!job.ends()) {
    yield* rest(job);
    const known = history.acknowledged.filter(({ tid }) => tid! <= job.seen.lastTid);
    if (known.length === 0) {
      yield* sync(job);
      continue;
    }
    const past = random.pick(known);
    const oids = [...random.pick(objects.pairs), random.pick(objects.singles)];
    yield* read(job, past.tid!, oids);
    const write = random.pick(past.writes);
    const outcome = yield* call("loadExact", { oid: write.oid, tid: past.tid! }, LOAD_MS);
    if (outcome.ok && (outcome.result?.tid !== past.tid || textOf(outcome.result) !== write.text)) {
      const got = `${outcome.result?.tid} ${textOf(outcome.result)}`;
      history.breach(
        `${job.client}: revision ${past.tid} of ${write.oid} was read as ${got}, not ${write.text}`,
      );
    }
  }
}

/** Looks at the cluster, and at the list of all transactions, page by page. */
export function* listWorker(job: Job): Worker {
  const { random, history, client } = job;
  while (!job.ends()) {
    yield* rest(job);
    if (random.chance(0.3)) yield* call("status", {}, LOAD_MS);
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const count = random.int(1, 20);
    for (let after = ZERO_TID, isMore = true; isMore && !job.ends();) {
      const outcome = yield* call("transactions", { after, upTo: begun.at, count }, LOAD_MS);
      if (!outcome.ok) break;
      const tids = outcome.result.map(({ tid }) => tid);
      history.pages.push({ client, after, upTo: begun.at, count, tids });
      isMore = tids.length === count && random.chance(0.8);
      after = tids.at(-1) ?? after;
    }
  }
}

/** Pauses between transactions: mostly short, so that many are on their way at once. */
function rest(job: Job): Worker {
  return wait(job.random.chance(0.6) ? job.random.between(0, 100) : job.random.between(100, 3_000));
}

/** The kinds of workers, with how often they are chosen. */
export const workers = [
  pairWorker,
  pairWorker,
  pairWorker,
  singleWorker,
  singleWorker,
  largeWorker,
  makerWorker,
  pastWorker,
  listWorker,
];
