/** Masters that join a cluster of this machine later: an empty store, and a place in `neo.toml`. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { createMetadata, openMetadata } from "../adapters/sqlite_metadata.ts";
import { certify } from "./certify.ts";
import { processesOf } from "./config.ts";
import type { ClusterConfig, NodeConfig, ProcessConfig } from "./config.ts";
import { runningPidOf } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { append, newNode } from "./new_storage.ts";
import { databaseFileOf } from "./stores.ts";

/** A master of this machine, and the configuration that names it. */
export interface LocalMaster {
  readonly config: ClusterConfig;
  readonly group: ProcessConfig;
  readonly node: NodeConfig;
  /** The identity of its store. */
  readonly diskId: string;
  /** Whether that was made now. */
  readonly made: boolean;
}

/**
 * The master of this name. One that `neo.toml` doesn't name is added to it, on a free port, with an empty store: it waits until the
 * cluster's primary takes it in (B8).
 *
 * @throws CliError (`refused`) when a node of another role has the name, or when the master runs already
 */
export async function masterOf(config: ClusterConfig, name: string): Promise<LocalMaster> {
  const known = config.nodes.find((node) => node.name === name);
  if (known !== undefined && known.role !== "master") {
    throw new CliError("refused", `Cannot add ${name}: it is a node of this cluster, of role ${known.role}`);
  }
  const node = known ?? await newNode(config, name, "master");
  const path = databaseFileOf(node);
  const made = !existsSync(path);
  if (!made && runningPidOf({ name, nodes: [node] }) !== undefined) {
    const hint = `stop it first: neo stop ${name}`;
    throw new CliError("refused", `Cannot add ${name}: it runs, so that its disk's id can't be read`, {
      hint,
    });
  }
  await certify(config, node);
  let diskId = randomBytes(16).toString("hex");
  if (made) {
    mkdirSync(node.data, { recursive: true });
    createMetadata(path, null, diskId);
  } else {
    const store = openMetadata(path);
    ({ diskId } = store.state);
    await store.close();
  }
  const after = known === undefined ? append(config, node) : config;
  const group = processesOf(after).find(({ nodes }) => nodes.some((one) => one.name === name))!;
  return { config: after, group, node, diskId, made };
}
