/** What an operator gets to see of storages, and of a plan for the table. */
import type { NodeIndex } from "../../core/ids.ts";
import { TWEAK_USE_LIMIT } from "../../core/limits.ts";
import type { Answer, StorageReport } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Layout, LayoutParts } from "./layout.ts";
import { sum } from "./topology.ts";
import type { TweakPlan } from "./tweak.ts";

/** A plan in counts, with the names of storages. */
export function planInWords(layout: Layout, plan: TweakPlan, version: number): Answer<"tweak"> {
  const { changes, nodes, warnings, moves } = plan;
  const count = (state: string): number => changes.filter((change) => change.state === state).length;
  const names = new Map(layout.members.map(({ index, name }) => [index, name]));
  const nameOf = (index: NodeIndex): string => names.get(index) ?? String(index);
  const hot = nodes.filter(({ useAfter }) => useAfter > TWEAK_USE_LIMIT).map(({ node, useAfter }) => {
    const times = useAfter.toFixed(1);
    return `${
      nameOf(node)
    } will have ${times} times its share of the use: no exchange of cells makes it less`;
  });
  return {
    version,
    copied: moves,
    feeding: count("feeding"),
    dropped: count("discarded"),
    kept: count("upToDate"),
    nodes: nodes.map(({ node, cells, cellsAfter, useAfter }) => ({
      name: nameOf(node),
      cells,
      cellsAfter,
      useMilli: Math.round(useAfter * 1_000),
    })),
    warnings: [...warnings, ...hot],
  };
}

/** All storages of the registry, and those that came and aren't members. */
export function storageReports(layout: Layout, { site, storages }: LayoutParts): StorageReport[] {
  const { monoMs } = site.now;
  const useOf = (index: number): number => layout.use.of(index as NodeIndex, monoMs);
  const all = sum(layout.members.map(({ index }) => useOf(index)));
  const members = layout.members.map((member): StorageReport => {
    const { index, name, weight, path, draining } = member;
    const node = storages.node(index as NodeIndex);
    const cells = site.table.cellsOf(index as NodeIndex).map(({ cell }) => cell);
    return {
      index,
      name,
      address: node?.address ?? member.address,
      state: node?.state ?? "unavailable",
      weight,
      path,
      draining,
      cells: cells.length,
      readable: cells.filter(isReadable).length,
      feeding: cells.filter(({ state }) => state === "feeding").length,
      useMilli: all === 0 ? 0 : Math.round(1_000 * useOf(index) / all),
      problem: node?.trouble ?? null,
    };
  });
  const nothing = { weight: 0, path: [], draining: false, cells: 0, readable: 0, feeding: 0, useMilli: 0 };
  const strangers = [...storages.strangers].map(([name, { address }]): StorageReport => ({
    ...nothing,
    index: 0,
    name,
    address,
    state: "unknown",
    problem: "it isn't a member",
  }));
  return [...members, ...strangers];
}
