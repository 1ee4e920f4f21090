/** `neo node add` */
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextFreeName, storageOf } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { startProcesses } from "../starting.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & {
  readonly wait: number;
  readonly weight: number | undefined;
  readonly path: readonly string[] | undefined;
  readonly replace: string | undefined;
};

/** Makes and starts the storage if it is to be one of this machine, waits until the primary has seen it, takes it in. */
export default async function nodeAdd(cli: Cli, flags: Flags, given?: string): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const name = given ?? (target.kind === "folder" ? nextFreeName(target.config) : undefined);
  if (name === undefined) {
    throw new CliError("usage", "Cannot add a storage of a cluster elsewhere without its name");
  }
  await checkNew(target, { name, replace: flags.replace }, leftMs());
  if (target.kind === "folder") {
    const { config, group, made } = await storageOf(target.config, name);
    if (made) output.note(`Made storage ${name} in ${group.nodes[0]!.data}`);
    await startProcesses(cli, config, [group], leftMs(), { alone: true });
  }
  const found = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.name === name && node.index === 0),
  });
  const address = found.nodes.find((node) => node.name === name && node.index === 0)?.address;
  if (address === undefined) {
    const hint = "is it started, with this cluster's configuration? Its log says what it waits for";
    throw new CliError("waiting", `Cannot add ${name} yet: it hasn't come to the primary`, { hint });
  }
  const { weight = 0, path = [], replace = "" } = flags;
  const body = { name, weight, path, replaces: replace };
  const { index } = await askPrimary("addNode", body, target, { withinMs: leftMs(), once: true });
  const listed = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.index === index && node.state === "running"),
  });
  const node = listed.nodes.find((one) => one.index === index);
  const next = nextCommand(replace === "" ? "table tweak" : "node list", flags);
  if (output.json) {
    return output.printJson({
      cluster: clusterNameOf(target),
      name,
      index,
      address,
      state: node?.state,
      next,
    });
  }
  const how = replace === "" ? "" : ` in place of ${replace}`;
  output.print(`${output.style("bold", clusterNameOf(target))}: added storage ${name} at ${address}${how}`);
  if (replace === "") output.print("It has no cells yet");
  output.print(`Next: ${next}`);
}

/** Before anything is made: is there a cluster, and room for this name? */
async function checkNew(
  target: Target,
  { name, replace }: { readonly name: string; readonly replace: string | undefined },
  withinMs: number,
): Promise<void> {
  const { nodes } = await askPrimary("listNodes", {}, target, { withinMs });
  const member = nodes.find((node) => node.name === name && node.index > 0);
  if (member === undefined || replace === name) return;
  const hint = replace === undefined && member.state !== "running"
    ? `if its disk is lost, put a new one in its place: --replace ${name}`
    : "";
  throw new CliError("refused", `Cannot add ${name}: it is a member already, and ${member.state}`, { hint });
}
