/**
 * Which snapshots a program has open, and the floor that its client tells the primary: the oldest of them (T54).
 *
 * Reading costs nothing for it: opening and closing only note it here. While something is open, there is a look every
 * `FLOOR_LOOK_MS`; what was open at the look before is told, if it is another than was told last. What is opened below a floor that was
 * told is told at once. So a floor that was told is never above a snapshot that is open. Before a pack the primary asks, and hears what is
 * open at that moment; below its bound nothing is opened from then on (J1). A snapshot that is forgotten
 * without having been closed is found collected by a look.
 */
import { DatabaseError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { FLOOR_LOOK_MS } from "../../core/limits.ts";
import type { Calling } from "./caller.ts";

/** A snapshot's place among those that are open. */
export interface Opened {
  /** Says whose it is: it ends with that, at the latest. */
  of(snapshot: WeakKey): void;
  end(): void;
}

interface Entry {
  readonly at: Tid;
  /** Whether a look has found it. */
  seen: boolean;
  snapshot: WeakRef<WeakKey> | undefined;
}

/** The snapshots that are open in one client. */
export class Floors {
  #client: Calling;
  #open = new Set<Entry>();
  #told: Tid | null = null;
  #looking = false;

  constructor(client: Calling) {
    this.#client = client;
    client.openSnapshots?.add(() => this.#lowest());
  }

  /** A snapshot is opened. */
  open(at: Tid): Opened {
    const entry: Entry = { at, seen: false, snapshot: undefined };
    this.#open.add(entry);
    if (this.#told !== null && at < this.#told) this.#tell(at);
    void this.#look();
    return {
      of: (snapshot) => entry.snapshot = new WeakRef(snapshot),
      end: () => void this.#open.delete(entry),
    };
  }

  /** What is open, whether it was told or not. */
  #lowest(): Tid | null {
    return lowestOf([...this.#open].map(({ at }) => () => at));
  }

  /** Looks again and again while something is open. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      while (this.#open.size > 0) {
        await this.#client.call("elapse", {}, { withinMs: FLOOR_LOOK_MS });
        this.#sweep();
      }
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error; // else the client is closed
    } finally {
      this.#looking = false;
    }
  }

  #sweep(): void {
    let floor: Tid | null = null;
    for (const entry of this.#open) {
      if (entry.snapshot !== undefined && entry.snapshot.deref() === undefined) this.#open.delete(entry);
      else if (entry.seen && (floor === null || entry.at < floor)) floor = entry.at;
    }
    // what is younger than a look may be a look into the past
    for (const entry of this.#open) {
      if (floor !== null && entry.at < floor) floor = entry.at;
      entry.seen = true;
    }
    if (floor !== this.#told) this.#tell(floor);
  }

  #tell(floor: Tid | null): void {
    this.#told = floor;
    this.#client.call("floor", { at: floor }).catch(() => undefined); // the client is closed
  }
}

/** The oldest of some snapshots; null: there are none. */
export function lowestOf(all: Iterable<() => Tid | null>): Tid | null {
  let lowest: Tid | null = null;
  for (const one of all) {
    const at = one();
    if (at !== null && (lowest === null || at < lowest)) lowest = at;
  }
  return lowest;
}
