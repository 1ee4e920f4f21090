/** Deadlines held in state: a binary heap by time, with one deadline a key. */

interface Entry<K> {
  readonly key: K;
  readonly atMs: number;
}

/**
 * Who must be looked at when.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { Deadlines } from "./deadlines.ts";
 * const deadlines = new Deadlines<string>();
 * deadlines.set("a", 20);
 * deadlines.set("b", 10);
 * deadlines.delete("b");
 * assert.equal(deadlines.next(), 20);
 * assert.deepEqual(deadlines.take(25), ["a"]);
 * ```
 */
export class Deadlines<K> {
  #heap: Entry<K>[] = [];
  #atMs = new Map<K, number>(); // the truth; heap entries that differ are stale

  /** Sets or moves the deadline of `key`. */
  set(key: K, atMs: number): void {
    if (this.#atMs.get(key) === atMs) return;
    this.#atMs.set(key, atMs);
    this.#push({ key, atMs });
  }

  /** The deadline of `key`. */
  get(key: K): number | undefined {
    return this.#atMs.get(key);
  }

  /** Forgets a deadline. */
  delete(key: K): void {
    this.#atMs.delete(key);
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#atMs.size) this.#rebuild();
  }

  /** The earliest deadline. */
  next(): number | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || this.#atMs.get(first.key) === first.atMs) return first?.atMs;
      this.#pop();
    }
  }

  /** Removes and gives the keys whose deadlines have come, earliest first. */
  take(nowMs: number): K[] {
    const due: K[] = [];
    for (let at = this.next(); at !== undefined && at <= nowMs; at = this.next()) {
      const { key } = this.#pop();
      this.#atMs.delete(key);
      due.push(key);
    }
    return due;
  }

  #rebuild(): void {
    const entries = [...this.#atMs].map(([key, atMs]) => ({ key, atMs }));
    this.#heap = entries.sort((a, b) => a.atMs - b.atMs);
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.atMs <= entry.atMs) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry<K> {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && heap[below + 1]!.atMs < heap[below]!.atMs) below += 1;
      if (heap[below]!.atMs >= last.atMs) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}
