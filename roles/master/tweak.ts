/**
 * Plans where the cells of the partition table should be, and how to get there without ever having fewer readable copies
 * of a row than before. Pure: a table, its storages and their use in, changes of cells out.
 *
 * What stays is kept; new cells begin `outOfDate` and catch up; a readable cell that is to go becomes `feeding` while its row
 * needs it, and is discarded when enough others are readable and settled (`spentFeeding`, called as cells catch up). Cells of
 * ignored storages are left as they are and don't count as copies. Moves are minimal for the copies and quotas wanted;
 * each exchange for the sake of use costs two more (`placement.ts`). A second tweak changes nothing.
 */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Cell, CellState, ReadonlyTable } from "../../core/partition_table.ts";
import { Placement } from "./placement.ts";
import { quotasOf, spreadOf, sum } from "./topology.ts";

/** A storage as a tweak sees it. */
export interface TweakNode {
  readonly index: NodeIndex;
  /** Its part of all cells; 0: it gives away what it has. */
  readonly weight: number;
  /** Where it stands, outermost first: region, host, device. */
  readonly path: readonly string[];
  /** Its cells stay as they are, and count for nothing. */
  readonly ignored?: boolean;
}

/** What a tweak starts from. */
export interface TweakInput {
  readonly table: ReadonlyTable;
  /** Copies of a row besides the first. */
  readonly replicas: number;
  /** All storages of the registry; those that the table names and that aren't here are ignored. */
  readonly nodes: readonly TweakNode[];
  /** What a cell of each partition asks of its storage; missing: nothing. */
  readonly use?: readonly number[];
  /** Whether a readable cell has no write left that was taken without a lock (A7). */
  readonly settled?: (partition: Partition, node: NodeIndex) => boolean;
  /** A wish was taken back: what feeds stays, rather than what has begun to be copied. */
  readonly undo?: boolean;
}

/** A change of a cell; `since` is given when it is proposed. */
export interface PlannedChange {
  readonly partition: Partition;
  readonly node: NodeIndex;
  readonly state: CellState;
}

/** One storage before and after. */
export interface NodePlan {
  readonly node: NodeIndex;
  readonly cells: number;
  /** Cells that it will have when all has caught up. */
  readonly cellsAfter: number;
  /** Its use against its share: 1 is fair. 0 when nothing is known of the use. */
  readonly useAfter: number;
}

/** What a tweak would do. */
export interface TweakPlan {
  readonly changes: readonly PlannedChange[];
  /** Cells that must be copied. */
  readonly moves: number;
  readonly nodes: readonly NodePlan[];
  readonly warnings: readonly string[];
}

/**
 * Plans a tweak.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import type { NodeIndex } from "../../core/ids.ts";
 * import { PartitionTable } from "../../core/partition_table.ts";
 * import { planTweak } from "./tweak.ts";
 * const [one, two] = [1, 2] as NodeIndex[];
 * const table = PartitionTable.deal({ partitions: 2, replicas: 0, nodes: [one!] });
 * const nodes = [one!, two!].map((index) => ({ index, weight: 1, path: [] }));
 * const plan = planTweak({ table, replicas: 0, nodes });
 * assert.equal(plan.moves, 1);
 * assert.deepEqual(plan.changes.map(({ state }) => state), ["feeding", "outOfDate"]);
 * ```
 */
export function planTweak(input: TweakInput): TweakPlan {
  const { table, replicas, use = [] } = input;
  const takers = input.nodes.filter(({ weight, ignored }) => weight > 0 && ignored !== true)
    .sort((a, b) => a.index - b.index);
  if (takers.length === 0) {
    return { changes: [], moves: 0, nodes: [], warnings: ["no storage may take cells"] };
  }
  const copies = Math.min(replicas + 1, takers.length);
  const quotas = quotasOf(takers.map(({ weight }) => weight), table.partitions * copies, table.partitions);
  const spread = spreadOf({
    paths: takers.map(({ path }) => path),
    quotas,
    partitions: table.partitions,
    copies,
  });
  const partitions = Array.from({ length: table.partitions }, (_, p) => p as Partition);
  const cells = partitions.map((partition) => takers.map(({ index }) => table.cell(partition, index)));
  const stays = (cell: Cell): boolean => input.undo === true ? isReadable(cell) : cell.state !== "feeding";
  const placement = new Placement({
    rows: cells.map((row) => row.flatMap((cell, place) => (cell && stays(cell) ? [place] : []))),
    has: (row, place) => cells[row]![place] !== undefined,
    reads: (row, place) => isReadable(cells[row]![place]),
    copies,
    quotas,
    spread,
    use,
  });
  const ignored = new Set(
    partitions.flatMap((partition) => table.cells(partition).map(({ node }) => node)),
  );
  for (const { index, ignored: isIgnored } of input.nodes) if (isIgnored !== true) ignored.delete(index);
  const changes = partitions.flatMap((partition) => {
    const wanted = placement.rows[partition]!.map((place) => takers[place]!.index);
    return rowChanges(input, partition, { wanted, ignored });
  });
  const warnings = [...spread.warnings];
  if (copies < replicas + 1) {
    warnings.push(
      `${replicas + 1} copies need as many storages: there are ${takers.length}, so a row gets ${copies}`,
    );
  }
  if (placement.cut) warnings.push("the search took too long and ended early: tweak again");
  const total = sum(placement.loads);
  const nodes = takers.map(({ index }, place): NodePlan => ({
    node: index,
    cells: cells.filter((row) => row[place] !== undefined && row[place].state !== "feeding").length,
    cellsAfter: placement.rows.filter((row) => row.includes(place)).length,
    useAfter: total === 0 ? 0 : placement.loads[place]! * sum(quotas) / (total * quotas[place]!),
  }));
  const moves = changes.filter(({ state }) => state === "outOfDate").length;
  return { changes, moves, nodes, warnings };
}

/** Changes of one row towards the storages that should have it. */
function rowChanges(
  { table, replicas, settled = () => true }: TweakInput,
  partition: Partition,
  { wanted, ignored }: { wanted: readonly NodeIndex[]; ignored: ReadonlySet<NodeIndex> },
): PlannedChange[] {
  const row = table.cells(partition).filter(({ node }) => !ignored.has(node))
    .sort((a, b) => a.node - b.node);
  const leaving = row.filter(({ node }) => !wanted.includes(node));
  const serving =
    row.filter((cell) => wanted.includes(cell.node) && isReadable(cell) && settled(partition, cell.node))
      .length;
  const kept = keptFeeding(leaving, replicas + 1 - serving);
  const changes: PlannedChange[] = [];
  const change = (node: NodeIndex, state: CellState) => changes.push({ partition, node, state });
  for (const { node, state } of row) {
    if (wanted.includes(node)) {
      if (state === "feeding") change(node, "upToDate");
    } else if (!kept.has(node)) change(node, "discarded");
    else if (state !== "feeding") change(node, "feeding");
  }
  for (const node of [...wanted].sort((a, b) => a - b)) {
    if (table.cell(partition, node) === undefined) change(node, "outOfDate");
  }
  return changes;
}

/** Of cells that are to go, those that must stay readable meanwhile; what feeds already goes on. */
function keptFeeding(leaving: readonly Cell[], count: number): Set<NodeIndex> {
  const readable = leaving.filter(isReadable);
  const feeds = (cell: Cell) => (cell.state === "feeding" ? 0 : 1);
  readable.sort((a, b) => feeds(a) - feeds(b) || a.node - b.node);
  return new Set(readable.slice(0, Math.max(0, count)).map(({ node }) => node));
}

/**
 * Feeding cells that may be discarded now: of each row, those beyond the `replicas + 1` that are readable and settled. Called
 * when a cell has become readable, or has no write left that was taken without a lock; `settled` tells the latter (A7).
 * Cells of storages that have nothing but feeding cells go first.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import type { NodeIndex } from "../../core/ids.ts";
 * import { PartitionTable } from "../../core/partition_table.ts";
 * import { spentFeeding } from "./tweak.ts";
 * const cell = (node: number, state: "upToDate" | "feeding") => ({ node: node as NodeIndex, state, since: 1 });
 * const rows = [[cell(1, "upToDate"), cell(2, "feeding")]];
 * const table = new PartitionTable({ generation: 1, version: 1, replicas: 0, rows });
 * assert.deepEqual(spentFeeding(table, () => true), [{ partition: 0, node: 2, state: "discarded" }]);
 * assert.deepEqual(spentFeeding(table, () => false), []);
 * ```
 */
export function spentFeeding(
  table: ReadonlyTable,
  settled: (partition: Partition, node: NodeIndex) => boolean,
): PlannedChange[] {
  const partitions = Array.from({ length: table.partitions }, (_, p) => p as Partition);
  const staying = new Set<NodeIndex>();
  for (const partition of partitions) {
    for (const { node, state } of table.cells(partition)) if (state !== "feeding") staying.add(node);
  }
  return partitions.flatMap((partition) => {
    const cells = table.cells(partition);
    const feeding = cells.filter(({ state }) => state === "feeding");
    const serving = cells.filter((cell) => cell.state === "upToDate" && settled(partition, cell.node)).length;
    const stays = ({ node }: Cell) => (staying.has(node) ? 1 : 0);
    feeding.sort((a, b) => stays(a) - stays(b) || a.node - b.node);
    const spent = feeding.slice(0, Math.max(0, serving + feeding.length - (table.replicas + 1)));
    return spent.map(({ node }): PlannedChange => ({ partition, node, state: "discarded" }));
  });
}
