/** Clients that commit without a pause, and remember everything that the cluster has promised them. */
import assert from "node:assert/strict";
import { DatabaseError } from "../../mod.ts";
import type { Client, Oid, Tid, Transaction } from "../../mod.ts";
import { within } from "./kit.ts";
import type { CliCluster } from "./kit.ts";

/** One transaction as its client knows it. */
interface Attempt {
  /** Stands in the transaction's note and in all its objects. */
  readonly mark: string;
  readonly oids: readonly Oid[];
  /** What its client was told; undefined: nothing yet. */
  outcome: { readonly tid: Tid } | { readonly error: DatabaseError } | undefined;
}

/** Workers that share no more than objects and a database. */
const PAIR_WORKERS = 3;
const LONE_WORKERS = 3;

/**
 * Pair workers raise the same two objects together, and conflict; lone workers change one object each. `run` lets them
 * work, `rest` waits until everything that was begun has an outcome.
 */
export class Load {
  readonly #clients: readonly Client[];
  readonly #pair: readonly Oid[];
  readonly #lone: readonly Oid[];
  readonly #attempts: Attempt[] = [];
  readonly #readFailures: DatabaseError[] = [];
  #working: Promise<unknown> | undefined;
  #stop = false;
  #acknowledged = 0;
  #waiting: { readonly count: number; readonly wake: () => void }[] = [];

  private constructor(clients: readonly Client[], oids: readonly Oid[]) {
    this.#clients = clients;
    this.#pair = oids.slice(0, 2);
    this.#lone = oids.slice(2);
  }

  static async on(cluster: CliCluster): Promise<Load> {
    const clients = [await cluster.connect({ name: "load-1" }), await cluster.connect({ name: "load-2" })];
    return new Load(clients, await clients[0]!.newOids(2 + LONE_WORKERS));
  }

  /** Transactions that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Commits that have begun and have no outcome. */
  get inFlight(): number {
    return this.#attempts.filter(({ outcome }) => outcome === undefined).length;
  }

  /** What clients were told instead of a tid, conflicts aside. */
  get failures(): readonly DatabaseError[] {
    return this.#attempts.flatMap(({ outcome }) =>
      outcome !== undefined && "error" in outcome && outcome.error.code !== "conflict" ? [outcome.error] : []
    );
  }

  /** What clients were told instead of what they wanted to read. */
  get readFailures(): readonly DatabaseError[] {
    return this.#readFailures;
  }

  run(): void {
    assert.equal(this.#working, undefined);
    this.#stop = false;
    const workers = [
      ...Array.from({ length: PAIR_WORKERS }, (_, at) => this.#work(at, this.#pair)),
      ...this.#lone.map((oid, at) => this.#work(PAIR_WORKERS + at, [oid])),
    ];
    this.#working = Promise.all(workers);
  }

  /** Waits until `count` more transactions are acknowledged. */
  acknowledge(count: number): Promise<void> {
    const more = new Promise<void>((wake) => this.#waiting.push({ count: this.#acknowledged + count, wake }));
    return within(`${count} more commits`, Promise.race([more, this.#failed()]));
  }

  async rest(): Promise<void> {
    this.#stop = true;
    await within("the outcome of all commits", this.#working!);
    this.#working = undefined;
  }

  /**
   * Compares what is there with what was promised: every acknowledged transaction under its tid, nothing of those that
   * failed, no half of any.
   */
  async check(client: Client): Promise<void> {
    const there = new Map<string, Tid>();
    const attempts = new Map(this.#attempts.map((attempt) => [attempt.mark, attempt]));
    for await (const { tid, user, records } of client.records()) {
      const mark = new TextDecoder().decode(user);
      there.set(mark, tid);
      const attempt = attempts.get(mark);
      assert.ok(attempt, `transaction ${tid} is one of ours`);
      assert.deepEqual(records.map(({ oid }) => oid), attempt.oids, `${mark} is whole`);
      for (const { data } of records) assert.equal(new TextDecoder().decode(data!), mark);
    }
    for (const { mark, outcome } of this.#attempts) {
      if (outcome === undefined) assert.fail(`${mark} has an outcome`);
      if ("tid" in outcome) assert.equal(there.get(mark), outcome.tid, `${mark} was acknowledged`);
      else if (outcome.error.code !== "outcomePending") {
        assert.equal(there.get(mark), undefined, `${mark} failed: ${outcome.error.message}`);
      }
    }
    const [a, b] = await (await client.snapshot()).loadMany(this.#pair);
    assert.deepEqual([a?.tid, a?.data], [b?.tid, b?.data], "both objects of the pair");
  }

  async #work(worker: number, oids: readonly Oid[]): Promise<void> {
    const client = this.#clients[worker % this.#clients.length]!;
    while (!this.#stop) {
      const attempt: Attempt = { mark: `${worker}/${this.#attempts.length}`, oids, outcome: undefined };
      try {
        const tx = await client.begin();
        const found = await tx.loadMany(oids);
        if (oids.length > 1) assert.equal(found[0]?.tid, found[1]?.tid, "a pair is never read apart");
        this.#attempts.push(attempt);
        await this.#commit(tx, attempt);
      } catch (error) {
        if (!(error instanceof DatabaseError)) throw error;
        if (this.#attempts.includes(attempt)) attempt.outcome = { error };
        else this.#readFailures.push(error);
      }
    }
  }

  async #commit(tx: Transaction, attempt: Attempt): Promise<void> {
    tx.note({ user: attempt.mark });
    for (const oid of attempt.oids) tx.store(oid, new TextEncoder().encode(attempt.mark));
    attempt.outcome = { tid: await tx.commit() };
    this.#acknowledged += 1;
    for (const { count, wake } of this.#waiting) if (count <= this.#acknowledged) wake();
    this.#waiting = this.#waiting.filter(({ count }) => count > this.#acknowledged);
  }

  /** Workers end only when they are told to, or when something is wrong. */
  async #failed(): Promise<void> {
    await this.#working;
    throw new Error("the workers have ended");
  }
}
