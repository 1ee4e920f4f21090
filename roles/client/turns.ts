/**
 * Transactions of one client that lost an object to others run again one after another, in the order in which they lost: hundreds
 * that want the same object would else make conflicts of each other until most give up. Who runs for the first time waits for
 * nobody. What a turn is waited for is bounded, since a function may hold one and wait for another transaction itself.
 */
import type { Oid } from "../../core/ids.ts";

/** The turn of one transaction, on all objects that it has lost. */
export interface Turn {
  /** Resolves when it has come. */
  readonly come: Promise<void>;
  /** Whether it is for these objects. */
  covers(oids: readonly Oid[]): boolean;
  /** It is over: the next one's comes. */
  end(): void;
}

/** Turns by object. */
export class Turns {
  /** The end of the last turn that was asked for, of each object. */
  #last = new Map<Oid, Promise<void>>();

  /** Asks for a turn behind all that were asked for before; on all of its objects at once, so that no two wait for each other. */
  take(oids: readonly Oid[]): Turn {
    const before = oids.flatMap((oid) => this.#last.get(oid) ?? []);
    const come = Promise.all(before).then(() => undefined);
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => end = resolve);
    // who gives up waiting lets nobody past those before it
    const over = Promise.all([come, ended]).then(() => {
      for (const oid of oids) if (this.#last.get(oid) === over) this.#last.delete(oid);
    });
    for (const oid of oids) this.#last.set(oid, over);
    return { come, covers: (others) => others.every((oid) => oids.includes(oid)), end };
  }

  /** Objects for which somebody has a turn, or waits for one. */
  get objects(): number {
    return this.#last.size;
  }
}
