/**
 * The disk of one node: a store in memory whose process may die at each call, which loses rounds that weren't flushed,
 * may fail, and may answer late.
 */
import type { MemoryDisk, MemoryStore } from "../../adapters/memory.ts";
import { LAZY_FLUSH_MS, RESERVE_BYTES } from "../../core/limits.ts";
import type { Store } from "../../core/ports.ts";
import type { SimRandom } from "./random.ts";
import { TemporaryRows } from "./temporary_rows.ts";
import type { Border } from "./transport.ts";
import type { Owner, World } from "./world.ts";

/** The disk of a machine broke while it was written, or read. */
export class DiskFailure extends Error {
  override name = "DiskFailure";
}

/** What it says when it was read. */
export const READ_FAILED = "the disk couldn't be read";

/** How long a late store takes for an answer. */
const LATE_MS_MAX = 8;

/**
 * A promise that the queue of the world settles: its listener runs at that moment, and not in a microtask, so that a
 * run with late answers is one history too.
 */
class LateAnswer<T> extends Promise<T> {
  #listener: ((value: T) => unknown) | undefined;
  #failed: ((error: unknown) => unknown) | undefined;

  constructor(
    start?: (resolve: (value: T | PromiseLike<T>) => void, reject: (error: unknown) => void) => void,
  ) {
    super(start ?? (() => {}));
  }

  override then<A = T, B = never>(
    listener?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (listener) this.#listener = listener;
    if (failed) this.#failed = failed;
    return this as unknown as Promise<A | B>;
  }

  settle(value: T): void {
    try {
      this.#listener?.(value);
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    this.#failed?.(error);
  }
}

/** What a disk does beside its duty. Each may be changed at any time. */
export interface DiskMood {
  /** The next write fails; what it wrote may be there afterwards, or not. */
  failNext: boolean;
  /** So does the next read. */
  failRead: boolean;
  /** Answers come later, in any order. */
  late: boolean;
  /** They take up to this time; 0: what is usual. */
  slowMs: number;
}

/** What a host saves at once. */
export interface Round<W> {
  readonly writes: readonly W[];
  readonly durable: boolean;
}

/** What survives the processes of one node. */
export class SimDisk<W, Q, A, S> {
  readonly mood: DiskMood = { failNext: false, failRead: false, late: false, slowMs: 0 };
  /** Rounds that crashes have lost. */
  lostRounds = 0;
  /** What a mutant makes of a round before it is written. */
  bend: (round: Round<W>) => Round<W> = (round) => round;
  /** What it makes of an answer. */
  bendAnswer: (answer: A, query: Q) => A = (answer) => answer;
  /** What it makes of what stands there when it is opened. */
  bendState: (state: S) => S = (state) => state;
  /** Whether a write that failed is taken for one that was done. */
  swallowsFailures = false;
  /** Whether a crash may leave an empty disk in the place of this one. */
  losesAll = false;
  /** After this time a round is on the disk though nothing flushed it. */
  lazyMs = LAZY_FLUSH_MS;
  readonly #make: () => MemoryDisk<W, Q, A, S>;
  #disk: MemoryDisk<W, Q, A, S>;
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #rows = new TemporaryRows();
  #appliedMs: number[] = []; // of the rounds that aren't flushed
  #store: MemoryStore<W, Q, A, S> | undefined;
  #pending: (() => void) | undefined; // a late write that hasn't happened yet

  /** `make`: gives an empty one. */
  constructor(make: () => MemoryDisk<W, Q, A, S>, world: World, random: SimRandom) {
    this.#make = make;
    this.#disk = make();
    this.#world = world;
    this.#random = random;
  }

  /** The store of the process that runs, for checkers. */
  get store(): MemoryStore<W, Q, A, S> | undefined {
    return this.#store;
  }

  /** Transactions of which the process that runs has saved something, and not yet their end. */
  get temporary(): number {
    return this.#rows.size;
  }

  /** What is free is too little, or enough again. */
  fill(isFull: boolean): void {
    this.#disk.freeBytes = isFull ? RESERVE_BYTES - 1 : 2 * RESERVE_BYTES;
  }

  /** Opens the store for a process. */
  open(owner: Owner, border: Border): Store<W, Q, A> & { readonly state: S } {
    const store = this.#disk.open();
    this.#store = store;
    this.#appliedMs = [];
    this.#rows.open(store.state);
    return {
      state: this.bendState(store.state),
      apply: (writes, { durable }) => {
        const bare = () => this.#apply(store, writes, durable);
        const write = () => border("apply", bare);
        if (!this.#isLate) return write();
        this.#pending = bare;
        return this.#later(write, owner);
      },
      read: (query) => {
        const read = () => border("read", () => this.#read(store, query));
        if (!this.#isLate) return read();
        if (this.#random.chance(0.5)) return this.#later(read, owner);
        const early = read(); // what comes in the meantime isn't in it
        return this.#later(() => early, owner);
      },
      freeBytes: () => store.freeBytes(),
      close: () => {
        if (owner.gone) return;
        store.close();
        this.#store = undefined;
      },
    };
  }

  /** The process has died. Gives how many rounds are lost. */
  crash(): number {
    if (this.#store === undefined) return 0;
    this.#finishPending();
    const now = this.#world.nowMs;
    const rounds = this.#disk.unflushed;
    const old = this.#appliedMs.filter((atMs) => atMs <= now - this.lazyMs).length;
    const kept = this.#random.chance(0.3) ? rounds : this.#random.int(Math.min(old, rounds), rounds);
    this.#disk.crash(kept);
    this.#store = undefined;
    this.#pending = undefined;
    this.#appliedMs = [];
    this.lostRounds += rounds - kept;
    if (this.losesAll && this.#random.chance(0.3)) this.#disk = this.#make();
    return rounds - kept;
  }

  get #isLate(): boolean {
    return this.mood.late || this.mood.slowMs > 0;
  }

  #read(store: MemoryStore<W, Q, A, S>, query: Q): A {
    if (this.mood.failRead) {
      this.mood.failRead = false;
      throw new DiskFailure(READ_FAILED);
    }
    return this.bendAnswer(store.read(query), query);
  }

  #apply(store: MemoryStore<W, Q, A, S>, writes: readonly W[], durable: boolean): void {
    if (this.mood.failNext) {
      this.#pending = undefined;
      this.mood.failNext = false;
      if (this.swallowsFailures) return;
      if (this.#random.chance(0.5)) store.apply(writes, { durable: false });
      throw new DiskFailure("the disk failed");
    }
    this.#pending = undefined;
    const round = this.bend({ writes, durable });
    store.apply(round.writes, { durable: round.durable });
    this.#rows.apply(round.writes);
    if (round.durable) this.#appliedMs = [];
    else this.#appliedMs.push(this.#world.nowMs);
  }

  /** A late write may have happened when the process dies before it hears of it. */
  #finishPending(): void {
    const write = this.#pending;
    if (write === undefined || this.mood.failNext || this.#random.chance(0.5)) return;
    write();
  }

  /** Does something after a while. */
  #later<T>(run: () => T, owner: Owner): Promise<T> {
    const answer = new LateAnswer<T>();
    this.#world.after(this.#random.between(0, Math.max(LATE_MS_MAX, this.mood.slowMs)), () => {
      let value: T;
      try {
        value = run();
      } catch (error) {
        return answer.fail(error);
      }
      answer.settle(value);
    }, owner);
    return answer;
  }
}
