/** Who may fail now: the cluster must be able to work without all that fail at a time. */
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";

/** What is known of the cluster. */
export interface Knowledge {
  readonly table: ReadonlyTable;
  /** Index of each storage in the table. */
  readonly storages: ReadonlyMap<string, NodeIndex>;
  readonly masters: readonly string[];
  /** Nodes that fail, or that the cluster doesn't have. */
  readonly failing: ReadonlySet<string>;
}

/**
 * Whether a node may fail too: every partition keeps a readable copy on a storage that doesn't fail, and more than half
 * of the masters stay. A lone master may fail while nothing else does: the cluster is away until it is back.
 */
export function mayFail(name: string, known: Knowledge): boolean {
  const { failing, masters, storages } = known;
  if (failing.has(name)) return false;
  if (masters.length === 1 && masters.some((master) => failing.has(master))) return false;
  if (masters.includes(name)) {
    if (masters.length === 1) return failing.size === 0;
    const left = masters.filter((master) => master !== name && !failing.has(master)).length;
    return 2 * left > masters.length;
  }
  const index = storages.get(name);
  return index !== undefined && staysReadable(index, known);
}

function staysReadable(failed: NodeIndex, { table, storages, failing }: Knowledge): boolean {
  const away = new Set([...failing].flatMap((name) => storages.get(name) ?? []));
  away.add(failed);
  for (let partition = 0; partition < table.partitions; partition++) {
    const cells = table.cells(partition as Partition);
    if (!cells.some((cell) => isReadable(cell) && !away.has(cell.node))) return false;
  }
  return true;
}
