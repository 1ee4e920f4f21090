/** `neo node kill` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { ClusterConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { allGone } from "../daemons.ts";
import { nextCommand } from "../next.ts";
import { readPidFile } from "../pid_file.ts";
import type { PidFile } from "../pid_file.ts";
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
  const files = target.kind === "folder" ? pidFilesOf(target.config, name) : [];
  await askPrimary("killNode", { name }, target, { withinMs: flags.wait, once: true });
  await allGone(files, flags.wait); // so that `neo start` finds it gone; elsewhere `neo node list` tells
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, name, asked: true });
  output.print(`${output.style("bold", cluster)}: asked storage ${name} to end`);
  output.print(`Next: ${nextCommand("node list", flags)}`);
}

function pidFilesOf({ nodes }: ClusterConfig, name: string): PidFile[] {
  return nodes.filter((node) => node.name === name).flatMap((node) => readPidFile(node) ?? []);
}
