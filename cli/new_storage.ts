/** Storages that join a cluster of this machine later: their databases, and their place in `neo.toml`. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { parse, stringify } from "smol-toml";
import { systemRandom } from "../adapters/system.ts";
import { certify } from "./certify.ts";
import {
  CONFIG_FILE,
  hostOf,
  isHere,
  isLoopback,
  listensAt,
  parseConfig,
  processesOf,
  readConfig,
} from "./config.ts";
import type { ClusterConfig, NodeConfig, NodeRole, ProcessConfig } from "./config.ts";
import { CliError } from "./exit.ts";
import { newId } from "./new_config.ts";
import { findPorts, HOST } from "./ports.ts";
import { provideStore } from "./stores.ts";

/** A storage of this machine, and the configuration that names it. */
export interface LocalStorage {
  readonly config: ClusterConfig;
  readonly group: ProcessConfig;
  /** Whether its database was made now. */
  readonly made: boolean;
}

/** A name for the next storage, or the next node of another role: `s` and a number that is free. */
export function nextFreeName({ nodes }: ClusterConfig, letter: string = "s"): string {
  for (let number = 1;; number++) {
    const name = `${letter}${number}`;
    if (!nodes.some((node) => node.name === name)) return name;
  }
}

/**
 * The storage of this name. One that `neo.toml` doesn't name is added to it, on a free port; one without a database, be it
 * new or lost, gets an empty one, with a disk id of its own.
 *
 * @throws CliError (`refused`) when a node of another role has the name
 */
export async function storageOf(
  config: ClusterConfig,
  name: string,
  place: Pick<NodeConfig, "database" | "passwordFile"> = {},
): Promise<LocalStorage> {
  const known = config.nodes.find((node) => node.name === name);
  if (known !== undefined && known.role !== "storage") {
    throw new CliError("refused", `Cannot add ${name}: it is a node of this cluster, of role ${known.role}`);
  }
  const node = known ?? { ...await newNode(config, name), ...place };
  await certify(config, node);
  const made = await makeDatabase(config, node);
  const after = known === undefined ? append(config, node) : config;
  const group = processesOf(after).find(({ nodes }) => nodes.some((one) => one.name === name))!;
  return { config: after, group, made };
}

/** A node to be on this machine, in a folder of its name and on a free port. */
export async function newNode(
  config: ClusterConfig,
  name: string,
  role: NodeRole = "storage",
): Promise<NodeConfig> {
  const { folder, nodes } = config;
  const data = join(folder, name);
  const other = nodes.find((node) => node.data === data);
  if (other !== undefined) {
    throw new CliError("refused", `Cannot add ${name}: its folder ${data} is that of ${other.name}`);
  }
  // beside those that are here, be it by IPv4 or IPv6; never beyond this machine by itself
  const neighbour = nodes.find((node) => isHere(config, node) && isLoopback(listensAt(node)));
  const host = neighbour === undefined ? HOST : hostOf(listensAt(neighbour));
  const [port] = await findPorts(1, undefined, systemRandom(), host);
  return { name, role, address: `${host}:${port}`, data, process: name };
}

/** Makes a storage's database unless there is one; gives whether it was made. */
async function makeDatabase(config: ClusterConfig, node: NodeConfig): Promise<boolean> {
  const { clusterId, cluster, partitions } = config;
  return await provideStore(node, { clusterId, cluster, name: node.name, diskId: newId(), partitions });
}

/** Adds a node behind what stands in `neo.toml`, whose words and order stay. */
export function append(
  { folder }: ClusterConfig,
  { process: _, data, ...rest }: NodeConfig,
): ClusterConfig {
  const table = stringify({ node: [{ ...rest, data: relative(folder, data) }] });
  return rewrite(folder, (text) => `${text.trimEnd()}\n\n${table.trim()}\n`);
}

/**
 * Takes a node out of `neo.toml`, whose other words stay as they are. Its data folder stays.
 *
 * @returns whether it stood there
 */
export function removeNode({ folder, nodes }: ClusterConfig, name: string): boolean {
  if (!nodes.some((node) => node.name === name)) return false;
  rewrite(folder, (text) => {
    const parts = text.split(/^(?=[ \t]*\[\[[ \t]*node[ \t]*\]\])/m);
    return parts.filter((part) => nameIn(part) !== name).join("");
  });
  return true;
}

/** Writes a node's part of `neo.toml` anew; what else stands there stays as it is. */
export function changeNode(
  { folder }: ClusterConfig,
  name: string,
  change: (part: string) => string,
): ClusterConfig {
  return rewrite(folder, (text) => {
    const parts = text.split(/^(?=[ \t]*\[\[[ \t]*node[ \t]*\]\])/m);
    return parts.map((part) => nameIn(part) === name ? change(part) : part).join("");
  });
}

/** The name of the node that a part of `neo.toml` describes. */
function nameIn(part: string): unknown {
  if (!part.trimStart().startsWith("[[")) return undefined;
  const { node } = parse(part);
  return Array.isArray(node) ? (node[0] as { readonly name?: unknown } | undefined)?.name : undefined;
}

/** Writes `neo.toml` anew, if what comes out can be read. */
export function rewrite(folder: string, change: (text: string) => string): ClusterConfig {
  const file = join(folder, CONFIG_FILE);
  const text = change(readFileSync(file, "utf8"));
  parseConfig(text, file);
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
  return readConfig(folder);
}
