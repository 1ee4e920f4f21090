/**
 * `connect({ directory })`: a cluster that a program keeps in a folder, and runs while it is connected. The folder is
 * one that `neo init --single` could have made, so that it grows into one that `neo start` serves. Its databases are open
 * exclusively, the master's first: while they are, no other process, and no second `connect`, can open any of it.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { LogLine } from "../adapters/log.ts";
import { StoreOpenError } from "../adapters/store_errors.ts";
import { systemRandom } from "../adapters/system.ts";
import { DatabaseError, RefusedError } from "../core/errors.ts";
import { CONFIG_FILE, readConfig } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { EmbeddedNodes, logOf } from "./embedded_nodes.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import { generateName } from "./names.ts";
import { newConfig } from "./new_config.ts";
import { openNode } from "./nodes.ts";
import { planCluster } from "./plan.ts";
import { drawPorts } from "./ports.ts";
import { checkFolder, provision } from "./provision.ts";

/** What is opened, and how it is made if it isn't there. */
export interface DirectoryOptions {
  readonly directory: string | URL;
  /** Of a cluster that is made now; one that is there must have as many. Undefined: whatever it has, or the default. */
  readonly partitions: number | undefined;
  readonly log: LogLine;
}

/**
 * Runs the cluster of a folder, and makes it first if there is none.
 *
 * @throws RefusedError (`denied`) when another has it open, or something else stands there
 * @throws DatabaseError (`ioError`) when the system refuses
 */
export async function openDirectory(options: DirectoryOptions): Promise<EmbeddedNodes> {
  const { directory, log } = options;
  const folder = resolve(directory instanceof URL ? fileURLToPath(directory) : directory);
  try {
    const config = await configOf(folder, options);
    const masters = nodesOf(config, "master");
    const nodes = new EmbeddedNodes(config.cluster, masters.map(({ address }) => address));
    try {
      for (const node of [...masters, ...nodesOf(config, "storage")]) {
        const own = { log: logOf(node.name, log), transport: nodes.transport() };
        nodes.add(node.name, await openNode(node, config, own));
      }
      return nodes;
    } catch (error) {
      nodes.terminate();
      await nodes.ended;
      throw error;
    }
  } catch (error) {
    throw openErrorOf(folder, error);
  }
}

function nodesOf(config: ClusterConfig, role: NodeConfig["role"]): NodeConfig[] {
  return config.nodes.filter((node) => node.role === role);
}

async function configOf(folder: string, { partitions }: DirectoryOptions): Promise<ClusterConfig> {
  if (!existsSync(join(folder, CONFIG_FILE))) return await make(folder, partitions);
  const config = readConfig(folder);
  if (partitions === undefined || partitions === config.partitions) return config;
  const message =
    `Cannot open ${folder} with ${partitions} partitions: it was made with ${config.partitions}`;
  throw new RefusedError("denied", `${message}; leave the number away`);
}

/** Its nodes get ports for the day on which they listen; nobody looks now whether these are free. */
async function make(folder: string, partitions: number | undefined): Promise<ClusterConfig> {
  checkFolder(folder);
  const random = systemRandom();
  const nothing = { name: undefined, masters: undefined, storages: undefined, replicas: undefined };
  const plan = planCluster({ ...nothing, partitions, single: true });
  const ports = drawPorts(plan.nodes.length, random);
  const config = newConfig(plan, { folder, cluster: generateName(random), ports });
  await provision(config);
  return config;
}

/** Says in the program's words what stood in the way. */
function openErrorOf(folder: string, error: unknown): unknown {
  if (error instanceof DatabaseError) return error;
  if (error instanceof CliError) {
    const hint = error.hint === "" ? "" : `; ${error.hint}`;
    return new RefusedError("denied", `${error.message}${hint}`, { cause: error });
  }
  if (error instanceof StoreOpenError && error.reason === "inUse") {
    const message = `Cannot open ${folder}: it is open already, here or in another process; `
      + "close it there, or connect to the neo:// URI of the cluster that runs";
    return new RefusedError("denied", message, { cause: error });
  }
  if (error instanceof StoreOpenError) return new DatabaseError("ioError", error.message, { cause: error });
  const code = systemCodeOf(error);
  if (code === undefined) return error;
  const message = `Cannot open ${folder}: ${(error as Error).message}; look at its owner and its disk`;
  return new DatabaseError("ioError", message, { cause: error });
}
