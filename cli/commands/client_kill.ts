/** `neo client kill` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, session: is.count });

/** Ends a client's session. What was acknowledged to it stays; what it has under way is given up. */
export default async function clientKill(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
  session: number,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  await askPrimary("killClient", { session }, target, { withinMs: flags.wait, once: true });
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, session });
  output.print(
    `${output.style("bold", cluster)}: ended session ${session}; its program may come again with another one`,
  );
}
