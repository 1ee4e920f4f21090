/** Rows of small numbers, each once, in the order in which they came: a hash table over one array. */

const ROWS_MIN = 1 << 14;

/** States that were seen. */
export class States {
  readonly #width: number;
  #rows: Int32Array;
  #parents: Int32Array;
  #slots: Int32Array; // row + 1 by hash; 0 is free
  #size = 0;

  /** @param width numbers of a row */
  constructor(width: number) {
    this.#width = width;
    this.#rows = new Int32Array(ROWS_MIN * width);
    this.#parents = new Int32Array(ROWS_MIN);
    this.#slots = new Int32Array(4 * ROWS_MIN);
  }

  get size(): number {
    return this.#size;
  }

  /** Gives the place of a new row, -1 for one that is there. */
  add(row: readonly number[], parent: number): number {
    if (this.#size === this.#parents.length) this.#grow();
    const slot = this.#slotOf(row);
    if (this.#slots[slot] !== 0) return -1;
    const place = this.#size++;
    this.#rows.set(row, place * this.#width);
    this.#parents[place] = parent;
    this.#slots[slot] = place + 1;
    return place;
  }

  row(place: number): Int32Array {
    return this.#rows.subarray(place * this.#width, (place + 1) * this.#width);
  }

  /** From which row it was reached first; -1 for the first one. */
  parent(place: number): number {
    return this.#parents[place]!;
  }

  #slotOf(row: ArrayLike<number>): number {
    const mask = this.#slots.length - 1;
    let hash = 0x811c9dc5;
    for (let at = 0; at < this.#width; at++) hash = Math.imul(hash ^ row[at]!, 0x01000193) ^ (hash >>> 13);
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const place = this.#slots[slot]! - 1;
      if (place < 0 || this.#isSame(row, place)) return slot;
    }
  }

  #isSame(row: ArrayLike<number>, place: number): boolean {
    const from = place * this.#width;
    for (let at = 0; at < this.#width; at++) if (row[at] !== this.#rows[from + at]) return false;
    return true;
  }

  #grow(): void {
    const rows = new Int32Array(2 * this.#rows.length);
    const parents = new Int32Array(2 * this.#parents.length);
    rows.set(this.#rows);
    parents.set(this.#parents);
    this.#rows = rows;
    this.#parents = parents;
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let place = 0; place < this.#size; place++) this.#slots[this.#slotOf(this.row(place))] = place + 1;
  }
}
