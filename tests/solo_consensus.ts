/** The agreement of one master, for tests that drive its part of a cluster without an election. */
import { invariant } from "../core/errors.ts";
import { LOG_ENTRIES_MAX } from "../core/limits.ts";
import type { Now } from "../core/machine.ts";
import type { MetadataState, MetadataWrite } from "../core/ports.ts";
import type { Consensus, MasterCircle } from "../roles/master/consensus.ts";
import { decodeEntry, encodeEntry } from "../roles/master/entries.ts";
import type { Entry } from "../roles/master/entries.ts";
import { Metadata } from "../roles/master/metadata.ts";

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
