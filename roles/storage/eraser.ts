/**
 * Deletes what discarded cells hold, a slice at a time, so that commits get through between. Only for discards that the
 * primary's log holds, and only while our newest table has no cell there (B9): that a table lacks a cell says nothing. A
 * partition that is assigned again is left as it is: its copying sorts out what is left.
 *
 * Nor before the primary lets us serve: while it waits for lost storages, what was discarded here may be the last copy.
 *
 * States: `halted`; `idle`; `looking` (the database is asked which partitions have rows); `resting` until the next slice.
 * What was left over when the node ended is named again by the primary at the next fence.
 */
import type { Partition } from "../../core/ids.ts";
import type { Now } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import type { Site } from "./site.ts";

/** A cell that was discarded, with the table version at which it was created or last outdated. */
export interface Discarded {
  readonly partition: Partition;
  readonly since: number;
}

/** Makes room where cells were. */
export class Eraser {
  #site: Site;
  #erased: (partition: Partition) => void;
  #table: Site["table"]; // the one before the newest
  #gone = new Map<Partition, number>(); // cells that newer tables lack: their since
  #announced = new Map<Partition, number>(); // discards of cells that our table still has: a newer one is on its way
  #queue = new Set<Partition>();
  #step:
    | { readonly is: "halted" | "idle" | "looking" }
    | { readonly is: "resting"; readonly untilMs: number } = { is: "halted" };

  constructor(parts: {
    site: Site;
    /** Nothing is left of a partition. */
    erased: (partition: Partition) => void;
  }) {
    this.#site = parts.site;
    this.#erased = parts.erased;
    this.#table = parts.site.table;
  }

  /** Partitions that are to be deleted. */
  get left(): number {
    return this.#queue.size;
  }

  /** When the next slice is due. */
  get dueMs(): number | undefined {
    return this.#step.is === "resting" ? this.#step.untilMs : undefined;
  }

  /** The primary says that each partition has a readable copy. */
  begin(): void {
    if (this.#step.is === "halted") this.#look();
  }

  /** It doesn't any more. */
  halt(): void {
    this.#step = { is: "halted" };
  }

  /** A newer table is there. */
  taken(): void {
    const { index, table } = this.#site;
    for (const { partition, since } of cellsOf(this.#table, index)) {
      if (this.#site.cell(partition) === undefined) this.#gone.set(partition, since);
    }
    for (const { partition } of cellsOf(table, index)) {
      this.#gone.delete(partition);
      this.#queue.delete(partition);
    }
    this.#table = table;
    const announced = [...this.#announced].map(([partition, since]) => ({ partition, since }));
    this.#announced.clear();
    this.discarded(announced);
  }

  /** The primary says that cells were discarded, by entries that are held. */
  discarded(cells: readonly Discarded[]): void {
    for (const { partition, since } of cells) {
      const cell = this.#site.cell(partition);
      if (cell?.since === since) this.#announced.set(partition, since);
      else if (!cell && (this.#gone.get(partition) ?? since) === since) this.#queue.add(partition);
    }
    if (this.#step.is === "idle") this.#look();
  }

  /** The database says which partitions have rows. */
  found(stocked: readonly Partition[], now: Now): void {
    if (this.#step.is !== "looking") return;
    for (const partition of [...this.#queue].filter((one) => !stocked.includes(one))) {
      this.#queue.delete(partition);
      this.#erased(partition);
    }
    const [partition] = this.#queue;
    if (partition === undefined) {
      this.#step = { is: "idle" };
      return;
    }
    const { settings } = this.#site;
    this.#site.save({ op: "erase", partition, rowsMax: settings.number("storage.eraseRows") }, {
      durable: false,
    });
    this.#step = { is: "resting", untilMs: now.monoMs + settings.number("storage.erasePauseMs") };
  }

  /** Time has passed. */
  due({ monoMs }: Now): void {
    if (this.#step.is === "resting" && monoMs >= this.#step.untilMs) this.#look();
  }

  #look(): void {
    this.#step = { is: this.#queue.size === 0 ? "idle" : "looking" };
    if (this.#queue.size === 0) return;
    this.#site.emit({ do: "read", query: { read: "stocked" }, context: { for: "stocked" } });
  }
}

/** Cells of a storage that a change of the table discards. */
export function discardsOf(cells: Body<"tableChange">["cells"], node: Site["index"]): Discarded[] {
  return cells.filter((cell) => cell.node === node && cell.state === "discarded");
}

function cellsOf(table: ReadonlyTable | undefined, node: Site["index"]): Discarded[] {
  const cells: Discarded[] = [];
  for (let p = 0; p < (table?.partitions ?? 0); p++) {
    const cell = table!.cell(p as Partition, node);
    if (cell) cells.push({ partition: p as Partition, since: cell.since });
  }
  return cells;
}
