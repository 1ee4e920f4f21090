/** What nobody can read while some storages are away. */
import { DatabaseError } from "../core/errors.ts";
import type { NodeIndex, Partition } from "../core/ids.ts";
import { isReadable, PartitionTable } from "../core/partition_table.ts";
import { askPrimary, askStatus } from "./ask.ts";
import type { ClusterStatus } from "./ask.ts";
import type { Target } from "./target.ts";

/** How many partitions nobody could read without these storages, though somebody can now. */
export function onlyReadableIn(
  names: readonly string[],
  table: PartitionTable,
  nodes: ClusterStatus["nodes"],
): number {
  const running = nodes.filter(({ role, state, index }) =>
    role === "storage" && state === "running" && index > 0
  );
  const indexes = (own: boolean): Set<NodeIndex> =>
    new Set(
      running.filter(({ name }) => names.includes(name) === own).map(({ index }) => index as NodeIndex),
    );
  const [mine, others] = [indexes(true), indexes(false)];
  const all = Array.from(
    { length: table.partitions },
    (_, at) => table.cells(at as Partition).filter(isReadable),
  );
  return all.filter((cells) =>
    cells.some(({ node }) => mine.has(node)) && !cells.some(({ node }) => others.has(node))
  ).length;
}

/** The same of a cluster that runs; 0 if it can't be asked. */
export async function loneCopies(
  target: Target,
  names: readonly string[],
  withinMs: number,
): Promise<number> {
  try {
    const { nodes, state } = await askStatus(target, { withinMs });
    if (state !== "running" || !nodes.some(({ role, name }) => role === "storage" && names.includes(name))) {
      return 0;
    }
    const { image } = await askPrimary("showTable", {}, target, { withinMs });
    return onlyReadableIn(names, PartitionTable.ofImage(image), nodes);
  } catch (error) {
    if (error instanceof DatabaseError) return 0;
    throw error;
  }
}
