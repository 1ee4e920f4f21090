/** A store and an agreement of masters that answer when the test lets them. */
import type { Now } from "../../core/machine.ts";
import type { MetadataWrite, Store } from "../../core/ports.ts";
import type { Consensus, MasterCircle } from "../../roles/master/consensus.ts";
import type { Entry } from "../../roles/master/entries.ts";
import type { Metadata } from "../../roles/master/metadata.ts";
import type { SoloConsensus } from "../solo_consensus.ts";

/** A store whose answers the test can hold back. */
export class HandStore<W, Q, A> implements Store<W, Q, A> {
  /** Rounds wait: they aren't done, and nothing that follows from them may be heard of. */
  holdsSaves = false;
  /** Reads wait; or they are done at once, and their answers wait. */
  holdsReads = false;
  holdsAnswers = false;
  /** The next rounds fail with it. */
  failure: Error | undefined;
  /** What was done, in order: `save vote, flushed`, `read latest`. */
  readonly log: string[] = [];
  /** What waits, oldest first: a test may take one out and let it go on later. */
  readonly waiting: (() => void)[] = [];
  readonly #inner: Store<W, Q, A>;

  constructor(inner: Store<W, Q, A>) {
    this.#inner = inner;
  }

  apply(writes: readonly W[], options: { readonly durable: boolean }): void | Promise<void> {
    const act = (): void => {
      if (this.failure) throw this.failure;
      void this.#inner.apply(writes, options);
      const ops = writes.map((write) => (write as { readonly op: string }).op).join(" ");
      this.log.push(`save ${ops}${options.durable ? ", flushed" : ""}`);
    };
    if (!this.holdsSaves) return act();
    return new Promise((resolve, reject) => {
      this.waiting.push(() => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  read(query: Q): A | Promise<A> {
    const act = (): A => {
      this.log.push(`read ${(query as { readonly read: string }).read}`);
      return this.#inner.read(query) as A;
    };
    if (this.holdsAnswers) {
      const answer = act();
      return new Promise((resolve) => this.waiting.push(() => resolve(answer)));
    }
    if (!this.holdsReads) return act();
    return new Promise((resolve) => this.waiting.push(() => resolve(act())));
  }

  freeBytes(): number | undefined {
    return this.#inner.freeBytes();
  }

  close(): void | Promise<void> {
    return this.#inner.close();
  }

  /** What waits is done, in order, and nothing waits any more. */
  free(): void {
    this.holdsSaves = this.holdsReads = this.holdsAnswers = false;
    for (const act of this.waiting.splice(0)) act();
  }
}

/**
 * A log whose majority is somewhere else. While it `lags`, what is proposed is neither kept nor held; when it lags no more, the
 * machine's next `saved` brings both.
 */
export class HandConsensus implements Consensus {
  lags = false;
  readonly #solo: SoloConsensus;
  #late: MetadataWrite[] = [];

  constructor(solo: SoloConsensus) {
    this.#solo = solo;
  }

  get metadata(): Metadata {
    return this.#solo.metadata;
  }

  get circle(): MasterCircle {
    return this.#solo.circle;
  }

  confirm(done: () => void): void {
    this.#solo.confirm(done);
  }

  medianMs(now: Now): number {
    return this.#solo.medianMs(now);
  }

  propose(entry: Entry): MetadataWrite[] {
    const writes = this.#solo.propose(entry);
    if (!this.lags && this.#late.length === 0) return writes;
    this.#late.push(...writes);
    return [];
  }

  saved(): Entry[] {
    return this.#late.length > 0 ? [] : this.#solo.saved();
  }

  compact(): MetadataWrite[] {
    if (this.lags) return [];
    const writes = this.#late;
    this.#late = [];
    return writes;
  }
}
