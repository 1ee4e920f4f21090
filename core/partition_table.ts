/**
 * Which storages hold which partition, in which state, since when. The primary's log decides changes; everybody
 * else holds a copy and gets differences by version, checked by digest on both sides.
 */
import { ofCbor, toCbor } from "./cbor.ts";
import { invariant, InvariantError, MalformedError } from "./errors.ts";
import { partitionOf } from "./ids.ts";
import type { NodeIndex, Oid, Partition, Tid } from "./ids.ts";
import { PARTITIONS_MAX } from "./limits.ts";
import type { CellChange } from "./messages.ts";
import type { Digest } from "./ports.ts";
import { pushVarint, VarintReader } from "./varints.ts";

/** States of a cell; `discarded` stands in changes only: the cell is no more. */
export const cellStates = ["upToDate", "outOfDate", "feeding", "corrupted", "discarded"] as const;
/** One of them. */
export type CellState = (typeof cellStates)[number];

/** Which state may follow which (T3). A cell that isn't there yet begins up to date (new cluster) or out of date. */
export const CELL_NEXT: { readonly [from in CellState | "none"]: readonly CellState[] } = {
  none: ["upToDate", "outOfDate"],
  upToDate: ["outOfDate", "feeding", "corrupted", "discarded"],
  outOfDate: ["upToDate", "outOfDate", "discarded"],
  feeding: ["upToDate", "outOfDate", "corrupted", "discarded"],
  corrupted: ["outOfDate", "discarded"],
  discarded: [],
};

/** One partition on one storage. */
export interface Cell {
  readonly node: NodeIndex;
  readonly state: CellState;
  /** The table version at which it was created or last outdated. */
  readonly since: number;
}

/** What can be asked of any table. */
export interface ReadonlyTable {
  readonly generation: number;
  readonly version: number;
  readonly replicas: number;
  readonly partitions: number;
  cells(partition: Partition): readonly Cell[];
  cell(partition: Partition, node: NodeIndex): Cell | undefined;
  partitionOf(id: Oid | Tid): Partition;
}

/** Whether a cell may be read. */
export function isReadable(cell: Cell | undefined): boolean {
  return cell !== undefined && (cell.state === "upToDate" || cell.state === "feeding");
}

/**
 * A partition table.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import type { NodeIndex } from "./ids.ts";
 * import { PartitionTable } from "./partition_table.ts";
 * const table = PartitionTable.deal({ partitions: 4, replicas: 1, nodes: [1, 2] as NodeIndex[] });
 * table.setUp(1 as NodeIndex, true);
 * assert.equal(table.isOperational(), true);
 * table.setUp(1 as NodeIndex, false);
 * assert.equal(table.isOperational(), false);
 * ```
 */
export class PartitionTable implements ReadonlyTable {
  readonly generation: number;
  #replicas: number;
  #version: number;
  #rows: Cell[][];
  #up = new Set<NodeIndex>();
  #readable: number[]; // readable cells on nodes that are up, a row
  #unready: number; // rows without one

  constructor(
    start: { generation: number; version: number; replicas: number; rows: readonly (readonly Cell[])[] },
  ) {
    this.generation = start.generation;
    this.#replicas = start.replicas;
    this.#version = start.version;
    this.#rows = start.rows.map((row) => [...row]);
    this.#readable = this.#rows.map(() => 0);
    this.#unready = this.#rows.length;
  }

  /** The table of a new cluster: cells dealt in turn, all up to date. Nodes: at least replicas + 1. */
  static deal(to: { partitions: number; replicas: number; nodes: readonly NodeIndex[] }): PartitionTable {
    const copies = to.replicas + 1;
    invariant(to.nodes.length >= copies, "there are as many storages as copies");
    const rows: Cell[][] = [];
    for (let p = 0; p < to.partitions; p++) {
      const row: Cell[] = [];
      for (let i = 0; i < copies; i++) {
        const node = to.nodes[(p * copies + i) % to.nodes.length]!;
        row.push({ node, state: "upToDate", since: 1 });
      }
      rows.push(row);
    }
    return new PartitionTable({ generation: 1, version: 1, replicas: to.replicas, rows });
  }

  get version(): number {
    return this.#version;
  }

  /** Copies of a row besides the first, as the operator wants them. */
  get replicas(): number {
    return this.#replicas;
  }

  get partitions(): number {
    return this.#rows.length;
  }

  cells(partition: Partition): readonly Cell[] {
    return this.#rows[partition] ?? [];
  }

  cell(partition: Partition, node: NodeIndex): Cell | undefined {
    return this.#rows[partition]?.find((cell) => cell.node === node);
  }

  partitionOf(id: Oid | Tid): Partition {
    return partitionOf(id, this.#rows.length);
  }

  /** Nodes that have a cell. */
  nodes(): NodeIndex[] {
    const all = new Set<NodeIndex>();
    for (const row of this.#rows) for (const cell of row) all.add(cell.node);
    return [...all].sort((a, b) => a - b);
  }

  /** Partitions of which a node has a cell, with that cell. */
  cellsOf(node: NodeIndex): { partition: Partition; cell: Cell }[] {
    const all: { partition: Partition; cell: Cell }[] = [];
    this.#rows.forEach((row, p) => {
      const cell = row.find((cell) => cell.node === node);
      if (cell) all.push({ partition: p as Partition, cell });
    });
    return all;
  }

  /** Says whether a node counts for `isOperational`. */
  setUp(node: NodeIndex, up: boolean): void {
    if (this.#up.has(node) === up) return;
    if (up) this.#up.add(node);
    else this.#up.delete(node);
    for (const { partition, cell } of this.cellsOf(node)) {
      if (isReadable(cell)) this.#count(partition, up ? 1 : -1);
    }
  }

  /** Whether each partition has a readable cell on a node that is up. Costs nothing: counts are kept (T40). */
  isOperational(): boolean {
    return this.#unready === 0;
  }

  /** Whether the readable copies of some partition all stand on this node, among nodes that are up. */
  isLastReadable(node: NodeIndex): boolean {
    if (!this.#up.has(node)) return false;
    return this.cellsOf(node).some(({ partition, cell }) =>
      isReadable(cell) && this.#readable[partition] === 1
    );
  }

  /** Partitions without a readable cell on a node that is up. */
  unready(): Partition[] {
    return this.#readable.flatMap((count, p) => (count === 0 ? [p as Partition] : []));
  }

  /**
   * The table after a difference that a peer has sent.
   *
   * @throws MalformedError when the difference doesn't fit this table
   */
  changed(
    version: number,
    changes: readonly CellChange[],
    replicas: number = this.#replicas,
  ): PartitionTable {
    const next = PartitionTable.ofImage(this.toImage());
    try {
      next.apply(version, changes, replicas);
    } catch (cause) {
      if (!(cause instanceof InvariantError)) throw cause;
      throw new MalformedError(`Cannot change the partition table: ${cause.message}`, { cause });
    }
    return next;
  }

  /** Applies a difference; its result is `version`. `replicas`: how many there should be from now on. */
  apply(version: number, changes: readonly CellChange[], replicas: number = this.#replicas): void {
    invariant(version > this.#version, "table versions grow");
    for (const change of changes) this.#set(change);
    this.#version = version;
    this.#replicas = replicas;
  }

  #set(change: CellChange): void {
    const row = this.#rows[change.partition];
    invariant(row !== undefined, `partition ${change.partition} is in the table`);
    const at = row.findIndex((cell) => cell.node === change.node);
    const old = row[at];
    const state = cellStateOf(change.state);
    invariant(
      CELL_NEXT[old?.state ?? "none"].includes(state),
      `a cell may go from ${old?.state ?? "none"} to ${state}`,
    );
    if (isReadable(old) && this.#up.has(change.node)) this.#count(change.partition, -1);
    const cell: Cell = { node: change.node, state, since: change.since };
    if (state === "discarded") row.splice(at, 1);
    else if (old) row[at] = cell;
    else row.push(cell);
    if (isReadable(cell) && this.#up.has(change.node)) this.#count(change.partition, 1);
  }

  #count(partition: Partition, by: 1 | -1): void {
    const before = this.#readable[partition]!;
    this.#readable[partition] = before + by;
    if (before === 0) this.#unready -= 1;
    if (before + by === 0) this.#unready += 1;
  }

  /** The table as bytes: node indexes once, then one short index a cell (T8). */
  toImage(): Uint8Array {
    const nodes = this.nodes();
    const place = new Map(nodes.map((node, index) => [node, index]));
    const out: number[] = [];
    for (const row of this.#rows) {
      out.push(row.length);
      for (const cell of row) {
        pushVarint(out, place.get(cell.node)!);
        out.push(cellStates.indexOf(cell.state));
        pushVarint(out, cell.since);
      }
    }
    return toCbor([
      this.generation,
      this.#version,
      this.replicas,
      nodes,
      this.#rows.length,
      new Uint8Array(out),
    ]);
  }

  /**
   * Reads a table from bytes.
   *
   * @throws MalformedError when they aren't an image of one
   */
  static ofImage(image: Uint8Array): PartitionTable {
    const fields = ofCbor(image, "a partition table");
    if (!Array.isArray(fields)) throw new MalformedError("Cannot read a partition table: expected a list");
    const [generation, version, replicas, nodes, partitions, cells] = fields;
    const counts = [generation, version, replicas, partitions].every((n) =>
      Number.isSafeInteger(n) && n >= 0
    );
    if (!counts || partitions > PARTITIONS_MAX || !Array.isArray(nodes) || !(cells instanceof Uint8Array)) {
      throw new MalformedError("Cannot read a partition table: a field is out of bounds");
    }
    const rows = readRows(cells, nodes as NodeIndex[], partitions);
    return new PartitionTable({ generation, version, replicas, rows });
  }

  /** What both sides of a difference must agree on. */
  digest(digest: Digest): Uint8Array {
    return digest(this.toImage()).subarray(0, 16);
  }

  /** One line a row: `0: 1U 2O`. For people and tests. */
  toString(): string {
    return this.#rows
      .map((row, p) => `${p}: ${row.map((cell) => `${cell.node}${cell.state[0]!.toUpperCase()}`).join(" ")}`)
      .join("\n");
  }
}

function cellStateOf(name: string): CellState {
  const state = cellStates.find((state) => state === name);
  if (state === undefined) throw new MalformedError(`Cannot read a cell state: "${name}" is none`);
  return state;
}

function readRows(bytes: Uint8Array, nodes: readonly NodeIndex[], partitions: number): Cell[][] {
  const reader = new VarintReader(bytes, "a partition table");
  const rows: Cell[][] = [];
  for (let p = 0; p < partitions; p++) {
    const row: Cell[] = [];
    for (let left = reader.byte(); left > 0; left--) {
      const node = nodes[reader.varint()];
      const state = cellStates[reader.byte()];
      if (node === undefined || state === undefined) {
        throw new MalformedError("Cannot read a partition table: unknown cell");
      }
      row.push({ node, state, since: reader.varint() });
    }
    rows.push(row);
  }
  return rows;
}
