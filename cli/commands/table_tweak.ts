/** `neo table tweak` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { isNothing, layoutFields, planLine, showPlan } from "../layout_view.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

type Flags = CommonFlags & {
  readonly wait: number;
  readonly dryRun: boolean;
  readonly ignore: readonly string[] | undefined;
};

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, dryRun: is.flag, ...layoutFields });

/** Has the primary spread cells, or say how it would. */
export default async function tableTweak({ output, world }: Cli, flags: Flags): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { dryRun, ignore: ignored = [] } = flags;
  const body = { ignored, dryRun };
  const plan = await askPrimary("tweak", body, target, { withinMs: flags.wait, once: !dryRun });
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, dryRun, ...plan });
  output.print(`${output.style("bold", cluster)}: ${planLine(plan, dryRun)}`);
  showPlan(output, plan);
  const next = dryRun && !isNothing(plan)
    ? ["table tweak", ...ignored.map((name) => `--ignore ${name}`)]
    : ["node list"];
  output.print(`Next: ${nextCommand(next.join(" "), flags)}`);
}
