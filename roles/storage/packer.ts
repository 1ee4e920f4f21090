/**
 * Takes history away (T13). Of each object's revisions up to the bound of a pack only the newest stays, a deletion as well as a
 * value; transactions stay. So whoever reads at the bound or above sees what there was before.
 *
 * The bound comes from a primary (`fence`, `packTo`) or from a copy that has it (`replicator.ts`), after the masters held it, and
 * is saved before it is used. From then on this storage answers as if all were packed, wherever the pack itself is: reads below it
 * are refused (`reads.ts`), and copies are compared as they are behind it (J2). It never falls.
 *
 * States: `halted`; `idle`; `looking` (the database is asked what can go next); `resting` until the next slice. It goes through all
 * objects in the order of their ids, a slice at a time, while a primary lets us serve, and takes only rows of readable cells: what
 * another cell holds is its copying's business, and newer revisions may not be there yet. While there is such a cell a pass isn't done,
 * and it begins again when there is none any more. How far it has come is saved with what it deletes; a crash costs at most what
 * it looked at since.
 */
import { hexOf, partitionOf, ZERO_TID } from "../../core/ids.ts";
import type { Conn, Oid, Tid } from "../../core/ids.ts";
import { PACK_LOOKS_PER_ROW, PACK_PAUSE_MS, PACK_ROWS } from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { DatabaseAnswers, DatabaseState, PackPlace, RevisionKey } from "../../core/ports.ts";
import type { Site } from "./site.ts";

/** In front of all revisions. */
const BEGINNING: RevisionKey = { oid: 0n as Oid, tid: ZERO_TID };

/** Makes room where history was. */
export class Packer {
  #site: Site;
  #dropped: (rows: readonly RevisionKey[]) => void;
  #place: PackPlace;
  #looks = 0;
  #passedOver = false; // some cell of ours wasn't readable since the pass began
  #rows = 0; // taken since it began
  #primary: Conn | undefined;
  #step:
    | { readonly is: "halted" | "idle" | "looking" }
    | { readonly is: "resting"; readonly untilMs: number } = { is: "halted" };

  constructor(parts: {
    site: Site;
    state: Pick<DatabaseState, "packBound" | "packed">;
    /** These are gone. */
    dropped: (rows: readonly RevisionKey[]) => void;
  }) {
    this.#site = parts.site;
    this.#dropped = parts.dropped;
    this.#site.packBound = parts.state.packBound;
    this.#place = parts.state.packed;
  }

  /** When the next slice is due. */
  get dueMs(): number | undefined {
    return this.#step.is === "resting" ? this.#step.untilMs : undefined;
  }

  /** History up to here may go. */
  take(bound: Tid): void {
    if (bound <= this.#site.packBound) return;
    this.#site.packBound = bound;
    this.#site.save({ op: "packBound", tid: bound }, { durable: true });
    if (this.#step.is === "idle") this.#rest(0);
  }

  /** A primary lets us serve. */
  begin(primary: Conn): void {
    this.#primary = primary;
    this.#step = { is: "idle" };
    if (this.#isDone) this.#tell();
    else this.#rest(0);
  }

  /** No primary, or the end. */
  halt(): void {
    this.#step = { is: "halted" };
    this.#primary = undefined;
  }

  /** The table is another. A cell that isn't readable isn't packed: it may be new, on rows of before its node was dropped. */
  tableChanged(): void {
    const { packBound: bound } = this.#site;
    if (this.#lacks) {
      this.#passedOver = true;
      if (bound === ZERO_TID || !this.#isDone) return;
      this.#place = { bound, after: BEGINNING };
      this.#site.save({ op: "pack", revisions: [], bound, after: BEGINNING }, { durable: false });
    } else if (this.#step.is === "idle" && !this.#isDone) this.#rest(0);
  }

  /** The database says what can go of the slice. */
  found(look: number, { revisions, next }: DatabaseAnswers["packable"], now: Now): void {
    if (this.#step.is !== "looking" || look !== this.#looks) return;
    const { bound } = this.#place;
    const gone = revisions.filter(({ oid }) =>
      this.#site.reads(partitionOf(oid, this.#site.table!.partitions))
    );
    this.#rows += gone.length;
    this.#place = { bound, after: next ?? (this.#passedOver ? BEGINNING : null) };
    if (gone.length > 0 || next === null) {
      const after = this.#passedOver ? BEGINNING : next;
      this.#site.save({ op: "pack", revisions: gone, bound, after }, { durable: false });
      this.#dropped(gone);
    }
    const isOver = next === null && bound === this.#site.packBound;
    if (isOver && (!this.#passedOver || this.#lacks)) return this.#ended();
    const work = gone.length + (PACK_ROWS - gone.length) / PACK_LOOKS_PER_ROW;
    this.#rest(now.monoMs + Math.ceil((work * 1_000) / this.#perS));
  }

  /** Time has passed. */
  due({ monoMs }: Now): void {
    if (this.#step.is !== "resting" || monoMs < this.#step.untilMs) return;
    if (this.#perS > 0) this.#look();
    else this.#rest(monoMs + PACK_PAUSE_MS);
  }

  get #perS(): number {
    return this.#site.settings.number("storage.packRowsPerS");
  }

  get #isDone(): boolean {
    return this.#place.bound === this.#site.packBound && this.#place.after === null;
  }

  #ended(): void {
    this.#step = { is: "idle" };
    if (this.#passedOver) return;
    const { bound } = this.#place;
    this.#site.log("storage", "info", "Packed", { upTo: hexOf(bound), revisions: this.#rows });
    this.#rows = 0;
    this.#tell();
  }

  #tell(): void {
    const { epoch, packBound } = this.#site;
    if (this.#primary === undefined || packBound === ZERO_TID) return;
    this.#site.emit(tell(this.#primary, "packedTo", { epoch, tid: packBound }));
  }

  /** A speed of 0 is looked at again then. */
  #rest(untilMs: number): void {
    this.#step = { is: "resting", untilMs: Number.isFinite(untilMs) ? untilMs : 0 };
  }

  /** Whether some cell of ours isn't readable: what goes there is known when all of it has come. */
  get #lacks(): boolean {
    const { table, index } = this.#site;
    return table?.cellsOf(index).some(({ cell }) => !isReadable(cell)) ?? false;
  }

  #look(): void {
    if (this.#place.after === null || this.#place.after.tid === ZERO_TID) {
      this.#place = { bound: this.#site.packBound, after: BEGINNING };
      this.#passedOver = this.#lacks;
    }
    const { bound, after } = this.#place;
    this.#step = { is: "looking" };
    this.#looks += 1;
    this.#site.emit({
      do: "read",
      query: { read: "packable", bound, after: after!, rowsMax: PACK_ROWS },
      context: { for: "packable", look: this.#looks },
    });
  }
}
