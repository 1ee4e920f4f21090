/** `neo table show` */
import type { Partition } from "../../core/ids.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { CellState } from "../../core/partition_table.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

const LETTERS: { readonly [state in CellState]: string } = {
  upToDate: "U",
  outOfDate: "O",
  feeding: "F",
  corrupted: "C",
  discarded: ".",
};
/** Partitions in one line, and between two blanks. */
const LINE = 80;
const GROUP = 10;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  generation: is.count,
  version: is.count,
  partitions: is.count,
  replicas: is.count,
  rows: is.said(
    "Of each partition, its cells",
    is.list(is.list(is.object({
      node: is.text,
      state: is.word("upToDate", "outOfDate", "feeding", "corrupted", "discarded"),
      since: is.count,
    }))),
  ),
});

/** Prints who has what. */
export default async function tableShow(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { image, nodes } = await askPrimary("showTable", {}, target, { withinMs: flags.wait });
  const table = PartitionTable.ofImage(image);
  const names = new Map(nodes.map(({ index, name }) => [index, name]));
  const nameOf = (index: number) => names.get(index) ?? `#${index}`;
  const { generation, version, replicas, partitions } = table;
  const cluster = clusterNameOf(target);
  if (output.json) {
    const rows = Array.from(
      { length: partitions },
      (_, p) =>
        table.cells(p as Partition).map(({ node, state, since }) => ({ node: nameOf(node), state, since })),
    );
    return output.printJson<Of<typeof answer>>({ cluster, generation, version, partitions, replicas, rows });
  }
  const title = `table ${generation}.${version}, ${partitions} partitions, ${replicas} replicas`;
  output.print(`${output.style("bold", cluster)}: ${title}`);
  for (const line of linesOf(table, nameOf)) output.print(line);
  output.print("U up to date, O out of date, F feeding until others are up to date, C corrupted");
}

/**
 * A line a storage, a letter a partition; long rows are cut.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import type { NodeIndex } from "../../core/ids.ts";
 * import { PartitionTable } from "../../core/partition_table.ts";
 * import { linesOf } from "./table_show.ts";
 * const table = PartitionTable.deal({ partitions: 12, replicas: 0, nodes: [1, 2] as NodeIndex[] });
 * assert.deepEqual(linesOf(table, (index) => `s${index}`), [
 *   "0 to 11",
 *   "  s1  U.U.U.U.U. U.",
 *   "  s2  .U.U.U.U.U .U",
 * ]);
 * ```
 */
export function linesOf(table: PartitionTable, nameOf: (index: number) => string): string[] {
  const nodes = table.nodes();
  const width = Math.max(0, ...nodes.map((node) => nameOf(node).length));
  const lines: string[] = [];
  for (let first = 0; first < table.partitions; first += LINE) {
    const last = Math.min(first + LINE, table.partitions) - 1;
    lines.push(`${first} to ${last}`);
    for (const node of nodes) {
      let text = "";
      for (let p = first; p <= last; p++) {
        if (p > first && (p - first) % GROUP === 0) text += " ";
        const cell = table.cell(p as Partition, node);
        text += cell ? LETTERS[cell.state] : ".";
      }
      lines.push(`  ${nameOf(node).padEnd(width)}  ${text}`);
    }
  }
  return lines;
}
