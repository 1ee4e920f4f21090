/**
 * Write locks of a storage: one holder an object, and a queue in age order behind it. A lock is taken first, then the
 * newest revision is read; holders release at `saved`, so that nobody reads beside an unsaved unlock.
 */
import type { Oid, Ttid } from "../../core/ids.ts";

/** Who wants a lock: the older (smaller age, then ttid) comes first. */
export interface Claim {
  readonly ttid: Ttid;
  readonly ageMs: number;
}

/** Whether `a` goes before `b`. */
export function isOlder(a: Claim, b: Claim): boolean {
  return a.ageMs < b.ageMs || (a.ageMs === b.ageMs && a.ttid < b.ttid);
}

interface Lock<W extends Claim> {
  holder: Ttid;
  waiting: W[];
}

/** Locks by object. `W` is a parked request. */
export class Locks<W extends Claim> {
  #locks = new Map<Oid, Lock<W>>();

  /** Objects that are locked. */
  get size(): number {
    return this.#locks.size;
  }

  /** Who holds an object. */
  holder(oid: Oid): Ttid | undefined {
    return this.#locks.get(oid)?.holder;
  }

  /** Takes the lock if it is free or already the claimant's. */
  take(oid: Oid, ttid: Ttid): boolean {
    const lock = this.#locks.get(oid);
    if (lock) return lock.holder === ttid;
    this.#locks.set(oid, { holder: ttid, waiting: [] });
    return true;
  }

  /** Parks a request behind the holder. */
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

  /** Ends the holder's lock; gives the requests that waited, oldest first, to be judged again from scratch. */
  release(oid: Oid, ttid: Ttid): readonly W[] {
    const lock = this.#locks.get(oid);
    if (lock?.holder !== ttid) return [];
    this.#locks.delete(oid);
    return lock.waiting;
  }
}
