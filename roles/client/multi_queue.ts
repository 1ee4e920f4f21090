/**
 * Which objects a cache keeps: the multi-queue of Zhou, Philbin and Li. An item that was used 2^n times stands in queue n + 1,
 * behind those that were used before it; one that isn't used for a while sinks a queue. Who needs room takes the head of the lowest queue,
 * so that what is read once, however much of it, doesn't drive out what is read often.
 */
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { LoadedRevision } from "./calls.ts";

/** Counters stop here: levels stay few, and a counter stays a small integer. */
const COUNTER_MAX = 2 ** 30 - 1;
/** Levels: of ghosts, then one a power of two. */
const LEVELS = 31;
const NOWHERE = -1;
const GHOSTS = 0;
const FIRST = 1;

/** A revision and its place. It is one object for as long as it is known, so that a use allocates nothing. */
export class Item implements LoadedRevision {
  readonly oid: Oid;
  readonly tid: Tid;
  next: Tid | null;
  data: Uint8Array | null;
  link: Tid | null;
  /** Uses; a newer revision of the same object takes them over. */
  counter = 0;
  level: number = NOWHERE;
  /** On the queue's clock: when it sinks. */
  expiry = 0;
  ahead: Item = this;
  behind: Item = this;

  constructor(oid: Oid, { tid, next, data, link }: LoadedRevision) {
    this.oid = oid;
    this.tid = tid;
    this.next = next;
    this.data = data;
    this.link = link;
  }

  /** No data: only what is known of its use is kept. */
  get isGhost(): boolean {
    return this.level === GHOSTS;
  }
}

/** The queues, as rings through their items. */
export class MultiQueue {
  /** Each ring begins and ends at an item that stands for the ring itself. */
  #rings: readonly Item[] = Array.from({ length: LEVELS }, ringOf);
  #life: number;
  /** Counts uses. */
  #clock = 0;
  /** No item that could sink expires before: until then nobody looks. */
  #quietUntil = 0;

  /** @param life how many uses of anything an item may stay in its queue without being used itself */
  constructor(life: number) {
    this.#life = life;
  }

  /** Counts a use of an item, which may be new: it goes to the tail of its level. At most one other one sinks. */
  use(item: Item): void {
    if (item.counter < COUNTER_MAX) item.counter += 1;
    this.#place(item, levelOf(item.counter));
    this.#clock += 1;
    if (this.#quietUntil < this.#clock) this.#sink();
  }

  /** Forgets the uses of an item: something newer has taken them over. */
  forget(item: Item): void {
    item.counter = 0;
    this.#place(item, FIRST);
  }

  /** Puts an item behind the ghosts. */
  bury(item: Item): void {
    this.#place(item, GHOSTS);
  }

  /** Takes an item out. */
  remove(item: Item): void {
    unlink(item);
    item.level = NOWHERE;
  }

  /** Whose turn it is to go when room is needed. */
  lowest(): Item | undefined {
    for (let level = FIRST; level < LEVELS; level++) {
      const head = this.#head(level);
      if (head) return head;
    }
    return undefined;
  }

  /** The ghost that has been one for longest. */
  oldestGhost(): Item | undefined {
    return this.#head(GHOSTS);
  }

  #head(level: number): Item | undefined {
    const ring = this.#rings[level]!;
    return ring.behind === ring ? undefined : ring.behind;
  }

  #place(item: Item, level: number): void {
    unlink(item);
    const ring = this.#rings[level]!;
    const last = ring.ahead;
    item.ahead = last;
    item.behind = ring;
    last.behind = item;
    ring.ahead = item;
    item.level = level;
    item.expiry = this.#clock + this.#life;
  }

  /** The head of the lowest level that holds an expired one sinks a level. What is in the first one stays until room is needed. */
  #sink(): void {
    let quietUntil = this.#clock + this.#life;
    for (let level = FIRST + 1; level < LEVELS; level++) {
      const head = this.#head(level);
      if (head === undefined) continue;
      if (head.expiry < this.#clock) return this.#place(head, level - 1);
      quietUntil = Math.min(quietUntil, head.expiry);
    }
    this.#quietUntil = quietUntil;
  }
}

/** 1 + floor(log2(counter)); 1 for 0. */
function levelOf(counter: number): number {
  return counter === 0 ? FIRST : 32 - Math.clz32(counter);
}

function ringOf(): Item {
  return new Item(0n as Oid, { tid: ZERO_TID, next: null, data: null, link: null });
}

function unlink(item: Item): void {
  item.ahead.behind = item.behind;
  item.behind.ahead = item.ahead;
  item.ahead = item;
  item.behind = item;
}
