/** Numbers for values: equal ones share a number, so that states are rows of small integers. */

/** Values by number. `keyOf` must tell apart what differs. */
export class Interner<T> {
  readonly #keyOf: (value: T) => string;
  readonly #ids = new Map<string, number>();
  readonly #values: T[] = [];

  constructor(keyOf: (value: T) => string = JSON.stringify) {
    this.#keyOf = keyOf;
  }

  get size(): number {
    return this.#values.length;
  }

  /** The number of a value; it must not change any more. */
  id(value: T): number {
    const key = this.#keyOf(value);
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#values.push(value) - 1;
      this.#ids.set(key, id);
    }
    return id;
  }

  get(id: number): T {
    return this.#values[id]!;
  }
}
