/**
 * What a storage does for a commit: `part store check vote relock lock unlock abort`, and who holds which lock.
 *
 * A transaction is open, then voted (durable: from here only the primary, the end of its session or its own relock
 * undoes the vote), then locked (its tid is known), then final. Its locks go at the `saved` of its end.
 *
 * Deadlocks can't last. Who waits for an older one waits; where an older one waits for a younger, the younger's client is
 * told `deadlock`, voted or not, and answers with `relock`: the lock goes to the older, the younger waits for it again, and
 * its vote here is void. Only a client whose `finish` is out doesn't obey: then the primary decides, and waits for nobody.
 */
import { sameBytes } from "../../core/bytes.ts";
import { Deadlines } from "../../core/deadlines.ts";
import { invariant } from "../../core/errors.ts";
import { sessionOf, ZERO_TID } from "../../core/ids.ts";
import type { ClientSession, Conn, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { answer, tell } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import type { Answer, Body } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { HeldTransaction } from "../../core/ports.ts";
import { activityOf, Conflicts } from "./activity.ts";
import { isOlder, lockDeadline, Locks } from "./locks.ts";
import type { Asker, Site } from "./site.ts";
import {
  conflictError,
  evidenceOf,
  hasLockless,
  isLockedBelow,
  newTransaction,
  reportOf,
  restoredTransaction,
  takeHasWaited,
  voteError,
  writtenIn,
} from "./transaction.ts";
import type { Claim, Held, PartRequest, StoreRequest, Transaction } from "./transaction.ts";

/** The transactions of a storage that aren't final. */
export class Transactions {
  #site: Site;
  #all = new Map<Ttid, Transaction>();
  #locks = new Locks<Claim>();
  #readLocks = new Map<Oid, Transaction>();
  #ending: { readonly transaction: Transaction; readonly oids: readonly Oid[] }[] = []; // released at `saved`
  #waits = new Deadlines<Claim>();
  #ages = new Deadlines<Ttid>();
  #conflicts = new Conflicts();
  #attempts = 0;
  #freed = false;

  constructor(site: Site, held: readonly HeldTransaction[]) {
    this.#site = site;
    for (const one of held) this.#restore(one);
  }

  get size(): number {
    return this.#all.size;
  }

  /** Whether a locked transaction with tid <= upTo concerns a partition. */
  lockedBelow(partition: Partition, upTo: Tid): boolean {
    return isLockedBelow(this.#all.values(), partition, upTo);
  }

  /** The tid of the transaction that read-locks an object: its new revision may already be visible elsewhere. */
  readLock(oid: Oid): Tid | undefined {
    return this.#readLocks.get(oid)?.tid;
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

  /** What is under way, as operators see it. */
  activity(): Answer<"askActivity"> {
    return activityOf(this.#all.values(), (oid) => this.#locks.holders(oid), this.#conflicts);
  }

  /** Votes and locks, as the primary asks for them at the fence. */
  report(): Pick<Answer<"fence">, "votes" | "locks"> {
    return reportOf(this.#all.values());
  }

  /** Takes a part of a value: no lock, and no promise. Whoever sends parts doesn't hang. */
  part(request: PartRequest, now: Now): void {
    const transaction = this.#open(request, now);
    if (this.#isLocked(transaction, request.asker)) return;
    const { asker, ttid, oid, seq, stored } = request;
    const { parts } = transaction;
    if (seq === 0) {
      parts.set(oid, []);
      const claim = transaction.objects.get(oid)?.claim;
      // what it brings would take these parts along, or drop them
      if (claim?.content) this.#remove(transaction, [oid], "another value of it is on its way");
    }
    const checksums = parts.get(oid);
    if (checksums?.length !== seq) {
      const message = `Cannot take part ${seq} of object ${oid}: ${checksums?.length ?? 0} are here`;
      return this.#site.refuse(asker, { code: "lacks", message, detail: { held: [] } });
    }
    checksums.push(stored.checksum);
    if (transaction.voted) this.#unvote(transaction);
    this.#ages.set(ttid, now.monoMs + this.#site.transactionTimeoutMs);
    this.#site.save({ op: "part", ttid, oid, seq, stored }, { durable: false });
    this.#site.emit(answer(asker, "part", {}));
  }

  /** Whether a transaction's parts of a value are these, in this order. */
  hasParts(ttid: Ttid, oid: Oid, checksums: readonly Uint8Array[]): boolean {
    const parts = this.#all.get(ttid)?.parts.get(oid) ?? [];
    return parts.length === checksums.length && parts.every((part, seq) => sameBytes(part, checksums[seq]!));
  }

  /** Takes one object of a transaction. */
  store(request: StoreRequest, now: Now): void {
    const transaction = this.#open(request, now);
    if (this.#isLocked(transaction, request.asker)) return;
    if (transaction.voted) this.#unvote(transaction);
    transaction.parts.delete(request.oid); // it takes them along, or comes in their place
    const before = transaction.objects.get(request.oid);
    if (before?.claim) this.#cancel(before.claim, "a later store of the same object replaces it");
    this.#enter(transaction, request);
  }

  /**
   * Gives the lock of an object to whoever is older, and waits for it again: the client was told of a `deadlock`. What was
   * stored stays; the vote here is void, and the client votes again.
   */
  relock(ttid: Ttid, oid: Oid, now: Now): void {
    const transaction = this.#all.get(ttid);
    const held = transaction?.objects.get(oid);
    if (!transaction || !held || transaction.tid !== undefined) return;
    if (!this.#locks.holders(oid).includes(ttid)) return;
    if (transaction.voted) this.#unvote(transaction);
    transaction.asked.delete(oid);
    const { base, mode, checksum, claim } = held;
    const kept = {
      asker: undefined,
      content: undefined,
      restore: false,
      untilMs: lockDeadline(now, Infinity, this.#site.settings.number("storage.lockWaitMs")),
    };
    const again = claim ?? { ttid, ageMs: transaction.ageMs, oid, base, mode, checksum, ...kept };
    held.state = "waiting";
    held.claim = again;
    transaction.open.add(oid);
    const freed = [...this.#locks.release(oid, ttid), again];
    freed.sort((a, b) => (isOlder(a, b) ? -1 : 1));
    for (const next of freed) this.#retry(next);
  }

  /** The newest revision of a locked object was read. */
  checked(ttid: Ttid, oid: Oid, attempt: number, latest: Tid): void {
    const transaction = this.#all.get(ttid);
    const held = transaction?.objects.get(oid);
    if (!transaction || held?.attempt !== attempt || held.state !== "checking") return;
    const { claim } = held;
    invariant(claim !== undefined, "a check has its claim");
    if (latest === held.base || claim.restore) return this.#hold(transaction, held);
    held.state = "refused";
    held.claim = undefined;
    transaction.open.delete(oid);
    held.saved = latest;
    this.#conflicts.add(oid);
    if (claim.asker) this.#site.refuse(claim.asker, conflictError(oid, held));
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

  /** The transaction is published: readers may see it. Gives the partitions in which it is final now. */
  unlock(ttid: Ttid, tid: Tid): Iterable<Partition> {
    const transaction = this.#all.get(ttid);
    if (!transaction) return [];
    invariant(transaction.tid === tid, "a transaction is unlocked under the tid that locked it");
    this.#site.save({ op: "unlock", ttid, tid }, { durable: false });
    this.#end(transaction);
    return writtenIn(transaction);
  }

  /** Forgets a transaction, unless it is locked. */
  abort(ttid: Ttid): void {
    const transaction = this.#all.get(ttid);
    if (transaction && transaction.tid === undefined) this.#drop(transaction);
  }

  /** A client's socket is gone: so are its unvoted writes. Gives what it has voted for: that may be over, and came late. */
  disconnected(conn: Conn): Ttid[] {
    const voted: Ttid[] = [];
    for (const transaction of [...this.#all.values()]) {
      if (transaction.conn !== conn) continue;
      if (!transaction.voted) this.#drop(transaction);
      else if (transaction.tid === undefined) voted.push(transaction.ttid);
      transaction.conn = undefined;
    }
    return voted;
  }

  /** A client's session is over: everything of it that isn't locked goes. */
  sessionEnded(session: ClientSession): void {
    for (const { ttid } of [...this.#all.values()]) if (sessionOf(ttid) === session) this.abort(ttid);
  }

  /**
   * Drops what is void: when operation begins all that verification didn't commit, when it ends what isn't voted, with a
   * truncation what is locked behind it (a vote stays: its transaction may have been locked before).
   */
  drop(isVoid: (transaction: Pick<Transaction, "voted" | "tid">) => boolean): void {
    for (const transaction of [...this.#all.values()]) if (isVoid(transaction)) this.#drop(transaction);
  }

  /** Our cell of a partition was created anew, outdated or discarded: its unlocked writes are void. */
  forget(partition: Partition): void {
    for (const transaction of [...this.#all.values()]) {
      if (transaction.tid !== undefined) continue;
      const all = new Set([...transaction.objects.keys(), ...transaction.parts.keys()]);
      const oids = [...all].filter((oid) => this.#site.table!.partitionOf(oid) === partition);
      if (oids.length === 0 && transaction.home !== partition) continue;
      if (transaction.home === partition && transaction.noted) this.#forgetNote(transaction);
      for (const oid of oids) transaction.parts.delete(oid);
      this.#remove(transaction, oids, "its copy here was outdated", "notAssigned");
    }
  }

  /** Our cell of a partition is readable now: what it took without a lock keeps newcomers waiting until it has ended. */
  opened(partition: Partition): void {
    for (const { ttid, objects } of this.#all.values()) {
      for (const [oid, held] of objects) {
        if (held.partition === partition && held.lockless) this.#locks.share(oid, ttid);
      }
    }
  }

  /** Whether a partition has writes that were taken without a lock. */
  hasLockless(partition: Partition): boolean {
    return hasLockless(this.#all.values(), partition);
  }

  /** Locks of what has ended may go to the next: the save that ended it is done. */
  saved(): void {
    const ending = this.#ending;
    this.#ending = [];
    const ready: Claim[] = [];
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
    for (const claim of ready) this.#retry(claim);
  }

  /** Whether a lock is that of a transaction that is here: it may have come again in the round in which it went. */
  #holds(ttid: Ttid, oid: Oid): boolean {
    const held = this.#all.get(ttid)?.objects.get(oid);
    return held !== undefined && !held.lockless && held.state !== "waiting";
  }

  /** Deadlines: waits that are over, and transactions that have been here for too long (given back, to be settled). */
  tick(nowMs: number): Ttid[] {
    for (const claim of this.#waits.take(nowMs)) this.#waitedTooLong(claim);
    const old = this.#ages.take(nowMs).filter((ttid) => this.#all.get(ttid)?.tid === undefined);
    for (const ttid of old) this.#ages.set(ttid, nowMs + this.#site.transactionTimeoutMs);
    return old.filter((ttid) => !takeHasWaited(this.#all.get(ttid)));
  }

  #waitedTooLong(claim: Claim): void {
    const { oid, ttid, asker } = claim;
    const [holder = ttid] = this.#locks.holders(oid);
    this.#locks.leave(oid, claim);
    const transaction = this.#all.get(ttid);
    const message = `Cannot lock object ${oid}: transaction ${holder} holds it`;
    const error = { code: "lockTimeout", message, detail: { oid, holder } } as const;
    if (asker) this.#site.refuse(asker, error);
    else if (transaction?.vote) {
      this.#site.refuse(transaction.vote.asker, error);
      transaction.vote = undefined;
    }
    if (!transaction) return;
    transaction.objects.delete(oid);
    transaction.open.delete(oid);
    if (claim.content === undefined) this.#site.save({ op: "unstore", ttid, oid }, { durable: false });
    this.#tryVote(transaction);
  }

  #restore(one: HeldTransaction): void {
    const transaction = restoredTransaction(one);
    for (const [oid, { lockless, mode }] of transaction.objects) {
      if (!lockless) this.#locks.take(oid, one.ttid);
      if (one.tid !== null && mode === "store") this.#readLocks.set(oid, transaction);
    }
    this.#all.set(one.ttid, transaction);
  }

  #isLocked({ tid, ttid }: Transaction, asker: Asker): boolean {
    if (tid === undefined) return false;
    this.#site.refuse(asker, { code: "denied", message: `Cannot store: transaction ${ttid} commits` });
    return true;
  }

  #open({ ttid, ageMs, asker }: Pick<StoreRequest, "ttid" | "ageMs" | "asker">, now: Now): Transaction {
    const transaction = this.#all.get(ttid) ?? this.#begin(ttid, ageMs, asker.conn, now);
    transaction.ageMs = ageMs;
    if (transaction.conn === asker.conn) return transaction;
    transaction.conn = asker.conn; // it was lost meanwhile, perhaps with what it was told
    transaction.asked.clear();
    for (const oid of transaction.objects.keys()) this.#askRelock(oid);
    return transaction;
  }

  #begin(ttid: Ttid, ageMs: number, conn: Conn, now: Now): Transaction {
    const transaction = newTransaction(ttid, ageMs, conn);
    this.#all.set(ttid, transaction);
    this.#ages.set(ttid, now.monoMs + this.#site.transactionTimeoutMs);
    return transaction;
  }

  /** A store after the vote: what was promised is no longer all, so that the client must vote again. */
  #unvote(transaction: Transaction): void {
    transaction.voted = false;
    transaction.noted = false;
    this.#site.save({ op: "unvote", ttid: transaction.ttid }, { durable: false });
  }

  /** An object comes in, or comes again: everything about it is judged from the beginning. */
  #enter(transaction: Transaction, claim: Claim): void {
    const { oid, base, mode, checksum } = claim;
    const partition = this.#site.table!.partitionOf(oid);
    const lockless = !isReadable(this.#site.cell(partition));
    const attempt = ++this.#attempts;
    const common = { claim, attempt, partition, base, mode, lockless, checksum, saved: ZERO_TID };
    const held: Held = { state: "waiting", ...common };
    transaction.objects.set(oid, held);
    transaction.open.add(oid);
    if (lockless) return this.#hold(transaction, held);
    const { ttid } = transaction;
    const freed = this.#locks.unshare(oid, ttid);
    for (const older of freed.filter((other) => isOlder(other, claim))) this.#retry(older);
    this.#lock(transaction, held, claim);
    for (const younger of freed.filter((other) => !isOlder(other, claim))) this.#retry(younger);
  }

  #lock(transaction: Transaction, held: Held, claim: Claim): void {
    const { ttid, oid } = claim;
    if (!this.#locks.take(oid, ttid)) {
      transaction.hasWaited = true;
      this.#locks.wait(oid, claim);
      this.#waits.set(claim, claim.untilMs);
      return this.#askRelock(oid);
    }
    held.state = "checking";
    const context = { for: "lock", ttid, oid, attempt: held.attempt } as const;
    this.#site.emit({ do: "read", query: { read: "latest", oid }, context });
  }

  /** An older transaction waits for a younger one: the younger's client is told, once. */
  #askRelock(oid: Oid): void {
    const oldest = this.#locks.oldest(oid);
    if (!oldest) return;
    for (const ttid of this.#locks.holders(oid)) {
      const holder = this.#all.get(ttid);
      if (holder?.conn === undefined || holder.tid !== undefined) continue;
      if (!isOlder(oldest, holder) || holder.asked.has(oid)) continue;
      holder.asked.add(oid);
      this.#site.emit(tell(holder.conn, "deadlock", { ttid, oid }));
    }
  }

  /** A claim whose object became free. */
  #retry(claim: Claim): void {
    this.#waits.delete(claim);
    const transaction = this.#all.get(claim.ttid);
    if (!transaction || transaction.objects.get(claim.oid)?.claim !== claim) return;
    this.#enter(transaction, claim);
  }

  /** Objects of a transaction are void; their locks go at `saved`. */
  #remove(
    transaction: Transaction,
    oids: readonly Oid[],
    why: string,
    code: "aborted" | "notAssigned" = "aborted",
  ): void {
    for (const oid of oids) {
      const claim = transaction.objects.get(oid)?.claim;
      if (claim) this.#cancel(claim, why, code);
      transaction.objects.delete(oid);
      transaction.open.delete(oid);
      this.#site.save({ op: "unstore", ttid: transaction.ttid, oid }, { durable: false });
    }
    this.#ending.push({ transaction, oids });
    this.#tryVote(transaction);
  }

  #cancel(claim: Claim, why: string, code: "aborted" | "notAssigned" = "aborted"): void {
    this.#waits.delete(claim);
    this.#locks.leave(claim.oid, claim);
    if (claim.asker) {
      this.#site.refuse(claim.asker, { code, message: `Cannot store object ${claim.oid}: ${why}` });
    }
  }

  #hold(transaction: Transaction, held: Held): void {
    const { asker, oid, content } = held.claim!;
    const { partition, base, mode, lockless } = held;
    const { ttid } = transaction;
    held.state = "held";
    held.claim = undefined;
    transaction.open.delete(oid);
    if (content) {
      const write = { op: "store", ttid, oid, partition, base, mode, lockless, ...content } as const;
      this.#site.save(write, { durable: false });
    }
    if (asker) this.#site.emit(answer(asker, mode, { lockless }));
    this.#tryVote(transaction);
  }

  #tryVote(transaction: Transaction): void {
    const { vote, open, ttid } = transaction;
    if (!vote || open.size > 0) return;
    transaction.vote = undefined;
    const error = voteError(transaction, vote.body, this.#site.digest);
    if (error) return this.#site.refuse(vote.asker, error);
    const { home, note } = vote.body;
    // also a vote that has lost its note, because the home cell was outdated, and is given one again
    if (!transaction.voted || transaction.noted !== (note !== null)) {
      transaction.voted = true;
      transaction.home = home;
      transaction.noted = note !== null;
      this.#site.save({ op: "vote", ttid, home, ageMs: transaction.ageMs, note }, { durable: true });
    }
    this.#site.emit(answer(vote.asker, "vote", { evidence: evidenceOf(transaction, this.#site) }));
  }

  /** The home cell was outdated: the vote stays for the rest, without what stood here for home. */
  #forgetNote(transaction: Transaction): void {
    transaction.noted = false;
    const { ttid, ageMs, voted, home } = transaction;
    if (voted) this.#site.save({ op: "vote", ttid, home: home!, ageMs, note: null }, { durable: false });
  }

  #drop(transaction: Transaction): void {
    for (const held of transaction.objects.values()) {
      if (held.claim) this.#cancel(held.claim, "its transaction was aborted");
    }
    if (transaction.vote) {
      const message = `Cannot vote: transaction ${transaction.ttid} was aborted`;
      this.#site.refuse(transaction.vote.asker, { code: "aborted", message });
    }
    // a lock is void on a copy that isn't readable: it must be gone for good before that one can be (A8)
    this.#site.save({ op: "abort", ttid: transaction.ttid }, { durable: transaction.tid !== undefined });
    this.#end(transaction);
  }

  #end(transaction: Transaction): void {
    this.#all.delete(transaction.ttid);
    this.#ages.delete(transaction.ttid);
    this.#ending.push({ transaction, oids: [...transaction.objects.keys()] });
  }
}
