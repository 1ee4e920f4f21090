/** The last changes of the held table, so that a node that comes back gets what it lacks and no more (T38). */
import { sameBytes } from "../../core/bytes.ts";
import { TABLE_CHANGES_MAX } from "../../core/limits.ts";
import type { CellChange } from "../../core/messages.ts";
import type { PartitionTable } from "../../core/partition_table.ts";
import type { Digest } from "../../core/ports.ts";
import { differenceOf } from "../../core/table_difference.ts";

interface Change {
  readonly base: Uint8Array; // digest of the table before it
  readonly cells: readonly CellChange[];
}

/** Changes by the digests of the tables between them. */
export class TableHistory {
  readonly #digest: Digest;
  #changes: Change[] = [];
  #newest: Uint8Array;
  #version: number;

  /** @param table the first one that is known */
  constructor(table: PartitionTable, digest: Digest) {
    this.#digest = digest;
    this.#newest = table.digest(digest);
    this.#version = table.version;
  }

  /** A change is held; `digest` is that of its result. */
  add(version: number, cells: readonly CellChange[], digest: Uint8Array): void {
    if (version !== this.#version + 1) this.#changes = []; // others came between, which we haven't seen
    else this.#changes.push({ base: this.#newest, cells });
    this.#newest = digest;
    this.#version = version;
    let count = this.#changes.reduce((all, change) => all + change.cells.length, 0);
    while (count > TABLE_CHANGES_MAX) count -= this.#changes.shift()!.cells.length;
  }

  /** The held table for a node that has the one with this digest: what it lacks, or all of it if that is shorter. */
  imageFor(table: PartitionTable, known: Uint8Array): Uint8Array {
    const image = table.toImage();
    const from = this.#from(known);
    if (from === undefined || this.#version !== table.version) return image;
    const cells = this.#changes.slice(from).flatMap((change) => change.cells);
    const difference = differenceOf(table, { base: known, cells }, this.#digest);
    return difference.length < image.length ? difference : image;
  }

  /** The place of the first change that the node lacks. */
  #from(known: Uint8Array): number | undefined {
    if (sameBytes(known, this.#newest)) return this.#changes.length;
    const at = this.#changes.findIndex(({ base }) => sameBytes(base, known));
    return at < 0 ? undefined : at;
  }
}
