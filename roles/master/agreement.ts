/** The masters' agreement as a primary sees it, in one of its reigns: what it proposes, and what became held of that. */
import type { Now } from "../../core/machine.ts";
import type { Consensus, MasterCircle } from "./consensus.ts";
import { encodeEntry } from "./entries.ts";
import type { Entry } from "./entries.ts";
import type { MasterRoster, Metadata } from "./metadata.ts";
import type { Raft } from "./raft.ts";

/** One reign's. */
export class Agreement implements Consensus {
  readonly metadata: Metadata;
  #raft: Raft<MasterRoster>;
  #others: () => readonly number[];
  #ready = new Set<number>(); // masters that don't vote yet, and have everything: the primary was told
  #held: Entry[] = [];
  #asked: { readonly round: number; readonly done: () => void }[] = [];

  /** `metadata`: everything that was held before; whoever applies entries to it gives them to `take` as well. */
  constructor(raft: Raft<MasterRoster>, metadata: Metadata, others: () => readonly number[]) {
    this.#raft = raft;
    this.metadata = metadata;
    this.#others = others;
  }

  get circle(): MasterCircle {
    const raft = this.#raft;
    return {
      roster: raft.roster!,
      isChanging: raft.isChanging,
      others: this.#others(),
      isCaughtUp: (index) => raft.isCaughtUp(index),
      stepDown: () => raft.stepDown(),
    };
  }

  /** Entries of this reign that were applied just now. */
  take(entries: readonly Entry[]): void {
    this.#held.push(...entries);
  }

  /** Whether the primary should look. */
  get hasNews(): boolean {
    return this.#held.length > 0 || this.#isReady()
      || this.#asked.some(({ round }) => round <= this.#raft.confirmed);
  }

  /** Whether a master that doesn't vote yet has everything now; said once. */
  #isReady(): boolean {
    const { roster, isChanging } = this.#raft;
    if (isChanging || roster!.masters.length === roster!.voters.length) return false;
    const ready = this.#others().filter((index) => {
      return !roster!.voters.includes(index) && !this.#ready.has(index) && this.#raft.isCaughtUp(index);
    });
    for (const index of ready) this.#ready.add(index);
    return ready.length > 0;
  }

  /** What is to be saved for it is the log's business. */
  propose(entry: Entry): [] {
    this.#raft.propose(encodeEntry(entry));
    return [];
  }

  saved(): Entry[] {
    const held = this.#held;
    this.#held = [];
    const sure = this.#asked.filter(({ round }) => round <= this.#raft.confirmed);
    this.#asked = this.#asked.filter(({ round }) => round > this.#raft.confirmed);
    for (const { done } of sure) done();
    return held;
  }

  compact(): [] {
    return [];
  }

  confirm(done: () => void): void {
    const round = this.#raft.confirm();
    if (round <= this.#raft.confirmed) done();
    else this.#asked.push({ round, done });
  }

  medianMs(now: Now): number {
    return this.#raft.medianMs(now);
  }
}
