/**
 * What must hold when all is quiet: acknowledged transactions are there and whole, others all or nothing, each read
 * was what its snapshot holds, no update is lost.
 */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { History, TransactionRecord } from "./history.ts";
import type { Stored, StoredText, StoredTransaction } from "./stored.ts";

/** All that is wrong. */
export function breachesOf(history: History, { transactions, revisions, breaches }: Stored): string[] {
  const all = [...breaches];
  checkTransactions(history, transactions, revisions, all);
  checkBases(history, transactions, revisions, all);
  checkReads(history, revisions, all);
  checkPages(history, transactions, all);
  checkFeeds(history, transactions, all);
  checkChanges(history, transactions, all);
  checkOrder(history, all);
  checkGrants(history, transactions, all);
  return all;
}

/** Acknowledged: there and whole, under the tid that was said. Refused: nothing of it. Others: all or nothing. */
function checkTransactions(
  history: History,
  stored: ReadonlyMap<Tid, StoredTransaction>,
  revisions: ReadonlyMap<Oid, readonly StoredText[]>,
  all: string[],
): void {
  const tids = new Map<number, StoredTransaction>();
  for (const one of stored.values()) {
    const earlier = tids.get(one.number);
    if (earlier) all.push(`${name(history, one.number)} was committed twice: ${earlier.tid} and ${one.tid}`);
    tids.set(one.number, one);
  }
  for (const transaction of history.transactions) {
    const found = tids.get(transaction.number);
    const who = name(history, transaction.number);
    if (transaction.fate === "acknowledged") {
      if (found === undefined) {
        all.push(`${who} was acknowledged with tid ${transaction.tid}, and isn't there`);
      } else if (found.tid !== transaction.tid || found.ttid !== transaction.ttid) {
        const said = `${transaction.tid} (ttid ${transaction.ttid})`;
        all.push(
          `${who} was acknowledged with tid ${said}, and is there with ${found.tid} (ttid ${found.ttid})`,
        );
      }
    }
    if (transaction.fate === "refused" && found !== undefined) {
      all.push(`${who} was refused (${transaction.code}), and is there with tid ${found.tid}`);
    }
    if (found !== undefined) checkWhole(transaction, found, revisions, all);
  }
  for (const [oid, list] of revisions) {
    for (const { tid } of list) {
      const writer = stored.get(tid);
      if (writer === undefined) {
        all.push(`object ${oid} has revision ${tid}, but no transaction has that tid`);
      } else if (!history.transactions[writer.number]?.writes.some((write) => write.oid === oid)) {
        all.push(
          `object ${oid} has revision ${tid} of ${name(history, writer.number)}, which didn't write it`,
        );
      }
    }
  }
}

function checkWhole(
  transaction: TransactionRecord,
  found: StoredTransaction,
  revisions: ReadonlyMap<Oid, readonly StoredText[]>,
  all: string[],
): void {
  for (const { oid, text } of transaction.writes) {
    const revision = revisions.get(oid)?.find(({ tid }) => tid === found.tid);
    const who = `transaction ${transaction.number} (${transaction.fate}, tid ${found.tid})`;
    if (revision === undefined) all.push(`${who} is there without its object ${oid}`);
    else if (revision.text !== text) {
      all.push(`${who} stored ${text} in object ${oid}, which is ${revision.text}`);
    }
  }
}

function name(history: History, number: number): string {
  const { client, fate } = history.transactions[number] ?? { client: "?", fate: "?" };
  return `transaction ${number} of ${client} (${fate})`;
}

/** Each committed write started from the revision right before it, and each checked object was still as it was read. */
function checkBases(
  history: History,
  stored: ReadonlyMap<Tid, StoredTransaction>,
  revisions: ReadonlyMap<Oid, readonly StoredText[]>,
  all: string[],
): void {
  const before = (oid: Oid, tid: Tid): Tid =>
    revisions.get(oid)?.findLast((revision) => revision.tid < tid)?.tid ?? ZERO_TID;
  for (const { tid, number } of stored.values()) {
    const transaction = history.transactions[number];
    if (transaction === undefined) {
      all.push(`tid ${tid} has a transaction that nobody made`);
      continue;
    }
    for (const { oid, base } of [...transaction.writes, ...transaction.checks]) {
      const actual = before(oid, tid);
      if (actual === base) continue;
      all.push(
        `lost update: ${
          name(history, number)
        }, tid ${tid}, started from ${base} of object ${oid}, and follows ${actual}`,
      );
    }
  }
  for (const { client, oid, saved } of history.conflicts) {
    if (revisions.get(oid)?.some(({ tid }) => tid === saved)) continue;
    all.push(`${client} was told of a conflict with revision ${saved} of object ${oid}, which doesn't exist`);
  }
}

/** Each read gave the newest revision of its snapshot, and no `next` that isn't the following one. */
export function checkReads(
  history: Pick<History, "reads">,
  revisions: ReadonlyMap<Oid, readonly StoredText[]>,
  all: string[],
): void {
  for (const read of history.reads) {
    const list = revisions.get(read.oid) ?? [];
    const place = list.findLastIndex(({ tid }) => tid <= read.at);
    const expected = list[place];
    const what = `${read.client} read object ${read.oid} at ${read.at} (${read.atMs.toFixed(0)} ms)`;
    if (read.tid !== expected?.tid) {
      all.push(`${what} as revision ${read.tid}: it is ${expected?.tid}`);
    } else if (read.text !== (expected?.text ?? null)) {
      all.push(`${what} as ${read.text}: revision ${read.tid} is ${expected?.text}`);
    } else if (read.next !== null && read.next !== list[place + 1]?.tid) {
      all.push(`${what} with next ${read.next}: it is ${list[place + 1]?.tid}`);
    }
  }
}

/** Each page has all transactions of the range that it names, ascending, no more than were asked for, and goes on. */
function checkPages(history: History, stored: ReadonlyMap<Tid, StoredTransaction>, all: string[]): void {
  const tids = sorted(stored);
  for (const { client, after, upTo, count, tids: found } of history.pages) {
    const expected = tids.filter((tid) => after < tid && tid <= upTo);
    if (expected.join() === found.join() && found.length <= count && upTo > after) continue;
    all.push(
      `${client} was told of [${found}] after ${after} up to ${upTo}, ${count} at most: it is [${expected}]`,
    );
  }
}

/** A client hears of each transaction once, in order, with all its objects, from the beginning of its session on. */
function checkFeeds(history: History, stored: ReadonlyMap<Tid, StoredTransaction>, all: string[]): void {
  const tids = sorted(stored);
  const places = new Map(tids.map((tid, place) => [tid, place]));
  for (const { client, entries } of history.feeds) {
    entries.forEach(({ tid, oids }, i) => {
      const before = entries[i - 1]?.tid;
      if (before !== undefined && tid <= before) {
        return all.push(`${client} heard of tid ${tid} after ${before}`);
      }
      if (oids === null) return;
      const place = places.get(tid);
      if (place === undefined) return all.push(`${client} heard of tid ${tid}, which no transaction has`);
      if (before !== undefined && tids[place - 1] !== before) {
        all.push(`${client} heard of tid ${tid} after ${before}, but not of ${tids[place - 1]} between them`);
      }
      const written = stored.get(tid)!.oids;
      if (oids.toSorted().join() === written.toSorted().join()) return;
      all.push(`${client} heard that tid ${tid} wrote [${oids}]: it is [${written}]`);
    });
  }
}

/** A change feed gives every transaction after the one it began behind, each once, in order, with all that it wrote. */
function checkChanges(
  history: History,
  stored: ReadonlyMap<Tid, StoredTransaction>,
  all: string[],
): void {
  const tids = sorted(stored);
  for (const { client, since, entries } of history.changes) {
    const expected = tids.slice(tids.findIndex((tid) => tid > since));
    const place = entries.findIndex(({ tid }, i) => tid !== expected[i]);
    if (place >= 0) {
      const [got, before] = [entries[place]!.tid, entries[place - 1]?.tid ?? since];
      all.push(`the change feed of ${client} gave ${got} after ${before}: it is ${expected[place]}`);
      continue;
    }
    for (const { tid, oids } of entries) {
      const written = stored.get(tid)!.oids;
      if (oids.toSorted().join() === written.toSorted().join()) continue;
      all.push(`the change feed of ${client} said that ${tid} wrote [${oids}]: it is [${written}]`);
    }
  }
}

function sorted(stored: ReadonlyMap<Tid, StoredTransaction>): Tid[] {
  return [...stored.keys()].sort((a, b) => (a < b ? -1 : 1));
}

/** What was acknowledged before something began has a lower tid. */
function checkOrder(history: History, all: string[]): void {
  const begun = history.acknowledged.toSorted((a, b) => a.begunMs - b.begunMs);
  let ended = 0;
  let least: TransactionRecord | undefined;
  for (const transaction of begun) {
    for (; ended < history.acknowledged.length; ended++) {
      const earlier = history.acknowledged[ended]!;
      if (earlier.endedMs > transaction.begunMs) break;
      if (least === undefined || earlier.tid! > least.tid!) least = earlier;
    }
    if (least === undefined || transaction.tid! > least.tid!) continue;
    const [first, second] = [name(history, least.number), name(history, transaction.number)];
    all.push(
      `${first} was acknowledged with tid ${least.tid} before ${second} began, which got ${transaction.tid}`,
    );
  }
}

/** No id is given twice, nor once an object with it was published. */
function checkGrants(history: History, stored: ReadonlyMap<Tid, StoredTransaction>, all: string[]): void {
  const given = new Map<Oid, string>();
  const used = new Map<Oid, number>();
  let seen = 0;
  for (const { client, oids, acknowledged } of history.grants) {
    for (; seen < acknowledged; seen++) {
      const { tid } = history.acknowledged[seen]!;
      for (const oid of stored.get(tid!)?.oids ?? []) used.set(oid, seen);
    }
    for (const oid of oids) {
      if (given.has(oid)) all.push(`oid ${oid} was given to ${given.get(oid)} and to ${client}`);
      else if (used.has(oid)) {
        all.push(`oid ${oid} was given to ${client} after an object with it was published`);
      }
      given.set(oid, client);
    }
  }
}
