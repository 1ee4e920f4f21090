/** How a change of the table's layout is shown. */
import type { Answer } from "../core/messages.ts";
import * as is from "./answers.ts";
import { table } from "./output.ts";
import type { Output, Style } from "./output.ts";

/** A plan as the primary gives it. */
export type LayoutPlan = Answer<"tweak">;

/** The same, as commands show it. */
export const layoutFields = {
  version: is.said("Of the table", is.count),
  copied: is.count,
  feeding: is.count,
  dropped: is.count,
  kept: is.count,
  nodes: is.list(is.object({
    name: is.text,
    cells: is.count,
    cellsAfter: is.count,
    useMilli: is.said("Its use in thousandths of its share", is.count),
  })),
  warnings: is.list(is.text),
};

/** Whether a plan changes nothing. */
export function isNothing({ copied, feeding, dropped, kept }: LayoutPlan): boolean {
  return copied + feeding + dropped + kept === 0;
}

/** One line: what happens, or would happen. */
export function planLine(plan: LayoutPlan, dryRun: boolean): string {
  if (isNothing(plan)) return "nothing to do";
  const { copied, feeding, dropped, kept } = plan;
  const parts = [
    ...(copied > 0 ? [`${cells(copied)} ${dryRun ? "would be" : "being"} copied`] : []),
    ...(feeding > 0 ? [`${cells(feeding)} ${dryRun ? "would stay" : "staying"} until then`] : []),
    ...(dropped > 0 ? [`${cells(dropped)} ${dryRun ? "would be " : ""}given up`] : []),
    ...(kept > 0 ? [`${cells(kept)} ${dryRun ? "would stay" : "staying"} after all`] : []),
  ];
  return parts.join(", ");
}

/** The same with a table of storages and warnings; use is shown against a storage's share, which is 1. */
export function showPlan(output: Output, plan: LayoutPlan): void {
  const isUsed = plan.nodes.some(({ useMilli }) => useMilli > 0);
  const head = ["NODE", "CELLS", "AFTER", ...(isUsed ? ["USE"] : [])].map((text) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = plan.nodes.map(({ name, cells, cellsAfter, useMilli }) => [
    name,
    String(cells),
    String(cellsAfter),
    ...(isUsed ? [(useMilli / 1_000).toFixed(2)] : []),
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
  for (const warning of plan.warnings) output.warn(warning);
}

function cells(count: number): string {
  return `${count} cell${count === 1 ? "" : "s"}`;
}
