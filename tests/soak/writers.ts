/** Clients that commit without a pause, for measuring: when commits go on, and whether all that was acknowledged is there. */
import { monoMs, pause } from "../../cli/wait.ts";
import { DatabaseError, OutcomePendingError } from "../../mod.ts";
import type { Client, Oid, Tid } from "../../mod.ts";

/** Before a commit that failed is tried again. */
const AGAIN_MS = 10;
/** Bytes of each object. */
const OBJECT_BYTES = 300;

/** Writers that share a client and have an object each, in partitions of their own where there are enough. */
export class Writers {
  readonly acknowledged: Tid[] = [];
  readonly #client: Client;
  readonly #oids: readonly Oid[];
  #working: Promise<unknown> | undefined;
  #stops = false;
  #waiting: {
    readonly sinceMs: number;
    readonly left: Set<number>;
    readonly wake: (atMs: number) => void;
  }[] = [];

  private constructor(client: Client, oids: readonly Oid[]) {
    this.#client = client;
    this.#oids = oids;
  }

  static async on(client: Client, count: number): Promise<Writers> {
    const writers = new Writers(client, await client.newOids(count));
    writers.run();
    return writers;
  }

  run(): void {
    this.#stops = false;
    this.#working = Promise.all(this.#oids.map((oid, at) => this.#work(oid, at)));
  }

  /** Begins no more; what is under way ends with its client. */
  abandon(): void {
    this.#stops = true;
  }

  /** Begins no more, and waits for what is under way. */
  async rest(): Promise<void> {
    this.#stops = true;
    await this.#working;
  }

  /**
   * The time from `sinceMs` until each writer has had a commit acknowledged that it began after that. In ms.
   *
   * @throws Error when that takes longer than `withinMs`
   */
  async resumed(sinceMs: number, withinMs: number): Promise<number> {
    const all = new Promise<number>((wake) => {
      this.#waiting.push({ sinceMs, left: new Set(this.#oids.keys()), wake });
    });
    const atMs = await Promise.race([all, pause(withinMs)]);
    if (atMs === undefined) throw new Error(`Cannot go on: no commits for ${withinMs} ms`);
    return atMs - sinceMs;
  }

  /** Acknowledged transactions that the history doesn't have. */
  async lost(): Promise<Tid[]> {
    const missing = new Set(this.acknowledged);
    for await (const { tid } of this.#client.transactions()) missing.delete(tid);
    return [...missing];
  }

  async #work(oid: Oid, at: number): Promise<void> {
    while (!this.#stops) {
      const beganMs = monoMs();
      try {
        const { tid } = await this.#client.transact(async (tx) => {
          await tx.load(oid);
          tx.store(oid, new Uint8Array(OBJECT_BYTES));
        });
        this.acknowledged.push(tid);
        this.#done(at, beganMs);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        if (error instanceof OutcomePendingError) await this.#settle(error);
        await pause(AGAIN_MS);
      }
    }
  }

  /** Waits for the outcome of a commit. */
  async #settle(pending: OutcomePendingError): Promise<void> {
    while (!this.#stops) {
      try {
        const tid = await this.#client.outcome(pending);
        if (tid !== undefined) this.acknowledged.push(tid);
        return;
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        await pause(AGAIN_MS);
      }
    }
  }

  #done(at: number, beganMs: number): void {
    for (const { sinceMs, left } of this.#waiting) if (beganMs >= sinceMs) left.delete(at);
    const nowMs = monoMs();
    for (const { left, wake } of this.#waiting) if (left.size === 0) wake(nowMs);
    this.#waiting = this.#waiting.filter(({ left }) => left.size > 0);
  }
}
