/**
 * What the clients of a simulated cluster do: they raise pairs of objects together, read them in snapshots, write alone,
 * write much at once, delete, undo, make new objects, look at the past, and get into each other's way on purpose.
 */
import type { Oid, Tid } from "../../core/ids.ts";
import { toOid, toTid, ZERO_TID } from "../../core/ids.ts";
import { bankBreaches, bankWorker, FIRST_BALANCE } from "./bank.ts";
import { bulkBreaches, bulkWorker } from "./bulk.ts";
import { counterBreaches, counterWorker } from "./counters.ts";
import { guardBreaches, guardWorker, ON } from "./guards.ts";
import type { History } from "./history.ts";
import type { Job, Objects } from "./jobs.ts";
import { commit, LOAD_MS, read, rest, sync } from "./jobs.ts";
import { listAppendWorker, listVerdict } from "./lists.ts";
import type { SimRandom } from "./random.ts";
import type { Worker } from "./sessions.ts";
import { call } from "./sessions.ts";
import type { Stored } from "./stored.ts";
import { streamWorker } from "./streams.ts";
import { listText, textOf } from "./texts.ts";

/** Nothing is ever stored here. */
const NO_OBJECT = toOid(77_777_777_777n);

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
      const empty = random.chance(0.05) ? { text: "" } : {};
      const [first, second] = oids.map((oid, i) => ({ oid, base: found[i]?.tid ?? ZERO_TID, ...empty }));
      const checks = second && random.chance(0.5) ? [second] : [];
      const done = yield* commit(job, [first!], { checks, ageMs });
      if (done.tid !== undefined && random.chance(0.3)) yield* lookBehind(job, done.tid, oids);
      if (done.code !== "conflict" && done.code !== "lockTimeout") break;
    }
  }
}

/** Reads right behind a commit, when storages may not have heard yet that it is published. */
function* lookBehind(job: Job, tid: Tid, oids: readonly Oid[]): Worker {
  const { history, client, random } = job;
  if (random.chance(0.5)) {
    yield* read(job, tid, oids, { apart: true });
    return;
  }
  const after = toTid(tid - 1n);
  const outcome = yield* call("transactions", { after, upTo: tid, count: 3 }, LOAD_MS);
  if (!outcome.ok) return;
  const { transactions, upTo } = outcome.result;
  history.pages.push({ client, after, upTo, count: 3, tids: transactions.map((one) => one.tid) });
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
    const made = yield* commit(job, oids.map((oid) => ({ oid, base: ZERO_TID, isBare: true })));
    if (made.tid === undefined) continue;
    objects.fresh.push(...oids);
    const [oid] = oids;
    const deleted = yield* commit(job, [{ oid: oid!, base: made.tid, text: null }]);
    if (deleted.tid === undefined || random.chance(0.5)) continue;
    const { text } = made.writes[0]!;
    yield* commit(job, [{ oid: oid!, base: deleted.tid, link: made.tid, text, isBare: true }]);
  }
}

/** Reads what was: at tids of the past, and exact revisions. */
export function* pastWorker(job: Job): Worker {
  const { random, history, objects } = job;
  while (!job.ends()) {
    yield* rest(job);
    const known = history.acknowledged.filter(({ tid, writes }) =>
      tid! <= job.seen.lastTid && writes.length > 0
    );
    if (known.length === 0) {
      yield* sync(job);
      continue;
    }
    const past = random.pick(known);
    const oids = [...random.pick(objects.pairs), random.pick(objects.singles), ...objects.fresh.slice(-1)];
    if (random.chance(0.1)) oids.push(NO_OBJECT);
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

/** Asks for the import stage, which others stand in the way of; leaves it at once if they don't. */
function* tryImport(): Worker {
  const begun = yield* call("stage", { importing: true, origin: "nothing" }, LOAD_MS);
  if (begun.ok) yield* call("stage", { importing: false, origin: "" }, LOAD_MS);
}

/** Looks at the cluster, and at the list of all transactions, page by page. */
export function* listWorker(job: Job): Worker {
  const { random, history, client } = job;
  while (!job.ends()) {
    yield* rest(job);
    if (random.chance(0.3)) yield* call("status", {}, LOAD_MS);
    if (random.chance(0.05)) yield* tryImport();
    const begun = yield* sync(job);
    if (begun === undefined) continue;
    const count = random.int(1, 20);
    for (let after = ZERO_TID, isMore = true; isMore && !job.ends();) {
      const outcome = yield* call("transactions", { after, upTo: begun.at, count }, LOAD_MS);
      if (!outcome.ok) break;
      const { transactions, upTo } = outcome.result;
      history.pages.push({ client, after, upTo, count, tids: transactions.map(({ tid }) => tid) });
      isMore = upTo < begun.at && random.chance(0.8);
      after = upTo;
    }
  }
}

/** Workers of each kind of work, with how often they are chosen. */
const workers = {
  objects: [
    pairWorker,
    pairWorker,
    pairWorker,
    singleWorker,
    singleWorker,
    largeWorker,
    makerWorker,
    pastWorker,
    listWorker,
  ],
  bank: [bankWorker, bankWorker, bankWorker],
  lists: [listAppendWorker, listAppendWorker, listAppendWorker, listAppendWorker],
  counters: [counterWorker, counterWorker],
  streams: [streamWorker, streamWorker],
  guards: [guardWorker, guardWorker, guardWorker],
  bulk: [bulkWorker],
};
/** A kind of work. */
export type Work = keyof typeof workers;

/** The work of a seed: one kind or more. */
export function drawWork(random: SimRandom): Work[] {
  const shares: { readonly [work in Work]: number } = {
    objects: 0.7,
    bank: 0.35,
    lists: 0.4,
    counters: 0.35,
    streams: 0.3,
    guards: 0.3,
    bulk: 0.06,
  };
  const some = (Object.keys(shares) as Work[]).filter((work) => random.chance(shares[work]));
  return some.length > 0 ? some : ["objects", "bank", "lists", "counters", "guards"];
}

/** The workers of some kinds of work, to be picked from. */
export function workersOf(work: readonly Work[]): readonly ((job: Job) => Worker)[] {
  return work.flatMap((one) => workers[one]);
}

/** Objects of a seed for its work, anywhere. */
export function drawObjects(random: SimRandom, work: readonly Work[]): Objects {
  const oids = new Set<number>();
  while (oids.size < 40) oids.add(random.int(0, 120));
  const all = [...oids].map((oid) => toOid(oid));
  const pairs = Array.from({ length: random.int(2, 4) }, () => [all.pop()!, all.pop()!] as const);
  const take = (kind: Work, least: number, most: number) =>
    work.includes(kind) ? all.splice(0, random.int(least, most)) : [];
  return {
    pairs,
    singles: all.splice(0, random.int(3, 8)),
    fresh: [],
    accounts: take("bank", 3, 6),
    lists: take("lists", 2, 5),
    counters: take("counters", 1, 3),
    streams: take("streams", 1, 3),
    guards: take("guards", 1, 2).map((oid) => [oid, toOid(oid + 1_000n)] as const),
    bulk: work.includes("bulk")
      ? Array.from({ length: random.int(100, 300) }, (_, i) => toOid(50_000_000 + i))
      : [],
  };
}

/** What is in an object before anybody works; undefined: something that names the transaction which makes it. */
export function firstText({ accounts, lists, counters, guards }: Objects, oid: Oid): string | undefined {
  if (accounts.includes(oid)) return String(FIRST_BALANCE);
  if (lists.includes(oid)) return listText([]);
  if (guards.some((pair) => pair.includes(oid))) return ON;
  return counters.includes(oid) ? "0" : undefined;
}

/** What is wrong with what the workers did beside single objects, and how much write skew there was. */
export function workBreaches(
  history: History,
  { accounts, lists, counters, guards, bulk }: Objects,
  stored: Stored,
): { readonly breaches: readonly string[]; readonly writeSkews: number } {
  const { anomalies, writeSkews } = listVerdict(history, lists, stored);
  const breaches = [
    ...bankBreaches(accounts, stored),
    ...anomalies.map(({ text }) => `lists: ${text}`),
    ...counterBreaches(history, counters, stored),
    ...guardBreaches(guards, stored),
    ...bulkBreaches(bulk, stored),
  ];
  return { breaches, writeSkews };
}
