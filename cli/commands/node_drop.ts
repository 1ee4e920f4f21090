/** `neo node drop` */
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
  dropped: is.said("False: it was no member", is.flag),
  data: is.optional(is.said("Its data folder on this machine, which stays", is.text)),
});

/** Removes a storage from the cluster, and from the neo.toml of this machine. Its data stay where they are. */
export default async function nodeDrop(cli: Cli, flags: Flags, name: string): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const config = target.kind === "folder" ? target.config : undefined;
  const { nodes } = await askPrimary("listNodes", {}, target, { withinMs: flags.wait });
  const member = nodes.find((node) => node.name === name && node.index > 0);
  const local = config?.nodes.find((node) => node.name === name && node.role === "storage");
  if (member === undefined && local === undefined) {
    const names = nodes.filter(({ index }) => index > 0).map((node) => node.name).join(", ");
    throw new CliError("notFound", `Cannot drop ${name}: no storage has this name`, {
      hint: `storages: ${names}`,
    });
  }
  if (!flags.yes) {
    const cells = member?.cells ?? 0;
    const what = `storage ${name} would be a member no more, and its ${cells} cells given up`;
    await confirm(cli, { cluster: clusterNameOf(target), what, refusal: unsure(name, cells, flags) });
  }
  if (member) await askPrimary("dropNode", { name }, target, { withinMs: flags.wait, once: true });
  if (config && local) await forgetNode(config, name, member !== undefined);
  const cluster = clusterNameOf(target);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      name,
      dropped: member !== undefined,
      data: local?.data,
    });
  }
  output.print(`${output.style("bold", cluster)}: storage ${name} is a member no more`);
  if (local) output.print(`Its data stay in ${local.data}; remove the folder when nobody needs it`);
  output.print(`Next: ${nextCommand("table tweak", flags)}`);
}

function unsure(name: string, cells: number, flags: CommonFlags): CliError {
  const hint = `repeat with --yes; to move its copies elsewhere first: ${
    nextCommand(`node drain ${name}`, flags)
  }`;
  return new CliError("usage", `Cannot drop ${name} without --yes: its ${cells} cells would be given up`, {
    hint,
  });
}
