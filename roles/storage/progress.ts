/**
 * From where an out-of-date cell must catch up (A19).
 *
 * A readable cell has everything up to the newest tid that was unlocked in it. In the moment in which a storage learns
 * that it is readable no more, that is its resume point, saved together with the table that says so: what is written later
 * leaves holes below it. A cell that was out of date already keeps its point, a new one begins at zero. From then on the
 * point moves only to targets that the primary gave and that were reached.
 *
 * In a copy of another storage's database a cell that is new has what it has there: its point came with the copy (N4).
 *
 * A cell that is outdated because rows of it are broken resumes below them, and they go in the same save: what has no row is
 * fetched, what has one with the right checksum isn't.
 */
import type { NodeIndex, Partition, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Cell, ReadonlyTable } from "../../core/partition_table.ts";
import type { DatabaseState, RevisionKey } from "../../core/ports.ts";
import type { Site } from "./site.ts";

/** Stands for the version of a cell in a database that is a copy of another storage's: it has none of its own yet. */
export const COPIED_SINCE = 0;

/** What is to go when a cell is outdated, and from where it then resumes. */
interface Mending {
  readonly partition: Partition;
  readonly since: number;
  readonly after: Tid;
  readonly rows: readonly RevisionKey[];
}

/** How far the cells of a storage are complete. */
export class Progress {
  #site: Site;
  #newest = new Map<Partition, Tid>();
  #resumes = new Map<Partition, { readonly since: number; readonly tid: Tid }>();
  #mendings = new Map<Partition, Mending>();

  constructor(site: Site, { resumes, newest }: Pick<DatabaseState, "resumes" | "newest">) {
    this.#site = site;
    for (const { partition, tid } of newest) this.#newest.set(partition, tid);
    for (const { partition, since, tid } of resumes) this.#resumes.set(partition, { since, tid });
  }

  /** A transaction became final in these partitions. */
  unlocked(tid: Tid, partitions: Iterable<Partition>): void {
    for (const partition of partitions) {
      if (tid > (this.#newest.get(partition) ?? ZERO_TID)) this.#newest.set(partition, tid);
    }
  }

  /** A newer table is taken, in place of `old`: gives each cell that is out of date by it a point to resume from. */
  take(old: ReadonlyTable | undefined, table: ReadonlyTable, index: NodeIndex): void {
    for (let p = 0; p < table.partitions; p++) {
      const partition = p as Partition;
      const cell = table.cell(partition, index);
      if (cell?.state !== "outOfDate") continue;
      const known = this.#resumes.get(partition);
      if (known?.since === cell.since) continue;
      const before = old?.cell(partition, index);
      const isKnown = before !== undefined || known?.since === COPIED_SINCE;
      const tid = isReadable(before) ? this.#newest.get(partition) : isKnown ? known?.tid : undefined;
      this.#save(partition, cell.since, this.#mended(before, partition, tid ?? ZERO_TID));
    }
    this.#mendings.clear();
  }

  /** The next table outdates a cell because of these rows: good copies of them are elsewhere. */
  mend({ partition, since, after, rows }: Mending): void {
    this.#mendings.set(partition, { partition, since, after, rows });
  }

  /** Up to where a cell is complete. */
  resume(partition: Partition): Tid {
    return this.#resumes.get(partition)?.tid ?? ZERO_TID;
  }

  /** A cell has everything up to a target: on disk, with all that was copied before, when this round is saved. */
  reached(partition: Partition, since: number, tid: Tid): void {
    this.unlocked(tid, [partition]);
    this.#save(partition, since, tid);
  }

  /** A truncation: there is nothing behind this tid. The database lowers its resume points by itself. */
  truncate(upTo: Tid): void {
    this.#mendings.clear();
    for (const [partition, tid] of this.#newest) if (tid > upTo) this.#newest.set(partition, upTo);
    for (const [partition, { since, tid }] of this.#resumes) {
      if (tid > upTo) this.#resumes.set(partition, { since, tid: upTo });
    }
  }

  /** The data of a partition is gone. */
  erased(partition: Partition): void {
    this.#newest.delete(partition);
    this.#resumes.delete(partition);
  }

  #mended(before: Cell | undefined, partition: Partition, tid: Tid): Tid {
    const mending = this.#mendings.get(partition);
    if (!mending || !isReadable(before) || before?.since !== mending.since) return tid;
    const { rows, after } = mending;
    if (rows.length > 0) {
      this.#site.save({ op: "uncopy", partition, transactions: [], revisions: rows }, { durable: true });
    }
    return after < tid ? after : tid;
  }

  #save(partition: Partition, since: number, tid: Tid): void {
    this.#resumes.set(partition, { since, tid });
    this.#site.save({ op: "resume", partition, since, tid }, { durable: true });
  }
}
