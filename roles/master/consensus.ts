/**
 * The log of cluster metadata, as the rest of a master sees it: entries are proposed, and held once they are durable
 * on a majority. Nothing that an entry decides may be told to anybody before it is held.
 */
import type { Now } from "../../core/machine.ts";
import type { MetadataWrite } from "../../core/ports.ts";
import type { Entry } from "./entries.ts";
import type { MasterRoster, Metadata } from "./metadata.ts";

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
