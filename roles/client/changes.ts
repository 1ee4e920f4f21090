/**
 * The change feed: what is published, in order and once. It has two sources, live news and history, and one rule:
 * everything above `historyUpTo` is in the queue of news, and what isn't above it is read from history. Whatever loses
 * news (a new session, a queue that is full) empties the queue and raises `historyUpTo`, so nothing is left out; and no
 * tid at or below the last one is given again, so nothing comes twice.
 */
import { DatabaseError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import { CHANGES_QUEUED_MAX, CHANGES_QUEUED_OIDS_MAX, PAGE_TRANSACTIONS } from "../../core/limits.ts";
import type { Caller } from "./caller.ts";
import { idOf } from "./caller.ts";
import type { CallName, Calls } from "./calls.ts";

/** A transaction that was published, and the objects that it wrote: none, if it only checked some. */
export interface Change {
  readonly tid: Tid;
  readonly oids: readonly Oid[];
}

/** Where a change feed begins, and what ends it. */
export interface ChangesOptions {
  /** The last transaction that was seen: the one after it comes first. The newest one, unless told. */
  readonly since?: Tid;
  /** Ends the feed: `next()` rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What a feed needs of a client. */
export type Feeding = Pick<Caller, "call" | "listen">;

/** The changes of a client's cluster. Nothing happens before the first `next()`. */
export function changesOf(caller: Feeding, options: ChangesOptions): AsyncGenerator<Change, void, void> {
  if (options.since !== undefined) idOf(options.since);
  return new Feed(caller, options);
}

/** Why a feed ends whose consumer has left. */
const LEFT = new Error("The consumer has left");

/** A generator that can be left at any time: a plain one answers `return()` only when its `next()` has settled. */
class Feed implements AsyncGenerator<Change, void, void> {
  readonly #caller: Feeding;
  readonly #options: ChangesOptions;
  readonly #news = new News();
  /** Fires when there is nothing to wait for any more: its reason says why. */
  readonly #end = new AbortController();
  readonly #changes: AsyncGenerator<Change, void, void> = this.#run();

  constructor(caller: Feeding, options: ChangesOptions) {
    this.#caller = caller;
    this.#options = options;
  }

  next(): Promise<IteratorResult<Change, void>> {
    return this.#changes.next();
  }

  return(): Promise<IteratorResult<Change, void>> {
    this.#endBy(LEFT);
    return this.#changes.return();
  }

  throw(error: unknown): Promise<IteratorResult<Change, void>> {
    this.#endBy(LEFT);
    return this.#changes.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#run(): AsyncGenerator<Change, void, void> {
    const { signal } = this.#options;
    const abort = (): void => this.#endBy(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const unlisten = this.#caller.listen({
      published: (tid, oids) => this.#news.published(tid, oids),
      ended: (error) => this.#endBy(error),
    });
    try {
      this.#end.signal.throwIfAborted();
      for await (const change of this.#inOrder()) {
        yield change;
        this.#end.signal.throwIfAborted();
      }
    } catch (error) {
      if (error !== LEFT) throw error;
    } finally {
      unlisten();
      signal?.removeEventListener("abort", abort);
    }
  }

  async *#inOrder(): AsyncGenerator<Change, void, void> {
    const news = this.#news;
    let last = await this.#first();
    for (;;) {
      while (last < news.historyUpTo) {
        const range = { after: last, upTo: news.historyUpTo, count: PAGE_TRANSACTIONS };
        const page = await this.#ask("transactions", range);
        for (const { tid, oids } of page.transactions) yield { tid, oids };
        last = page.upTo;
      }
      const change = news.take();
      if (change === undefined) await news.come(this.#end.signal);
      else if (change.tid > last) {
        last = change.tid;
        yield change;
      }
    }
  }

  /** The last tid that isn't given. */
  async #first(): Promise<Tid> {
    const { lastTid } = await this.#ask("sync", {});
    const { since = lastTid } = this.#options;
    if (since > lastTid) {
      const newest = `the newest one is ${hexOf(lastTid)}`;
      throw new RangeError(`Cannot give changes since tid ${hexOf(since)}: ${newest}`);
    }
    this.#news.behind(lastTid);
    return since;
  }

  /** Time that is over for one call isn't for the feed: it waits as long as its consumer does. */
  async #ask<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]> {
    const { signal } = this.#end;
    for (;;) {
      try {
        return await this.#caller.call(name, request, { signal });
      } catch (error) {
        const isOver = signal.aborted || !(error instanceof DatabaseError) || error.code !== "timedOut";
        if (isOver) throw error;
      }
    }
  }

  #endBy(reason: unknown): void {
    this.#end.abort(reason);
    this.#news.wake();
  }
}

/** What is published while the feed looks elsewhere. */
class News {
  #queue: Change[] = [];
  #oids = 0; // in the queue
  #historyUpTo = ZERO_TID;
  #wake: () => void = () => {};

  /** Everything above is in the queue. */
  get historyUpTo(): Tid {
    return this.#historyUpTo;
  }

  /** What is published up to here isn't, or not only, in the queue. */
  behind(newest: Tid): void {
    if (newest > this.#historyUpTo) this.#historyUpTo = newest;
  }

  /** As `PublishListener`. */
  published(tid: Tid, oids: readonly Oid[] | null): void {
    const fits = oids !== null && this.#queue.length < CHANGES_QUEUED_MAX
      && this.#oids + oids.length <= CHANGES_QUEUED_OIDS_MAX;
    if (fits) {
      this.#queue.push({ tid, oids });
      this.#oids += oids.length;
    } else {
      this.#queue = [];
      this.#oids = 0;
      this.behind(tid);
    }
    this.wake();
  }

  take(): Change | undefined {
    const change = this.#queue.shift();
    this.#oids -= change?.oids.length ?? 0;
    return change;
  }

  /** Waits for news. */
  async come(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve) => this.#wake = resolve);
    signal.throwIfAborted();
  }

  wake(): void {
    this.#wake();
  }
}
