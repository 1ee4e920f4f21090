/** `neo master add` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { addMaster } from "../membership.ts";
import { nextFreeName } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import { monoMs } from "../wait.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  index: is.count,
  address: is.text,
  next: is.step,
});

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
  const { index, address } = await addMaster(cli, target, name, leftMs);
  const next = nextCommand("master list", flags);
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, name, index, address, next });
  output.print(`${output.style("bold", cluster)}: added master ${name} at ${address}; it votes`);
  output.print(`Next: ${next}`);
}
