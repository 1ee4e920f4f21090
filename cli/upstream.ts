/** The admin of a backup that copies: which it is, and what `neo.toml` says of it. */
import { isHere, processesOf } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { runningPidOf } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { changeNode } from "./new_storage.ts";
import { startProcesses } from "./starting.ts";
import { stopProcesses } from "./stopping.ts";

/** The admin that follows: the one that does, else the first of this machine. */
export function followerOf(config: ClusterConfig): NodeConfig {
  const admins = config.nodes.filter((node) => node.role === "admin" && isHere(config, node));
  const admin = admins.find(({ upstream }) => upstream !== undefined) ?? admins[0];
  if (admin !== undefined) return admin;
  const hint = "do this on the machine of an admin of this cluster";
  throw new CliError(
    "refused",
    `Cannot make ${config.cluster} a backup: no admin of it is here, which would copy`,
    { hint },
  );
}

/** Has it follow this cluster from its next start on. */
export function withUpstream(config: ClusterConfig, { name }: NodeConfig, uri: string): ClusterConfig {
  return changeNode(
    config,
    name,
    (part) => `${withoutUpstream(part).trimEnd()}\nupstream = ${JSON.stringify(uri)}\n\n`,
  );
}

/** A node's part of `neo.toml` without the cluster that it follows. */
export function withoutUpstream(part: string): string {
  return part.replace(/^[ \t]*upstream[ \t]*=.*\n?/m, "");
}

/** What an admin may do is told to its process when that begins; so it begins anew. */
export async function restarted(
  cli: Cli,
  config: ClusterConfig,
  { name }: NodeConfig,
  leftMs: () => number,
): Promise<boolean> {
  const groups = processesOf(config).filter(({ nodes }) => nodes.some((node) => node.name === name));
  if (groups.every((group) => runningPidOf(group) === undefined)) return false;
  await stopProcesses(cli, config, groups, leftMs());
  await startProcesses(cli, config, groups, leftMs(), { alone: true });
  return true;
}
