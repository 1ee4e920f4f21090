/** `neo cluster replicas` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  replicas: is.count,
  tableVersion: is.count,
  next: is.step,
});

/** Sets how many copies there should be besides the first. */
export default async function clusterReplicas(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
  replicas: number,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { version } = await askPrimary("setReplicas", { replicas }, target, {
    withinMs: flags.wait,
    once: true,
  });
  const cluster = clusterNameOf(target);
  const next = nextCommand("table tweak", flags);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster, replicas, tableVersion: version, next });
  }
  const copies = replicas === 0 ? "1 copy" : `${replicas + 1} copies`;
  output.print(`${output.style("bold", cluster)}: every partition shall have ${copies}`);
  output.print(`Next: ${next}`);
}
