/** `neo master remove` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { forgetNode } from "../membership.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

type Flags = CommonFlags & { readonly wait: number; readonly yes: boolean };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  removed: is.said("False: it was no member", is.flag),
  data: is.optional(is.said("Its data folder on this machine, which stays", is.text)),
});

/** Removes a master from the cluster, and from the neo.toml of this machine. Its data stay where they are. */
export default async function masterRemove(
  cli: Cli,
  flags: Flags,
  name: string,
): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const { masters } = await askPrimary("listMasters", {}, target, { withinMs: flags.wait });
  const config = target.kind === "folder" ? target.config : undefined;
  const local = config?.nodes.find((node) => node.name === name && node.role === "master");
  const member = masters.find((master) => master.name === name);
  if (member === undefined && local === undefined) {
    const hint = `masters: ${masters.map((master) => master.name).join(", ")}`;
    throw new CliError("notFound", `Cannot remove ${name}: no master has this name`, { hint });
  }
  if (!flags.yes) {
    const left = masters.filter((master) => master.votes && master !== member).length;
    const hint = `repeat with --yes; ${left} masters vote then, and ${
      Math.ceil(left / 2) - 1
    } of them may fail`;
    const refusal = new CliError("usage", `Cannot remove ${name} without --yes`, { hint });
    const what = `master ${name} would be removed, and ${left} vote then`;
    await confirm(cli, { cluster: clusterNameOf(target), what, refusal });
  }
  if (member) await askPrimary("removeMaster", { name }, target, { withinMs: flags.wait, once: true });
  if (config && local) await forgetNode(config, name, true);
  const cluster = clusterNameOf(target);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      name,
      removed: member !== undefined,
      data: local?.data,
    });
  }
  output.print(`${output.style("bold", cluster)}: ${name} is a master no more`);
  if (local) output.print(`Its data stay in ${local.data}; remove the folder when nobody needs it`);
  output.print(`Next: ${nextCommand("master list", flags)}`);
}
