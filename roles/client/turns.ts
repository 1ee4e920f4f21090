/**
 * Transactions of one client that lost an object to others run again one after another, in the order in which they lost: hundreds
 * that want the same object would else make conflicts of each other until most give up. Who runs for the first time waits for
 * nobody. A turn is waited for as long as those before it end: a function may hold one and wait for another transaction itself.
 */
import type { Oid } from "../../core/ids.ts";

/** The turn of one transaction, on all objects that it has lost. */
export interface Turn {
  /** Resolves when it has come. */
  readonly come: Promise<void>;
  /** Grows with each turn before it that ends. */
  readonly progress: number;
  /** Whether it is for these objects. */
  covers(oids: readonly Oid[]): boolean;
  /** It is over: the next one's comes. */
  end(): void;
}

/** Turns of one object. */
interface Line {
  /** The end of the last one that was asked for. */
  over: Promise<void>;
  ended: number;
}

/** Turns by object. */
export class Turns {
  #lines = new Map<Oid, Line>();

  /** Asks for a turn behind all that were asked for before; on all of its objects at once, so that no two wait for each other. */
  take(oids: readonly Oid[]): Turn {
    const before = oids.flatMap((oid) => this.#lines.get(oid)?.over ?? []);
    const come = Promise.all(before).then(() => undefined);
    let end: () => void = () => {};
    const ended = new Promise<void>((resolve) => end = resolve);
    // who gives up waiting lets nobody past those before it
    const over: Promise<void> = Promise.all([come, ended]).then(() => this.#ended(oids, over));
    for (const oid of oids) {
      const line = this.#lines.get(oid);
      if (line) line.over = over;
      else this.#lines.set(oid, { over, ended: 0 });
    }
    const lines = oids.map((oid) => this.#lines.get(oid)!);
    return {
      come,
      get progress() {
        return lines.reduce((sum, line) => sum + line.ended, 0);
      },
      covers: (others) => others.every((oid) => oids.includes(oid)),
      end,
    };
  }

  #ended(oids: readonly Oid[], over: Promise<void>): void {
    for (const oid of oids) {
      const line = this.#lines.get(oid)!;
      line.ended += 1;
      if (line.over === over) this.#lines.delete(oid);
    }
  }

  /** Objects for which somebody has a turn, or waits for one. */
  get objects(): number {
    return this.#lines.size;
  }
}
