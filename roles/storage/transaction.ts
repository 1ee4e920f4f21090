/**
 * One transaction as a storage holds it, and what is said of it.
 *
 * An object of it is `waiting` (another holds its lock), `checking` (the lock is ours, its newest revision is being
 * read), `held` (stored), or `refused` (a conflict; the lock stays with the asker until it stores again, relocks or
 * ends: a slow resolver isn't overtaken for ever).
 */
import { sameBytes } from "../../core/bytes.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import type { Conn, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { Answer, Body, CellVote, Evidence, WireError } from "../../core/messages.ts";
import type { Digest, HeldTransaction, StoredData } from "../../core/ports.ts";
import type { Asker, Site } from "./site.ts";

/** What wants an object's lock: a store, a check, or an object that gave its lock to an older transaction. */
export interface Claim {
  /** Undefined: nobody waits for an answer of its own; the vote's answer tells. */
  readonly asker: Asker | undefined;
  readonly ttid: Ttid;
  readonly ageMs: number;
  readonly oid: Oid;
  readonly base: Tid;
  readonly mode: "store" | "check";
  /** Undefined: what was stored stays. */
  readonly content: { readonly stored: StoredData | null; readonly link: Tid | null } | undefined;
  readonly checksum: Uint8Array | null;
  /** Skips the comparison of its base: an import. */
  readonly restore: boolean;
  readonly untilMs: number;
}

/** A store or a check, as one request. */
export type StoreRequest = Claim & {
  readonly asker: Asker;
  readonly content: NonNullable<Claim["content"]>;
};

/** A part of a value. */
export interface PartRequest {
  readonly asker: Asker;
  readonly ttid: Ttid;
  readonly ageMs: number;
  readonly oid: Oid;
  readonly seq: number;
  readonly stored: StoredData;
}

/** One object of a transaction. */
export interface Held {
  state: "waiting" | "checking" | "held" | "refused";
  claim: Claim | undefined;
  /** Which try of the object this is: a read for an earlier one is void. */
  readonly attempt: number;
  readonly partition: Partition;
  readonly base: Tid;
  readonly mode: "store" | "check";
  readonly lockless: boolean;
  readonly checksum: Uint8Array | null;
  /** What is newer than `base`, when refused. */
  saved: Tid;
}

/** A transaction that isn't final. */
export interface Transaction {
  readonly ttid: Ttid;
  ageMs: number;
  /** The client's connection; undefined for one that an earlier process held, or whose connection is lost. */
  conn: Conn | undefined;
  readonly objects: Map<Oid, Held>;
  /** Checksums of the parts of large values that came before the `store` of their manifest, in order. */
  readonly parts: Map<Oid, Uint8Array[]>;
  /** Objects that are waiting or checking. */
  readonly open: Set<Oid>;
  /** Objects that its client was asked to relock: once each. */
  readonly asked: Set<Oid>;
  /** Whether an object of it has waited for its lock lately. */
  hasWaited: boolean;
  home: Partition | undefined;
  noted: boolean;
  voted: boolean;
  tid: Tid | undefined;
  vote: { readonly asker: Asker; readonly body: Body<"vote"> } | undefined;
}

/** A transaction of which nothing is here yet. */
export function newTransaction(ttid: Ttid, ageMs: number, conn: Conn | undefined): Transaction {
  return {
    ttid,
    ageMs,
    conn,
    objects: new Map(),
    parts: new Map(),
    open: new Set(),
    asked: new Set(),
    hasWaited: false,
    home: undefined,
    noted: false,
    voted: false,
    tid: undefined,
    vote: undefined,
  };
}

/** A voted transaction that the database kept over a restart. */
export function restoredTransaction(one: HeldTransaction): Transaction {
  const transaction = newTransaction(one.ttid, one.ageMs, undefined);
  for (const { oid, partition, base, mode, lockless, checksum } of one.objects) {
    const kept = { partition, base, mode, lockless, checksum, saved: ZERO_TID };
    transaction.objects.set(oid, { state: "held", claim: undefined, attempt: 0, ...kept });
  }
  transaction.home = one.home;
  transaction.noted = one.noted;
  transaction.voted = true;
  transaction.tid = one.tid ?? undefined;
  return transaction;
}

/** Votes and locks, as the primary asks for them at the fence. */
export function reportOf(all: Iterable<Transaction>): Pick<Answer<"fence">, "votes" | "locks"> {
  const voted = [...all].filter((one) => one.voted);
  return {
    votes: voted.map(({ ttid, home, objects }) => ({
      ttid,
      home: home!,
      partitions: [...new Set([...objects.values()].map((held) => held.partition))],
    })),
    locks: voted.flatMap(({ ttid, tid }) => (tid === undefined ? [] : [{ ttid, tid }])),
  };
}

/** Whether one of them is locked with tid <= upTo and concerns a partition. */
export function isLockedBelow(all: Iterable<Transaction>, partition: Partition, upTo: Tid): boolean {
  for (const { tid, home, objects } of all) {
    if (tid === undefined || tid > upTo) continue;
    if (home === partition) return true;
    for (const held of objects.values()) if (held.partition === partition) return true;
  }
  return false;
}

/** Whether one of them wrote a partition without a lock. */
export function hasLockless(all: Iterable<Transaction>, partition: Partition): boolean {
  for (const { objects } of all) {
    for (const held of objects.values()) if (held.partition === partition && held.lockless) return true;
  }
  return false;
}

/** Whether it has waited for a lock since this was asked last: then it wasn't its client that took the time. */
export function takeHasWaited(transaction: Transaction | undefined): boolean {
  if (!transaction) return false;
  const { hasWaited, objects, open } = transaction;
  transaction.hasWaited = [...open].some((oid) => objects.get(oid)?.state === "waiting");
  return hasWaited;
}

/** Partitions in which it leaves rows here once it is final. */
export function writtenIn({ home, noted, objects }: Transaction): Set<Partition> {
  const written = [...objects.values()].flatMap((
    { mode, partition },
  ) => (mode === "store" ? [partition] : []));
  return new Set(home !== undefined && noted ? [home, ...written] : written);
}

/** Why an object can't be stored: somebody else has changed it meanwhile. */
export function conflictError(oid: Oid, { base, saved }: Pick<Held, "base" | "saved">): WireError {
  const message = `Cannot store object ${oid}: it changed at tid ${hexOf(saved)}, after ${hexOf(base)}`;
  return { code: "conflict", message, detail: { conflicts: [{ oid, base, saved }] } };
}

/** Why a vote can't be given: some of its objects are in conflict, or not all of them are here. */
export function voteError(
  { ttid, objects }: Transaction,
  { count, digest }: Pick<Body<"vote">, "count" | "digest">,
  hash: Digest,
): WireError | undefined {
  const all = [...objects.entries()];
  const conflicts = all.flatMap(([oid, { state, base, saved }]) =>
    state === "refused" ? [{ oid, base, saved }] : []
  );
  if (conflicts.length > 0) {
    const message = `Cannot vote: ${conflicts.length} objects of transaction ${ttid} are in conflict`;
    return { code: "conflict", message, detail: { conflicts } };
  }
  const held = all.map(([oid, { base, mode, checksum }]) => ({ oid, base, mode, checksum }));
  if (held.length === count && sameBytes(evidenceDigest(held, hash), digest)) return undefined;
  const message = `Cannot vote: transaction ${ttid} has ${held.length} of ${count} objects here, or others`;
  return { code: "lacks", message, detail: { held: held.map(({ oid }) => oid) } };
}

/** What this node holds of a transaction, cell by cell. A partition is locked only if all of it is. */
export function evidenceOf({ objects, home, noted }: Transaction, site: Site): Evidence {
  const locked = new Map<Partition, boolean>();
  for (const held of objects.values()) {
    locked.set(held.partition, (locked.get(held.partition) ?? true) && !held.lockless);
  }
  if (home !== undefined && noted && !locked.has(home)) locked.set(home, site.reads(home));
  if (home !== undefined && !noted) locked.delete(home); // without its note, a lock here is no commit point
  const cells: CellVote[] = [];
  for (const [partition, all] of locked) {
    const cell = site.cell(partition);
    if (cell) cells.push({ partition, since: cell.since, locked: all });
  }
  return { node: site.index, session: site.session, cells };
}
