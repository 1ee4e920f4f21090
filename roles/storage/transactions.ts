/**
 * What a storage does for a commit: `store check vote lock unlock abort`, and who holds which lock.
 *
 * An object of a transaction is `waiting` (another holds its lock), `checking` (the lock is ours, its newest revision is
 * being read), `held` (stored), or `refused` (a conflict; the lock stays with the asker). A transaction is open, then
 * voted (durable: from here only the primary or the end of its session aborts it), then locked (its tid is known), then
 * final. Its locks go at the `saved` of its end.
 */
import { Deadlines } from "../../core/deadlines.ts";
import { invariant } from "../../core/errors.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import type { HeldObject } from "../../core/evidence.ts";
import { hexOf, sessionOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession, Conn, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { LOCK_WAIT_MS, TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import { answer } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import type { Answer, Body, CellVote, Evidence } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { HeldTransaction, StoredData } from "../../core/ports.ts";
import { Locks } from "./locks.ts";
import type { Asker, Site } from "./site.ts";

/** A store or a check, as one request. */
export interface StoreRequest {
  readonly asker: Asker;
  readonly ttid: Ttid;
  readonly ageMs: number;
  readonly oid: Oid;
  readonly base: Tid;
  readonly mode: "store" | "check";
  readonly stored: StoredData | null;
  readonly link: Tid | null;
  readonly restore: boolean;
  readonly untilMs: number;
}

interface Held {
  state: "waiting" | "checking" | "held" | "refused";
  request: StoreRequest | undefined;
  attempt: number;
  readonly partition: Partition;
  readonly base: Tid;
  readonly mode: "store" | "check";
  readonly lockless: boolean;
  readonly checksum: Uint8Array | null;
  /** What is newer than `base`, when refused. */
  saved: Tid;
}

interface Transaction {
  readonly ttid: Ttid;
  ageMs: number;
  /** The client's connection; undefined for one that an earlier process held. */
  conn: Conn | undefined;
  readonly objects: Map<Oid, Held>;
  /** Objects that are waiting or checking. */
  readonly open: Set<Oid>;
  home: Partition | undefined;
  noted: boolean;
  voted: boolean;
  tid: Tid | undefined;
  vote: { readonly asker: Asker; readonly body: Body<"vote"> } | undefined;
}

/** The transactions of a storage that aren't final. */
export class Transactions {
  #site: Site;
  #all = new Map<Ttid, Transaction>();
  #locks = new Locks<StoreRequest>();
  #readLocks = new Map<Oid, Transaction>();
  #ending: { readonly transaction: Transaction; readonly oids: readonly Oid[] }[] = []; // released at `saved`
  #waits = new Deadlines<StoreRequest>();
  #ages = new Deadlines<Ttid>();
  #attempts = 0;
  #freed = false;

  constructor(site: Site, held: readonly HeldTransaction[]) {
    this.#site = site;
    for (const one of held) this.#restore(one);
  }

  /** Transactions that are here. */
  get size(): number {
    return this.#all.size;
  }

  /** The tid of the transaction that read-locks an object: its new revision may already be visible elsewhere. */
  readLock(oid: Oid): Tid | undefined {
    return this.#readLocks.get(oid)?.tid;
  }

  /** Whether a locked transaction with tid <= upTo concerns a partition. */
  lockedBelow(partition: Partition, upTo: Tid): boolean {
    for (const { tid, home, objects } of this.#all.values()) {
      if (tid === undefined || tid > upTo) continue;
      if (home === partition) return true;
      for (const held of objects.values()) if (held.partition === partition) return true;
    }
    return false;
  }

  /** True once after read locks went: parked reads are to be judged again. */
  takeFreed(): boolean {
    const freed = this.#freed;
    this.#freed = false;
    return freed;
  }

  /** The earliest deadline. */
  due(): number | undefined {
    const [waits, ages] = [this.#waits.next(), this.#ages.next()];
    return waits === undefined ? ages : ages === undefined ? waits : Math.min(waits, ages);
  }

  /** Votes and locks, as the primary asks for them at the fence. */
  report(): Pick<Answer<"fence">, "votes" | "locks"> {
    const voted = [...this.#all.values()].filter((one) => one.voted);
    return {
      votes: voted.map(({ ttid, home, objects }) => ({
        ttid,
        home: home!,
        partitions: [...new Set([...objects.values()].map((held) => held.partition))],
      })),
      locks: voted.filter((one) => one.tid !== undefined).map(({ ttid, tid }) => ({ ttid, tid: tid! })),
    };
  }

  /** Takes one object of a transaction. */
  store(request: StoreRequest, now: Now): void {
    const transaction = this.#open(request, now);
    if (transaction.tid !== undefined) {
      return this.#site.refuse(request.asker, {
        code: "denied",
        message: `Cannot store: transaction ${request.ttid} commits`,
      });
    }
    if (transaction.voted) this.#unvote(transaction);
    const partition = this.#site.table!.partitionOf(request.oid);
    const before = transaction.objects.get(request.oid);
    if (before?.request) this.#cancel(before.request, "a later store of the same object replaces it");
    const lockless = !isReadable(this.#site.cell(partition));
    const held: Held = {
      state: "waiting",
      request,
      attempt: ++this.#attempts,
      partition,
      base: request.base,
      mode: request.mode,
      lockless,
      checksum: request.stored?.checksum ?? null,
      saved: ZERO_TID,
    };
    transaction.objects.set(request.oid, held);
    transaction.open.add(request.oid);
    if (lockless) this.#hold(transaction, held);
    else this.#claim(transaction, held);
  }

  /** The newest revision of a locked object was read. */
  checked(ttid: Ttid, oid: Oid, attempt: number, latest: Tid): void {
    const transaction = this.#all.get(ttid);
    const held = transaction?.objects.get(oid);
    if (!transaction || held?.attempt !== attempt || held.state !== "checking") return;
    const { request } = held;
    invariant(request !== undefined, "a check has its request");
    if (latest === held.base || request.restore) return this.#hold(transaction, held);
    held.state = "refused";
    held.request = undefined;
    transaction.open.delete(oid);
    held.saved = latest;
    const message = `Cannot store object ${oid}: it changed at tid ${hexOf(latest)}, after ${
      hexOf(held.base)
    }`;
    const conflicts = [{ oid, base: held.base, saved: latest }];
    this.#site.refuse(request.asker, { code: "conflict", message, detail: { conflicts } });
    this.#tryVote(transaction);
  }

  /** Takes a vote: waits for the stores before it, then promises. */
  vote(asker: Asker, body: Body<"vote">, now: Now): void {
    const transaction = this.#all.get(body.ttid) ?? this.#begin(body.ttid, 0, asker.conn, now);
    if (transaction.vote) {
      const message = `Cannot vote: a later vote of transaction ${body.ttid} replaces it`;
      this.#site.refuse(transaction.vote.asker, { code: "aborted", message });
    }
    transaction.vote = { asker, body };
    this.#tryVote(transaction);
  }

  /** The primary has given the transaction its tid: it commits. Gives false when its vote isn't here. */
  lock(ttid: Ttid, tid: Tid): boolean {
    const transaction = this.#all.get(ttid);
    if (!transaction?.voted || (transaction.tid !== undefined && transaction.tid !== tid)) return false;
    if (transaction.tid === undefined) {
      transaction.tid = tid;
      this.#ages.delete(ttid);
      for (const [oid, held] of transaction.objects) {
        if (held.mode === "store") this.#readLocks.set(oid, transaction);
      }
      // the commit point is on the home cells; elsewhere it may be lost, and verification locks again
      this.#site.save({ op: "lock", ttid, tid }, { durable: transaction.noted });
    }
    return true;
  }

  /** The transaction is published: readers may see it. */
  unlock(ttid: Ttid, tid: Tid): void {
    const transaction = this.#all.get(ttid);
    if (!transaction) return;
    invariant(transaction.tid === tid, "a transaction is unlocked under the tid that locked it");
    this.#site.save({ op: "unlock", ttid, tid }, { durable: false });
    this.#end(transaction);
  }

  /** Forgets a transaction, unless it is locked. */
  abort(ttid: Ttid): void {
    const transaction = this.#all.get(ttid);
    if (transaction && transaction.tid === undefined) this.#drop(transaction);
  }

  /** A client's socket is gone: so are its unvoted writes. */
  disconnected(conn: Conn): void {
    for (const transaction of [...this.#all.values()]) {
      if (transaction.conn !== conn) continue;
      if (transaction.voted) transaction.conn = undefined;
      else this.#drop(transaction);
    }
  }

  /** A client's session is over: everything of it that isn't locked goes. */
  sessionEnded(session: ClientSession): void {
    for (const { ttid } of [...this.#all.values()]) if (sessionOf(ttid) === session) this.abort(ttid);
  }

  /** Operation begins: what verification didn't commit is void. */
  dropAll(): void {
    for (const transaction of [...this.#all.values()]) this.#drop(transaction);
  }

  /** Operation ends: unvoted writes go, votes and locks stay for verification. */
  dropUnvoted(): void {
    for (const transaction of [...this.#all.values()]) if (!transaction.voted) this.#drop(transaction);
  }

  /** Our cell of a partition was created anew, outdated or discarded: its unlocked writes are void. */
  forget(partition: Partition): void {
    for (const transaction of [...this.#all.values()]) {
      if (transaction.tid !== undefined) continue;
      const oids = [...transaction.objects].filter(([, held]) => held.partition === partition).map(([oid]) =>
        oid
      );
      if (oids.length === 0 && transaction.home !== partition) continue;
      if (transaction.home === partition && transaction.noted) this.#forgetNote(transaction);
      for (const oid of oids) {
        const held = transaction.objects.get(oid)!;
        if (held.request) this.#cancel(held.request, "its copy here was outdated", "notAssigned");
        transaction.objects.delete(oid);
        transaction.open.delete(oid);
        this.#site.save({ op: "unstore", ttid: transaction.ttid, oid }, { durable: false });
      }
      this.#ending.push({ transaction, oids });
      this.#tryVote(transaction);
    }
  }

  /** Locks of what has ended may go to the next: the save that ended it is done. */
  saved(now: Now): void {
    const ending = this.#ending;
    this.#ending = [];
    const ready: StoreRequest[] = [];
    for (const { transaction, oids } of ending) {
      for (const oid of oids) {
        if (this.#readLocks.get(oid) === transaction) {
          this.#readLocks.delete(oid);
          this.#freed = true;
        }
        if (!this.#holds(transaction.ttid, oid)) ready.push(...this.#locks.release(oid, transaction.ttid));
      }
      if (transaction.tid !== undefined) this.#freed = true;
    }
    for (const request of ready) this.#retry(request, now);
  }

  /** Whether a lock is that of a transaction that is here: it may have come again in the round in which it went. */
  #holds(ttid: Ttid, oid: Oid): boolean {
    const held = this.#all.get(ttid)?.objects.get(oid);
    return held !== undefined && !held.lockless && held.state !== "waiting";
  }

  /** Deadlines: waits that are over, and transactions that have been here for too long (given back, to be settled). */
  tick(nowMs: number): Ttid[] {
    for (const request of this.#waits.take(nowMs)) {
      const { oid, ttid, asker } = request;
      const holder = this.#locks.holder(oid);
      this.#locks.leave(oid, request);
      const message = `Cannot lock object ${oid}: transaction ${holder} holds it`;
      this.#site.refuse(asker, { code: "lockTimeout", message, detail: { oid, holder: holder ?? ttid } });
      const transaction = this.#all.get(ttid);
      if (!transaction) continue;
      transaction.objects.delete(oid);
      transaction.open.delete(oid);
      this.#tryVote(transaction);
    }
    const old = this.#ages.take(nowMs).filter((ttid) => this.#all.get(ttid)?.tid === undefined);
    for (const ttid of old) this.#ages.set(ttid, nowMs + TRANSACTION_TIMEOUT_MS);
    return old;
  }

  #restore(one: HeldTransaction): void {
    const { ttid, ageMs, home, noted } = one;
    const tid = one.tid ?? undefined;
    const objects = new Map<Oid, Held>();
    const transaction: Transaction = {
      ttid,
      ageMs,
      conn: undefined,
      objects,
      open: new Set(),
      home,
      noted,
      voted: true,
      tid,
      vote: undefined,
    };
    for (const { oid, partition, base, mode, lockless, checksum } of one.objects) {
      const kept = { partition, base, mode, lockless, checksum, saved: ZERO_TID };
      objects.set(oid, { state: "held", request: undefined, attempt: 0, ...kept });
      if (!lockless) this.#locks.take(oid, ttid);
      if (tid !== undefined && mode === "store") this.#readLocks.set(oid, transaction);
    }
    this.#all.set(ttid, transaction);
  }

  #open(request: StoreRequest, now: Now): Transaction {
    const transaction = this.#all.get(request.ttid)
      ?? this.#begin(request.ttid, request.ageMs, request.asker.conn, now);
    transaction.ageMs = request.ageMs;
    transaction.conn = request.asker.conn;
    return transaction;
  }

  #begin(ttid: Ttid, ageMs: number, conn: Conn, now: Now): Transaction {
    const transaction: Transaction = {
      ttid,
      ageMs,
      conn,
      objects: new Map(),
      open: new Set(),
      home: undefined,
      noted: false,
      voted: false,
      tid: undefined,
      vote: undefined,
    };
    this.#all.set(ttid, transaction);
    this.#ages.set(ttid, now.monoMs + TRANSACTION_TIMEOUT_MS);
    return transaction;
  }

  /** A store after the vote: what was promised is no longer all, so that the client must vote again. */
  #unvote(transaction: Transaction): void {
    transaction.voted = false;
    transaction.noted = false;
    this.#site.save({ op: "unvote", ttid: transaction.ttid }, { durable: false });
  }

  #claim(transaction: Transaction, held: Held): void {
    const { ttid } = transaction;
    const request = held.request!;
    const { oid } = request;
    if (!this.#locks.take(oid, ttid)) {
      held.state = "waiting";
      this.#locks.wait(oid, request);
      this.#waits.set(request, request.untilMs);
      return;
    }
    held.state = "checking";
    this.#site.emit({
      do: "read",
      query: { read: "latest", oid },
      context: { for: "lock", ttid, oid, attempt: held.attempt },
    });
  }

  /** A request whose object became free: everything about it is judged again. */
  #retry(request: StoreRequest, now: Now): void {
    this.#waits.delete(request);
    const held = this.#all.get(request.ttid)?.objects.get(request.oid);
    if (held?.request !== request) return;
    held.request = undefined;
    this.store(request, now);
  }

  #cancel(request: StoreRequest, why: string, code: "aborted" | "notAssigned" = "aborted"): void {
    this.#waits.delete(request);
    this.#locks.leave(request.oid, request);
    const message = `Cannot store object ${request.oid}: ${why}`;
    this.#site.refuse(request.asker, { code, message });
  }

  #hold(transaction: Transaction, held: Held): void {
    const { asker, oid, stored, link } = held.request!;
    const { partition, base, mode, lockless } = held;
    const { ttid } = transaction;
    held.state = "held";
    held.request = undefined;
    transaction.open.delete(oid);
    this.#site.save({ op: "store", ttid, oid, partition, base, mode, lockless, stored, link }, {
      durable: false,
    });
    this.#site.emit(answer(asker, mode === "store" ? "store" : "check", { lockless }));
    this.#tryVote(transaction);
  }

  #tryVote(transaction: Transaction): void {
    const { vote, objects, open, ttid } = transaction;
    if (!vote || open.size > 0) return;
    const all = [...objects.entries()];
    transaction.vote = undefined;
    const refused = all.filter(([, held]) => held.state === "refused");
    if (refused.length > 0) {
      const conflicts = refused.map(([oid, { base, saved }]) => ({ oid, base, saved }));
      const message = `Cannot vote: ${conflicts.length} objects of transaction ${ttid} are in conflict`;
      return this.#site.refuse(vote.asker, { code: "conflict", message, detail: { conflicts } });
    }
    const held: HeldObject[] = all.map(([oid, { base, mode, checksum }]) => ({ oid, base, mode, checksum }));
    const { count, digest, home, note } = vote.body;
    if (held.length !== count || !sameBytes(evidenceDigest(held, this.#site.digest), digest)) {
      const message =
        `Cannot vote: transaction ${ttid} has ${held.length} of ${count} objects here, or others`;
      return this.#site.refuse(vote.asker, {
        code: "lacks",
        message,
        detail: { held: held.map(({ oid }) => oid) },
      });
    }
    if (!transaction.voted) {
      transaction.voted = true;
      transaction.home = home;
      transaction.noted = note !== null;
      this.#site.save({ op: "vote", ttid, home, ageMs: transaction.ageMs, note }, { durable: true });
    }
    this.#site.emit(answer(vote.asker, "vote", { evidence: this.#evidence(transaction) }));
  }

  /** What this node holds of a transaction, cell by cell. A partition is locked only if all of it is. */
  #evidence(transaction: Transaction): Evidence {
    const locked = new Map<Partition, boolean>();
    for (const held of transaction.objects.values()) {
      locked.set(held.partition, (locked.get(held.partition) ?? true) && !held.lockless);
    }
    const { home, noted } = transaction;
    if (home !== undefined && noted && !locked.has(home)) locked.set(home, this.#site.reads(home));
    if (home !== undefined && !noted) locked.delete(home); // without its note, a lock here is no commit point
    const cells: CellVote[] = [];
    for (const [partition, all] of locked) {
      const cell = this.#site.cell(partition);
      if (cell) cells.push({ partition, since: cell.since, locked: all });
    }
    return { node: this.#site.index, session: this.#site.session, cells };
  }

  /** The home cell was outdated: the vote stays for the rest, without what stood here for home. */
  #forgetNote(transaction: Transaction): void {
    transaction.noted = false;
    const { ttid, ageMs, voted } = transaction;
    if (voted) {
      this.#site.save({ op: "vote", ttid, home: transaction.home!, ageMs, note: null }, { durable: false });
    }
  }

  #drop(transaction: Transaction): void {
    for (const held of transaction.objects.values()) {
      if (held.request) this.#cancel(held.request, "its transaction was aborted");
    }
    if (transaction.vote) {
      const message = `Cannot vote: transaction ${transaction.ttid} was aborted`;
      this.#site.refuse(transaction.vote.asker, { code: "aborted", message });
    }
    this.#site.save({ op: "abort", ttid: transaction.ttid }, { durable: false });
    this.#end(transaction);
  }

  #end(transaction: Transaction): void {
    this.#all.delete(transaction.ttid);
    this.#ages.delete(transaction.ttid);
    this.#ending.push({ transaction, oids: [...transaction.objects.keys()] });
  }
}

/** When a store stops waiting for its lock. */
export function lockDeadline(now: Now, withinMs: number): number {
  return now.monoMs + Math.min(withinMs, LOCK_WAIT_MS);
}

/** Whether two digests are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
