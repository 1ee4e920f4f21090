/**
 * Revisions that a client has read, so that it needn't read them again. Several of one object, each with its end: a snapshot
 * of yesterday and one of now both find theirs. What is kept is decided by `multi_queue.ts`.
 *
 * The cache is right as long as it hears of every publication: each one is told to `invalidate()` before a snapshot
 * shows it, and `clearCurrent()` is called when some were missed. What is read meanwhile belongs to `PendingLoads`.
 */
import { MalformedError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import {
  CACHE_ENTRIES_MIN,
  CACHE_ENTRY_BYTES,
  CACHE_GHOSTS_MAX,
  CACHE_LIFE_ACCESSES,
} from "../../core/limits.ts";
import type { LoadedRevision } from "./calls.ts";
import { Item, MultiQueue } from "./multi_queue.ts";

/** How much is kept, and for how long. */
export interface CacheOptions {
  /** Memory, in bytes; 0 keeps nothing. */
  readonly bytesMax: number;
  /** Uses of the cache after which an object that isn't used itself counts as less used. */
  readonly lifeAccesses?: number;
}

/** What a cache has done and holds. */
export interface CacheStats {
  readonly hits: number;
  readonly misses: number;
  /** Revisions that were dropped to make room. */
  readonly evictions: number;
  readonly entries: number;
  /** Data, and a fixed amount an entry. */
  readonly bytes: number;
  /** Revisions without data of which the use is remembered. */
  readonly ghosts: number;
}

/** The end of a ghost when publications were missed: later ones don't tell it, only the storage does. No revision ends there. */
const UNKNOWN_END = ZERO_TID;

/**
 * A cache of revisions.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid, toTid } from "../../core/ids.ts";
 * import { Cache } from "./cache.ts";
 * const cache = new Cache({ bytesMax: 1_000_000 });
 * const oid = toOid(7n);
 * cache.insert(oid, { tid: toTid(3), next: null, data: new Uint8Array([1]), link: null });
 * cache.invalidate(oid, toTid(8));
 * assert.equal(cache.lookup(oid, toTid(7))?.next, 8n);
 * assert.equal(cache.lookup(oid, toTid(8)), undefined);
 * ```
 */
export class Cache {
  /** Of each object, by tid. Only the last one may be open; ghosts stand among them. */
  #revisions = new Map<Oid, Item[]>();
  #queue: MultiQueue;
  #life: number;
  #bytesMax: number;
  #ghostsMax: number;
  #bytes = 0;
  #entries = 0;
  #ghosts = 0;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor({ bytesMax, lifeAccesses = CACHE_LIFE_ACCESSES }: CacheOptions) {
    this.#bytesMax = bytesMax;
    this.#ghostsMax = Math.min(CACHE_GHOSTS_MAX, Math.floor(bytesMax / CACHE_ENTRY_BYTES));
    this.#life = lifeAccesses;
    this.#queue = new MultiQueue(lifeAccesses);
  }

  /** It may take so much memory from now on; what doesn't fit any more goes. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#ghostsMax = Math.min(CACHE_GHOSTS_MAX, Math.floor(bytesMax / CACHE_ENTRY_BYTES));
    while (this.#bytes > bytesMax) this.#evict(this.#queue.lowest()!);
  }

  /** Numbers for whoever watches. */
  get stats(): CacheStats {
    return {
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      entries: this.#entries,
      bytes: this.#bytes,
      ghosts: this.#ghosts,
    };
  }

  /**
   * The newest revision with tid <= at, if it is here.
   *
   * @param at a tid up to which everything published was told to `invalidate()`: beyond, an open revision may have ended
   * @returns the cache's own, to be read before the next call: programs get a copy of its data
   */
  lookup(oid: Oid, at: Tid): LoadedRevision | undefined {
    const item = newestUpTo(this.#revisions.get(oid), at);
    if (item === undefined || item.isGhost || (item.next !== null && item.next <= at)) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    this.#queue.use(item);
    return item;
  }

  /** The revision of exactly this tid, if it is here. As with `lookup()`, its data is the cache's own. */
  lookupExact(oid: Oid, tid: Tid): LoadedRevision | undefined {
    const item = newestUpTo(this.#revisions.get(oid), tid);
    if (item === undefined || item.isGhost || item.tid !== tid) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    this.#queue.use(item);
    return item;
  }

  /**
   * Keeps a revision, if there is room for its like. Twice the same is fine: an end that either of them knows stays.
   *
   * @param revision its tid isn't beyond what was told to `invalidate()`, its end is what `PendingLoads` made of it,
   * and its data is the cache's from now on
   */
  insert(oid: Oid, revision: LoadedRevision): void {
    const bytes = bytesOf(revision.data);
    if (bytes * CACHE_ENTRIES_MIN > this.#bytesMax) return;
    const all = this.#revisions.get(oid) ?? [];
    const at = indexUpTo(all, revision.tid);
    const found = all[at]?.tid === revision.tid ? all[at] : undefined;
    const previous = found ? all[at - 1] : all[at];
    const following = all[at + 1];
    const next = found ? endOf(found, revision) : revision.next;
    if (previous && (previous.next === null || previous.next > revision.tid)) contradict(oid, revision.tid);
    if (following && (next === null || next > following.tid)) contradict(oid, revision.tid);
    if (found && !found.isGhost) {
      found.next = next;
      return;
    }
    const item = found ?? new Item(oid, revision);
    if (found) this.#exhume(found);
    else if (previous && !following) this.#succeed(item, previous);
    while (this.#bytes + bytes > this.#bytesMax) this.#evict(this.#queue.lowest()!);
    if (!found) this.#register(item);
    item.next = next;
    item.link = revision.link;
    item.data = compact(revision.data);
    this.#queue.use(item);
    this.#bytes += bytes;
    this.#entries += 1;
  }

  /** The object has a new revision: what was current ends there. */
  invalidate(oid: Oid, tid: Tid): void {
    const newest = this.#revisions.get(oid)?.at(-1);
    if (newest !== undefined && newest.next === null && newest.tid < tid) newest.next = tid;
  }

  /** Publications were missed: forgets what was current, but not how often it was used. What has an end stays. */
  clearCurrent(): void {
    for (const all of this.#revisions.values()) {
      const newest = all.at(-1)!;
      if (newest.next !== null) continue;
      newest.next = UNKNOWN_END;
      if (!newest.isGhost) this.#release(newest);
    }
  }

  /** History isn't what it was: forgets everything. */
  clear(): void {
    this.#revisions.clear();
    this.#queue = new MultiQueue(this.#life);
    this.#bytes = 0;
    this.#entries = 0;
    this.#ghosts = 0;
  }

  /** A revision follows another one of its object, and takes over its uses. */
  #succeed(item: Item, previous: Item): void {
    item.counter = previous.counter;
    if (previous.isGhost) {
      this.#exhume(previous);
      this.#unregister(previous);
    } else this.#queue.forget(previous);
  }

  #evict(item: Item): void {
    this.#evictions += 1;
    this.#release(item);
  }

  /** Drops the data of an item; what was used, and not by way of a newer revision, becomes a ghost. */
  #release(item: Item): void {
    this.#bytes -= bytesOf(item.data);
    this.#entries -= 1;
    item.data = null;
    this.#queue.remove(item);
    if (item.counter === 0) return this.#unregister(item);
    this.#queue.bury(item);
    this.#ghosts += 1;
    if (this.#ghosts <= this.#ghostsMax) return;
    const oldest = this.#queue.oldestGhost()!;
    this.#exhume(oldest);
    this.#unregister(oldest);
  }

  #exhume(ghost: Item): void {
    this.#queue.remove(ghost);
    this.#ghosts -= 1;
  }

  #register(item: Item): void {
    const all = this.#revisions.get(item.oid);
    if (all) all.splice(indexUpTo(all, item.tid) + 1, 0, item);
    else this.#revisions.set(item.oid, [item]);
  }

  #unregister(item: Item): void {
    const all = this.#revisions.get(item.oid)!;
    if (all.length === 1) this.#revisions.delete(item.oid);
    else all.splice(indexUpTo(all, item.tid), 1);
  }
}

/** What is kept came from peers: one of them is wrong, and the one that spoke last is left. */
function contradict(oid: Oid, tid: Tid): never {
  throw new MalformedError(
    `Cannot keep revision ${hexOf(tid)} of object ${oid}: it contradicts what was read before`,
  );
}

function bytesOf(data: Uint8Array | null): number {
  return CACHE_ENTRY_BYTES + (data === null ? 0 : data.length);
}

/** A view of something bigger would keep all of it in memory. */
function compact(data: Uint8Array | null): Uint8Array | null {
  return data === null || data.length === data.buffer.byteLength ? data : new Uint8Array(data);
}

/** The end of a revision of which two things are known. */
function endOf(found: Item, { next }: LoadedRevision): Tid | null {
  if (found.next === null || found.next === UNKNOWN_END) return next;
  if (next !== null && next !== found.next) contradict(found.oid, found.tid);
  return found.next;
}

/** Where the newest one with tid <= at is; -1: nowhere. */
function indexUpTo(all: readonly Item[], at: Tid): number {
  let above = all.length;
  if (above === 0 || all[above - 1]!.tid <= at) return above - 1;
  let below = -1;
  above -= 1;
  while (above - below > 1) {
    const middle = (above + below) >>> 1;
    if (all[middle]!.tid <= at) below = middle;
    else above = middle;
  }
  return below;
}

function newestUpTo(all: readonly Item[] | undefined, at: Tid): Item | undefined {
  if (all === undefined) return undefined;
  const index = indexUpTo(all, at);
  return index < 0 ? undefined : all[index];
}
