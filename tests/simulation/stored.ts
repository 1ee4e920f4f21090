/** What the disks of a cluster hold when all is quiet, one copy of it: the other copies must be the same. */
import type { Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { MAX_TID, partitionOf, toTid, ZERO_TID } from "../../core/ids.ts";
import type { DatabaseAnswer, DatabaseQuery } from "../../core/ports.ts";
import { textIn } from "./texts.ts";

/** One storage's rows, and which of its cells may be read. */
export interface Copy {
  readonly node: string;
  readonly readable: readonly Partition[];
  read(query: DatabaseQuery): DatabaseAnswer;
}

/** A transaction as the storages have it. Its number stands in its description. */
export interface StoredTransaction {
  readonly tid: Tid;
  readonly ttid: Ttid;
  readonly number: number;
  readonly oids: readonly Oid[];
}

/** A revision of an object; text null: a deletion. */
export interface StoredText {
  readonly tid: Tid;
  readonly text: string | null;
}

/** All that is stored. */
export interface Stored {
  readonly transactions: ReadonlyMap<Tid, StoredTransaction>;
  /** Of each object that was asked for, oldest first. */
  readonly revisions: ReadonlyMap<Oid, readonly StoredText[]>;
  /** Where copies are missing or differ. */
  readonly breaches: readonly string[];
}

const decoder = new TextDecoder();
const PAGE = 10_000;

/**
 * Reads what is stored: all transactions, and the revisions of these objects. `partitions`: of the cluster; `bound`: up to where history
 * is packed, on some copies already and on others not.
 */
export function storedIn(
  copies: readonly Copy[],
  oids: ReadonlySet<Oid>,
  { partitions, bound }: { readonly partitions: number; readonly bound: Tid },
): Stored {
  const breaches: string[] = [];
  const transactions = new Map<Tid, StoredTransaction>();
  for (let p = 0; p < partitions; p++) {
    const holders = copies.filter(({ readable }) => readable.includes(p as Partition));
    if (holders.length === 0) breaches.push(`partition ${p} has no readable copy`);
    compare(holders, { partition: p as Partition, bound }, breaches);
    for (const holder of holders) {
      for (const one of transactionsOf(holder, p as Partition)) transactions.set(one.tid, one);
    }
  }
  const revisions = new Map<Oid, readonly StoredText[]>();
  for (const oid of oids) {
    const p = partitionOf(oid, partitions);
    const holder = copies.find(({ readable }) => readable.includes(p));
    if (holder !== undefined) revisions.set(oid, revisionsOf(holder, oid));
  }
  return { transactions, revisions, breaches };
}

/** The copies of a partition have the same rows. */
function compare(
  holders: readonly Copy[],
  { partition, bound }: { readonly partition: Partition; readonly bound: Tid },
  all: string[],
): void {
  const digests = holders.map((holder) => {
    const answer = holder.read({ read: "digest", partition, upTo: MAX_TID, bound });
    return answer.read === "digest" ? `${answer.count} rows ${answer.digest.subarray(0, 8)}` : "";
  });
  if (new Set(digests).size <= 1) return;
  all.push(
    `copies of partition ${partition} differ: ${
      holders.map(({ node }, i) => `${node} ${digests[i]}`).join("; ")
    }`,
  );
}

function transactionsOf(holder: Copy, partition: Partition): StoredTransaction[] {
  const answer = holder.read({
    read: "transactions",
    partitions: [partition],
    after: ZERO_TID,
    upTo: MAX_TID,
    count: PAGE,
  });
  if (answer.read !== "transactions") return [];
  return answer.transactions.map(({ tid, ttid, description, oids }) => {
    return { tid, ttid, number: Number(decoder.decode(description)), oids };
  });
}

/** Oldest first. */
function revisionsOf(holder: Copy, oid: Oid): StoredText[] {
  const found: StoredText[] = [];
  for (let at: Tid = MAX_TID;;) {
    const answer = holder.read({ read: "load", oid, at });
    if (answer.read !== "load" || answer.revision === null) return found.reverse();
    const { tid, stored } = answer.revision;
    found.push({ tid, text: stored === null ? null : textIn(stored) });
    at = toTid(tid - 1n);
  }
}
