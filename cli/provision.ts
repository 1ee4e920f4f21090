/**
 * Makes what a new cluster consists of. `neo.toml` comes last and by rename: where it stands, everything else does; and
 * where only its forerunner stands, an `init` didn't come to its end.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { createMetadata } from "../adapters/sqlite_metadata.ts";
import { firstImage } from "../roles/master/metadata.ts";
import { certifyCluster } from "./certify.ts";
import { CONFIG_FILE, formatConfig, isHere, UNFINISHED_FILE } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import { newId } from "./new_config.ts";
import { createStore, databaseFileOf, dropStore } from "./stores.ts";

/**
 * Checks that a new cluster may be made in a folder.
 *
 * @throws CliError (`refused`) when something stands there
 */
export function checkFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  const refuse = (why: string, hint: string) =>
    new CliError("refused", `Cannot init ${folder}: ${why}`, { hint });
  if (!found.isDirectory()) throw refuse("it is a file", "name a folder");
  if (existsSync(join(folder, CONFIG_FILE))) {
    throw refuse("a cluster stands there already", `use it: neo status -C ${folder}`);
  }
  if (existsSync(join(folder, UNFINISHED_FILE))) {
    throw refuse(
      "an earlier init there didn't come to its end",
      "remove the folder, it holds no data, and init again",
    );
  }
  if (readdirSync(folder).length > 0) {
    throw refuse("it isn't empty", "name an empty folder, or one to be made");
  }
}

/** Makes the folder with all databases. After an error nothing of it is left; after a crash, a clear sign. */
export async function provision(config: ClusterConfig): Promise<void> {
  const { folder } = config;
  const made = mkdirSync(folder, { recursive: true });
  const unfinished = join(folder, UNFINISHED_FILE);
  try {
    writeDurably(unfinished, formatConfig(config, ({ data }) => relative(folder, data)));
    checkStillFree(folder);
    await certifyCluster(config);
    await makeDatabases(config);
    renameSync(unfinished, join(folder, CONFIG_FILE));
    flushFolder(folder);
    if (made !== undefined) flushFolder(dirname(made));
  } catch (error) {
    if (error instanceof CliError) throw error; // another's folder, of which nothing is ours
    for (const node of config.nodes) rmSync(placeOf(config, node), { recursive: true, force: true });
    if (config.tls !== undefined) rmSync(config.tls, { recursive: true, force: true });
    rmSync(unfinished, { force: true });
    if (made !== undefined) rmSync(made, { recursive: true, force: true });
    throw error;
  }
}

/** Each master and each storage gets a random disk id: that is its identity, whatever its name and address will be. */
async function makeDatabases(config: ClusterConfig): Promise<void> {
  const { cluster, clusterId, partitions, replicas } = config;
  const nodes = config.nodes.map((node) => ({ ...node, diskId: node.role === "admin" ? "" : newId() }));
  const members = nodes.map(({ name, role, address, diskId }) => ({ name, role, address, diskId }));
  const image = firstImage({ clusterId, cluster, partitions, replicas, nodes: members });
  const made: NodeConfig[] = [];
  try {
    for (const node of nodes) {
      await makeNode(config, node, { diskId: node.diskId, image });
      made.push(node);
    }
  } catch (error) {
    for (const node of made) await dropStore(node);
    throw error;
  }
}

/**
 * Makes the folder of a node and its database: its own, or, if another machine runs it, one that is carried there (`bundle.ts`).
 * Masters begin with `image`; without one they wait until the primary takes them in.
 *
 * @returns the identity of its disk
 */
export async function makeNode(
  config: ClusterConfig,
  node: NodeConfig,
  { diskId = newId(), image = null }: { readonly diskId?: string; readonly image?: Uint8Array | null } = {},
): Promise<string> {
  const { cluster, clusterId, partitions } = config;
  const { name, role } = node;
  const data = placeOf(config, node);
  mkdirSync(data, { recursive: true });
  if (role === "storage") {
    await createStore({ ...node, data }, { clusterId, cluster, name, diskId, partitions });
  }
  if (role === "master") createMetadata(databaseFileOf({ role, data }), image, diskId);
  flushFolder(data);
  return diskId;
}

/** Where a node's folder is on this machine. */
export function placeOf(config: ClusterConfig, node: NodeConfig): string {
  return isHere(config, node) ? node.data : join(config.folder, "bundles", node.host!, node.name);
}

function writeDurably(path: string, text: string): void {
  const descriptor = opened(path);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Another may have been quicker between our look at the folder and our taking it. */
function checkStillFree(folder: string): void {
  if (!existsSync(join(folder, CONFIG_FILE))) return;
  rmSync(join(folder, UNFINISHED_FILE));
  const hint = `use it: neo status -C ${folder}`;
  throw new CliError("refused", `Cannot init ${folder}: a cluster stands there already`, { hint });
}

/** Takes the name, so that of two who make a cluster in one folder at the same moment one is refused. */
function opened(path: string): number {
  try {
    return openSync(path, "wx");
  } catch (error) {
    if (systemCodeOf(error) !== "EEXIST") throw error;
    const hint = "let it end, and use what it has made";
    throw new CliError("refused", `Cannot init ${dirname(path)}: another process does so at this moment`, {
      hint,
    });
  }
}

/** Makes names in a folder survive a crash of the machine. */
function flushFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
