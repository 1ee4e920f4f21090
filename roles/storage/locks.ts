/**
 * Write locks of a storage: one holder an object, and a queue in age order behind it. A lock is taken first, then the
 * newest revision is read; holders release at `saved`, so that nobody reads beside an unsaved unlock. Writes that a cell
 * took without a lock while it was out of date share the object once it is readable, until each of them has ended (A7).
 */
import type { Oid, Ttid } from "../../core/ids.ts";
import type { Now } from "../../core/machine.ts";

/** Who wants a lock: the older (smaller age, then ttid) comes first. */
export interface Claim {
  readonly ttid: Ttid;
  readonly ageMs: number;
}

/** Whether `a` goes before `b`. */
export function isOlder(a: Claim, b: Claim): boolean {
  return a.ageMs < b.ageMs || (a.ageMs === b.ageMs && a.ttid < b.ttid);
}

/** When a store stops waiting for its lock: when its asker does, or after `waitMs`. */
export function lockDeadline(now: Now, withinMs: number, waitMs: number): number {
  return now.monoMs + Math.min(withinMs, waitMs);
}

interface Lock<W extends Claim> {
  holder: Ttid | undefined;
  /** Transactions that wrote the object while its cell was out of date: each of them keeps newcomers waiting. */
  readonly sharers: Set<Ttid>;
  waiting: W[];
}

/** Locks by object. `W` is a parked request. */
export class Locks<W extends Claim> {
  #locks = new Map<Oid, Lock<W>>();

  /** Objects that are locked. */
  get size(): number {
    return this.#locks.size;
  }

  /** Who keeps others from an object: one that locked it, or some that wrote it without a lock. */
  holders(oid: Oid): readonly Ttid[] {
    const lock = this.#locks.get(oid);
    if (!lock) return [];
    return lock.holder === undefined ? [...lock.sharers] : [lock.holder, ...lock.sharers];
  }

  /** Takes the lock if nobody else keeps it. */
  take(oid: Oid, ttid: Ttid): boolean {
    const lock = this.#locks.get(oid);
    if (!lock) {
      this.#locks.set(oid, { holder: ttid, sharers: new Set(), waiting: [] });
      return true;
    }
    if (this.holders(oid).some((other) => other !== ttid)) return false;
    lock.holder = ttid;
    lock.sharers.delete(ttid);
    return true;
  }

  /** Notes a transaction that has written the object without a lock. */
  share(oid: Oid, ttid: Ttid): void {
    const lock = this.#locks.get(oid) ?? { holder: undefined, sharers: new Set(), waiting: [] };
    lock.sharers.add(ttid);
    this.#locks.set(oid, lock);
  }

  /** A transaction wants the lock of what it has written without one: its share ends. Gives who may go on, as `release`. */
  unshare(oid: Oid, ttid: Ttid): readonly W[] {
    return this.#locks.get(oid)?.sharers.has(ttid) ? this.release(oid, ttid) : [];
  }

  /** Parks a request behind the holders. */
  wait(oid: Oid, request: W): void {
    const { waiting } = this.#locks.get(oid)!;
    const at = waiting.findIndex((other) => isOlder(request, other));
    waiting.splice(at < 0 ? waiting.length : at, 0, request);
  }

  /** Who has waited for an object in vain and comes first. */
  oldest(oid: Oid): W | undefined {
    return this.#locks.get(oid)?.waiting[0];
  }

  /** Takes a parked request out of the queue. */
  leave(oid: Oid, request: W): void {
    const waiting = this.#locks.get(oid)?.waiting;
    const at = waiting?.indexOf(request) ?? -1;
    if (at >= 0) waiting!.splice(at, 1);
  }

  /**
   * Ends what a transaction holds. Gives the requests that waited, oldest first, to be judged again from scratch, once
   * nobody holds the object.
   */
  release(oid: Oid, ttid: Ttid): readonly W[] {
    const lock = this.#locks.get(oid);
    if (!lock || !this.holders(oid).includes(ttid)) return [];
    if (lock.holder === ttid) lock.holder = undefined;
    lock.sharers.delete(ttid);
    if (lock.holder !== undefined || lock.sharers.size > 0) return [];
    this.#locks.delete(oid);
    return lock.waiting;
  }
}
