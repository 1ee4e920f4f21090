/** `neo node kill` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, name: is.text, asked: is.exactly(true) });

/** Has a storage end, on whatever machine it runs. */
export default async function nodeKill(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
  name: string,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  await askPrimary("killNode", { name }, target, { withinMs: flags.wait, once: true });
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, name, asked: true });
  output.print(`${output.style("bold", cluster)}: asked storage ${name} to end`);
  output.print(`Next: ${nextCommand("node list", flags)}`);
}
