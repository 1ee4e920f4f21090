/** What all stores of nodes have in common. */

/** A store of one node, as its host sees it: rounds of writes, and reads between them. */
export interface Store<W, Q, A> {
  /**
   * Does all writes in order, or none. With `durable` they, and all before them, are on disk when it returns; else
   * they are visible now, and on disk by the next durable round or after `LAZY_FLUSH_MS` at most.
   *
   * @throws whatever went wrong: the node is then thrown away, nothing is tried again
   */
  apply(writes: readonly W[], options: { readonly durable: boolean }): void | Promise<void>;
  /** Answers from all that was applied. */
  read(query: Q): A | Promise<A>;
  /** Bytes that can still be written, if that is known. */
  freeBytes(): number | undefined;
  /** Flushes and ends. */
  close(): void | Promise<void>;
}
