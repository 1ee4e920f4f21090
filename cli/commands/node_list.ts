/** `neo node list` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

const STYLES: { readonly [state: string]: Style } = { running: "green", unavailable: "red" };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  nodes: is.list(is.object({
    index: is.said("0: no member", is.count),
    name: is.text,
    address: is.text,
    state: is.text,
    weight: is.count,
    path: is.list(is.text),
    draining: is.flag,
    cells: is.count,
    readable: is.count,
    feeding: is.count,
    use: is.said("Its part of the use of all, 0 to 1", is.amount),
    problem: is.nullable(is.text),
  })),
});

/** Lists the storages of a cluster. */
export default async function nodeList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { nodes } = await askPrimary("listNodes", {}, target, { withinMs: flags.wait });
  if (output.json) {
    const views = nodes.map(({ useMilli, ...node }) => ({ ...node, use: useMilli / 1_000 }));
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), nodes: views });
  }
  const head = ["NODE", "STATE", "ADDRESS", "COPIES", "USE", "PLACE", "WEIGHT"];
  const rows = nodes.map((node) => [
    node.name,
    { text: stateOf(node), style: STYLES[node.state] ?? "yellow" },
    node.address,
    `${node.readable}/${node.cells}`,
    `${(node.useMilli / 10).toFixed(1)}%`,
    node.path.join("/") || "-",
    node.index === 0 ? "-" : String(node.weight),
  ]);
  const lines = [head.map((text) => ({ text, style: "dim" as Style })), ...rows];
  for (const line of table(lines, (style, text) => output.style(style, text))) output.print(line);
  for (const { name, problem } of nodes) if (problem !== null) output.warn(`${name}: ${problem}`);
}

function stateOf({ state, draining }: { readonly state: string; readonly draining: boolean }): string {
  return draining ? `${state}, draining` : state;
}
