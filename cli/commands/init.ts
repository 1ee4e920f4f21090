/** `neo init` */
import { relative, resolve } from "node:path";
import { systemRandom } from "../../adapters/system.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { isLoopback, uriOf } from "../config.ts";
import type { ClusterConfig } from "../config.ts";
import type { Cli } from "../context.ts";
import { CliError } from "../exit.ts";
import { generateName } from "../names.ts";
import { newConfig } from "../new_config.ts";
import { quoted } from "../next.ts";
import { table } from "../output.ts";
import type { Output } from "../output.ts";
import { evenDeals, inWords, planCluster, storagesMax } from "../plan.ts";
import type { Wishes } from "../plan.ts";
import { findPorts } from "../ports.ts";
import { checkFolder, provision } from "../provision.ts";
import { rememberCluster } from "../target.ts";

type Flags = Wishes & {
  readonly basePort: number | undefined;
  readonly listen: string | undefined;
  readonly database: string | undefined;
  readonly passwordFile: string | undefined;
  readonly tls: boolean;
  readonly json: boolean;
};

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  clusterId: is.text,
  folder: is.text,
  uri: is.text,
  partitions: is.count,
  replicas: is.count,
  storagesMax: is.count,
  evenDeals: is.said("Numbers of storages that all get the same number of cells", is.list(is.count)),
  nodes: is.list(is.object({
    name: is.text,
    role: is.text,
    address: is.text,
    listen: is.optional(is.text),
    data: is.text,
    process: is.text,
    database: is.optional(is.text),
    passwordFile: is.optional(is.text),
    overrides: is.optional(is.byName(is.text)),
    host: is.optional(is.text),
    http: is.optional(is.text),
    httpTokenFile: is.optional(is.text),
    watch: is.optional(is.text),
  })),
  next: is.step,
});

/** Makes a cluster: its folder, its databases, its place in the list of names. */
export default async function init({ output, world }: Cli, flags: Flags, dir: string): Promise<void> {
  const plan = planCluster(flags);
  const { listen } = flags;
  if (listen !== undefined && !flags.tls && !isLoopback(`${listen}:1`)) {
    const hint = "add --tls, so that everybody shows a certificate; or name 127.0.0.1, ::1 or none";
    throw new CliError("usage", `Cannot listen on ${listen} without TLS: it can be reached from elsewhere`, {
      hint,
    });
  }
  const folder = resolve(world.cwd, dir);
  checkFolder(folder);
  const most = storagesMax(plan.partitions, plan.replicas);
  if (plan.storages > most) {
    output.warn(
      `${
        plan.storages - most
      } of ${plan.storages} storages will hold nothing: there are ${most} copies to deal`,
    );
  }
  const random = systemRandom();
  const ports = await findPorts(plan.nodes.length, flags.basePort, random, flags.listen);
  const cluster = flags.name ?? generateName(random);
  const { database, passwordFile } = flags;
  const config = newConfig(plan, {
    folder,
    cluster,
    ports,
    tls: flags.tls,
    ...(flags.listen === undefined ? {} : { host: flags.listen }),
    ...(database === undefined ? {} : { database }),
    ...(passwordFile === undefined ? {} : { passwordFile: resolve(world.cwd, passwordFile) }),
  });
  await provision(config);
  remember(config, output, world.env);
  const next = `neo start -C ${quoted(relative(world.cwd, folder) || ".")}`;
  if (output.json) output.printJson<Of<typeof answer>>({ ...viewOf(config), next });
  else show(config, output, next);
}

/** A name that can't be written down costs a convenience, not the cluster. */
function remember({ cluster, folder }: ClusterConfig, output: Output, env: Cli["world"]["env"]): void {
  try {
    const before = rememberCluster(cluster, folder, env);
    if (before !== undefined) output.warn(`-C ${cluster} meant ${before} until now`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    output.warn(`the name can't be written down, use -C ${quoted(folder)}: ${why}`);
  }
}

function viewOf(config: ClusterConfig): Omit<Of<typeof answer>, "next"> {
  const { cluster, clusterId, folder, partitions, replicas, nodes } = config;
  return {
    cluster,
    clusterId,
    folder,
    uri: uriOf(config),
    partitions,
    replicas,
    storagesMax: storagesMax(partitions, replicas),
    evenDeals: evenDeals(partitions, replicas),
    nodes,
  };
}

function show(config: ClusterConfig, output: Output, next: string): void {
  const { cluster, folder, partitions, replicas, nodes } = config;
  const counts = ["master", "storage", "admin"].map((role) => {
    const count = nodes.filter((node) => node.role === role).length;
    return plural(count, role);
  });
  output.print(`Made cluster ${output.style("bold", cluster)} in ${folder}`);
  output.print(`  ${counts.join(", ")}; ${plural(partitions, "partition")} in ${copies(replicas + 1)}`);
  const rows = nodes.map(({ name, role, address, data, database }) => [
    `  ${name}`,
    role,
    address,
    database ?? data,
  ]);
  for (const line of table(rows, (style, text) => output.style(style, text))) output.print(line);
  const deals = inWords(evenDeals(partitions, replicas));
  if (config.tls !== undefined) output.print(`Everybody shows a certificate; they are in ${config.tls}`);
  output.print(
    `Room for up to ${plural(storagesMax(partitions, replicas), "storage")}; an even deal for ${deals}`,
  );
  output.print(`URI: ${uriOf(config)}`);
  output.print(`Next: ${next}`);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function copies(count: number): string {
  return count === 1 ? "1 copy" : `${count} copies`;
}
