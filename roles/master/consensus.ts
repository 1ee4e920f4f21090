/**
 * The log of cluster metadata, as the rest of a master sees it: entries are proposed, and held once they are durable
 * on a majority. Nothing that an entry decides may be told to anybody before it is held.
 */
import { invariant } from "../../core/errors.ts";
import { LOG_ENTRIES_MAX } from "../../core/limits.ts";
import type { Now } from "../../core/machine.ts";
import type { MetadataState, MetadataWrite } from "../../core/ports.ts";
import { decodeEntry, encodeEntry, Metadata } from "./metadata.ts";
import type { Entry, MasterRoster } from "./metadata.ts";

/** The masters' agreement. */
export interface Consensus {
  /** What is held. */
  readonly metadata: Metadata;
  /** Adds an entry; gives what must be saved, durably, for that. */
  propose(entry: Entry): MetadataWrite[];
  /** The saves so far are done: gives the entries that are held now, in order, already applied to `metadata`. */
  saved(): Entry[];
  /** What should be saved to keep the log short. */
  compact(): MetadataWrite[];
  /** Runs `done`, at once or in a later `saved`, when it is sure that no later primary had begun when it was called. */
  confirm(done: () => void): void;
  /** Wall time by the median of the masters' clocks. */
  medianMs(now: Now): number;
  /** The agreement itself, for those who change it. */
  readonly circle: MasterCircle;
}

/** Who agrees. */
export interface MasterCircle {
  /** The newest roster, held or not. */
  readonly roster: MasterRoster;
  /** Whether it isn't held yet: one change at a time. */
  readonly isChanging: boolean;
  /** Indexes of the other masters that are connected. */
  readonly others: readonly number[];
  /** Whether a master has everything that is held. */
  isCaughtUp(index: number): boolean;
  /** Asks another master to take over; false: none could. */
  stepDown(): boolean;
}

/** One master: a majority of one. An entry is held as soon as its own save is done. */
export class SoloConsensus implements Consensus {
  readonly metadata: Metadata;
  #index: number;
  #snapshotIndex: number;
  #proposed: Entry[] = [];

  /** @param state what the store holds; it must have been initialised */
  constructor(state: MetadataState) {
    const { snapshot, entries } = state;
    invariant(snapshot !== null, "a master starts from initialised metadata");
    this.metadata = Metadata.ofImage(snapshot.image);
    this.#index = snapshot.index;
    this.#snapshotIndex = snapshot.index;
    for (const { index, entry } of entries) {
      invariant(index === this.#index + 1, "log entries are consecutive");
      this.metadata.apply(decodeEntry(entry));
      this.#index = index;
    }
  }

  propose(entry: Entry): MetadataWrite[] {
    this.#index += 1;
    this.#proposed.push(entry);
    return [{ op: "append", entries: [{ index: this.#index, term: 1, entry: encodeEntry(entry) }] }];
  }

  saved(): Entry[] {
    const held = this.#proposed;
    this.#proposed = [];
    for (const entry of held) this.metadata.apply(entry);
    return held;
  }

  get circle(): MasterCircle {
    const { roster } = this.metadata;
    return { roster, isChanging: false, others: [], isCaughtUp: () => true, stepDown: () => false };
  }

  confirm(done: () => void): void {
    done();
  }

  medianMs({ wallMs }: Now): number {
    return wallMs;
  }

  compact(): MetadataWrite[] {
    if (this.#proposed.length > 0 || this.#index - this.#snapshotIndex < LOG_ENTRIES_MAX) return [];
    this.#snapshotIndex = this.#index;
    return [{ op: "snapshot", index: this.#index, term: 1, image: this.metadata.toImage() }];
  }
}
