/** `neo node drain` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { layoutFields, planLine, showPlan } from "../layout_view.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

type Flags = CommonFlags & { readonly wait: number; readonly undo: boolean };

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, name: is.text, draining: is.flag, ...layoutFields });

/** Begins to move a storage's copies elsewhere. */
export default async function nodeDrain({ output, world }: Cli, flags: Flags, name: string): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { undo } = flags;
  const plan = await askPrimary("drainNode", { name, undo }, target, { withinMs: flags.wait, once: true });
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, name, draining: !undo, ...plan });
  const what = undo ? `storage ${name} stays` : `storage ${name} gives its cells away`;
  output.print(`${output.style("bold", cluster)}: ${what}; ${planLine(plan, false)}`);
  showPlan(output, plan);
  output.print(`Next: ${nextCommand("node list", flags)}`);
}
