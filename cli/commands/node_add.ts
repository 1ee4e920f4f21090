/** `neo node add` */
import { resolve } from "node:path";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { NodeConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { addStorage } from "../membership.ts";
import { nextFreeName } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { databaseUriOf } from "../stores.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & {
  readonly wait: number;
  readonly weight: number | undefined;
  readonly path: readonly string[] | undefined;
  readonly replace: string | undefined;
  readonly database: string | undefined;
  readonly passwordFile: string | undefined;
};

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  index: is.count,
  address: is.text,
  state: is.text,
  next: is.step,
});

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
  const { weight = 0, path = [], replace = "" } = flags;
  const place = storePlaceOf(target, name, flags, world.cwd);
  const added = await addStorage(cli, target, { name, weight, path, replaces: replace, ...place }, leftMs);
  const { index, address, state } = added;
  const next = nextCommand(replace === "" ? "table tweak" : "node list", flags);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster: clusterNameOf(target),
      name,
      index,
      address,
      state,
      next,
    });
  }
  const how = replace === "" ? "" : ` in place of ${replace}`;
  output.print(`${output.style("bold", clusterNameOf(target))}: added storage ${name} at ${address}${how}`);
  if (replace === "") output.print("It has no cells yet");
  output.print(`Next: ${next}`);
}

/** Where a storage that is made now keeps its data, if not in a file. */
function storePlaceOf(
  target: Target,
  name: string,
  { database, passwordFile }: Pick<Flags, "database" | "passwordFile">,
  cwd: string,
): Pick<NodeConfig, "database" | "passwordFile"> {
  if (database === undefined) return {};
  if (target.kind !== "folder" || target.config.nodes.some((node) => node.name === name)) {
    const hint = "its own neo.toml says where its data are";
    throw new CliError("usage", `Cannot choose a database for ${name}: it is there already`, { hint });
  }
  return {
    database: databaseUriOf(database, target.config.cluster, name),
    ...(passwordFile === undefined ? {} : { passwordFile: resolve(cwd, passwordFile) }),
  };
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
