/** `neo master add` */
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { masterOf } from "../new_master.ts";
import { nextFreeName } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { startProcesses } from "../starting.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import { monoMs } from "../wait.ts";

/** Makes and starts a master on this machine, has the primary take it in, and waits until it votes. */
export default async function masterAdd(
  cli: Cli,
  flags: CommonFlags & { readonly wait: number },
  given?: string,
): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  if (target.kind !== "folder") {
    const hint = "run this in a folder with the cluster's neo.toml, on the machine where it is to be";
    throw new CliError("usage", "Cannot add a master to a cluster elsewhere", { hint });
  }
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const name = given ?? nextFreeName(target.config, "m");
  await askPrimary("listMasters", {}, target, { withinMs: leftMs() });
  const { config, group, node, diskId, made } = await masterOf(target.config, name);
  if (made) output.note(`Made master ${name} in ${node.data}`);
  await startProcesses(cli, config, [group], leftMs(), { alone: true });
  const body = { name, address: node.address, diskId };
  const { index } = await askPrimary("addMaster", body, target, { withinMs: leftMs() });
  const next = nextCommand("master list", flags);
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson({ cluster, name, index, address: node.address, next });
  output.print(`${output.style("bold", cluster)}: added master ${name} at ${node.address}; it votes`);
  output.print(`Next: ${next}`);
}
