/** The rules that every database keeps about transactions that aren't final, beside where it keeps their rows. */
import { invariant } from "../core/errors.ts";
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { partitionOf } from "../core/ids.ts";

/** Parts that wait for the store of their manifest: `P` is what is kept of them. */
interface Waiting<P> {
  readonly kept: P;
  count: number;
}

/** One transaction that isn't final: `T` is what is kept for an object, `V` what came with the vote. */
export interface Held<T, V, P> {
  readonly objects: Map<Oid, T>;
  /** Parts that no store has taken along. */
  readonly parts: Map<Oid, Waiting<P>>;
  /** Null: stored only, nothing is promised. */
  vote: V | null;
  /** Null: not locked. */
  tid: Tid | null;
}

/**
 * Which transactions a database holds, and how they may move: part, store, vote, lock, unlock; abort at any point. A
 * move that can't be is a mistake of the machine that asked for it, and throws.
 */
export class HeldTransactions<T, V, P> {
  readonly #held = new Map<Ttid, Held<T, V, P>>();
  readonly #partitions: number;

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  /** All of them, by ttid. */
  entries(): [Ttid, Held<T, V, P>][] {
    return [...this.#held].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  /**
   * Takes the next part of a value, and gives where it is kept. The first part begins a value: `begin` is asked for a new
   * place, and what waited before must have been taken away.
   */
  part(at: { readonly ttid: Ttid; readonly oid: Oid; readonly seq: number }, begin: () => P): P {
    const held = this.#provide(at.ttid);
    invariant(held.tid === null, "a locked transaction takes no more parts");
    let waiting = held.parts.get(at.oid);
    invariant(at.seq === (waiting?.count ?? 0), "a part follows the one before it");
    if (waiting === undefined) held.parts.set(at.oid, waiting = { kept: begin(), count: 0 });
    waiting.count++;
    return waiting.kept;
  }

  /** Hands out the parts that wait for the store of an object. */
  takeParts(ttid: Ttid, oid: Oid): P | undefined {
    const held = this.#held.get(ttid);
    const waiting = held?.parts.get(oid);
    if (held === undefined || waiting === undefined) return undefined;
    held.parts.delete(oid);
    this.#dropIfEmpty(ttid, held);
    return waiting.kept;
  }

  /** Keeps something for an object, in place of what was kept before. */
  store(at: { readonly ttid: Ttid; readonly oid: Oid; readonly partition: Partition }, kept: T): void {
    invariant(at.partition === partitionOf(at.oid, this.#partitions), "an object is stored in its partition");
    const held = this.#provide(at.ttid);
    invariant(held.tid === null, "a locked transaction takes no more objects");
    held.objects.set(at.oid, kept);
  }

  /** Gives what was kept for the object, undefined if nothing was. */
  unstore(ttid: Ttid, oid: Oid): T | undefined {
    const held = this.#held.get(ttid);
    const kept = held?.objects.get(oid);
    if (held === undefined || kept === undefined) return undefined;
    invariant(held.tid === null, "a locked transaction loses no object");
    held.objects.delete(oid);
    this.#dropIfEmpty(ttid, held);
    return kept;
  }

  /** A later vote replaces an earlier one. */
  vote(ttid: Ttid, vote: V): void {
    const held = this.#provide(ttid);
    invariant(held.tid === null, "a locked transaction isn't voted again");
    held.vote = vote;
  }

  /** False: there was no vote. */
  unvote(ttid: Ttid): boolean {
    const held = this.#held.get(ttid);
    if (held === undefined || held.vote === null) return false;
    invariant(held.tid === null, "the vote of a locked transaction counts for ever");
    held.vote = null;
    this.#dropIfEmpty(ttid, held);
    return true;
  }

  lock(ttid: Ttid, tid: Tid): void {
    const held = this.#held.get(ttid);
    invariant(held !== undefined && held.vote !== null, "only a voted transaction is locked");
    invariant(held.tid === null || held.tid === tid, "a transaction is locked under one tid");
    held.tid = tid;
  }

  /** Hands out a transaction that becomes final; undefined: it isn't held. */
  unlock(ttid: Ttid, tid: Tid): (Held<T, V, P> & { readonly vote: V }) | undefined {
    const held = this.#held.get(ttid);
    if (held === undefined) return undefined;
    const { objects, parts, vote } = held;
    invariant(
      vote !== null && held.tid === tid,
      "a transaction is unlocked under the tid it was locked with",
    );
    this.#held.delete(ttid);
    return { objects, parts, vote, tid };
  }

  /** Hands out a transaction that is given up; undefined: it isn't held. */
  abort(ttid: Ttid): Held<T, V, P> | undefined {
    const held = this.#held.get(ttid);
    this.#held.delete(ttid);
    return held;
  }

  #provide(ttid: Ttid): Held<T, V, P> {
    const known = this.#held.get(ttid);
    if (known !== undefined) return known;
    const held: Held<T, V, P> = { objects: new Map(), parts: new Map(), vote: null, tid: null };
    this.#held.set(ttid, held);
    return held;
  }

  #dropIfEmpty(ttid: Ttid, held: Held<T, V, P>): void {
    const size = held.objects.size + held.parts.size;
    if (size === 0 && held.vote === null) this.#held.delete(ttid);
  }
}
