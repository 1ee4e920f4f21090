/** What stands behind a memory store: rows of any kind. */

/** What a memory store keeps, and how it answers. */
export interface Tables<W, Q, A, S> {
  apply(write: W): void;
  read(query: Q): A;
  /** Does what opening does to the rows, and says what stands there. */
  open(): S;
  /** The same rows, changed apart from these. */
  copy(): Tables<W, Q, A, S>;
}
