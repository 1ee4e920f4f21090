/** Gives the nodes of a cluster their certificates, where one has some. */
import { existsSync } from "node:fs";
import { AUTHORITY_DAYS, CERTIFICATE_DAYS } from "../core/limits.ts";
import { hostOf, listensAt } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { credentialsOf, FIRST_CLIENT, issue, makeFolder, OPERATOR } from "./tls_folder.ts";
import type { Holder, Listed } from "./tls_folder.ts";

/** How long a new cluster's certificates are valid: nobody looks after one that was made in passing. */
const FIRST_DAYS = Math.min(2 * CERTIFICATE_DAYS, AUTHORITY_DAYS - 1);

/** Makes an authority, and certificates for all nodes, an operator and a first client. */
export async function certifyCluster(config: ClusterConfig): Promise<void> {
  const { tls, cluster } = config;
  if (tls === undefined) return;
  await makeFolder(tls, cluster);
  for (const node of config.nodes) await certify(config, node);
  for (const holder of [OPERATOR, FIRST_CLIENT]) await certifyHolder(config, holder);
}

/**
 * Makes the certificate of a node that has none, if the cluster's nodes have some.
 *
 * @throws CliError (`refused`) when the authority's key isn't on this machine
 */
export async function certify(config: ClusterConfig, node: NodeConfig): Promise<void> {
  await certifyHolder(config, node, hostsOf(node));
}

async function certifyHolder(
  { tls, cluster }: ClusterConfig,
  holder: Holder,
  hosts: readonly string[] = [],
): Promise<Listed | undefined> {
  if (tls === undefined || existsSync(credentialsOf(tls, holder).cert)) return undefined;
  return await issue({ folder: tls, cluster, days: FIRST_DAYS }, holder, hosts);
}

/** Names and addresses of a node, as certificates have them: without brackets and zones. */
export function hostsOf(node: NodeConfig): string[] {
  const hosts = [node.address, listensAt(node)].map((address) =>
    hostOf(address).replace(/^\[|(%.*)?\]$/g, "")
  );
  return [...new Set(hosts)];
}
