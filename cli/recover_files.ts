/** What the stopped nodes of a folder know of their cluster, and how their masters begin anew. */
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { createMetadata, openMetadata } from "../adapters/sqlite_metadata.ts";
import { StoreOpenError } from "../adapters/store_errors.ts";
import { PartitionTable } from "../core/partition_table.ts";
import { decodeEntry } from "../roles/master/entries.ts";
import type { Finding } from "../roles/master/lost_masters.ts";
import { Metadata } from "../roles/master/metadata.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { CliError } from "./exit.ts";
import { databaseFileOf, openStore } from "./stores.ts";

/** What was read, and which nodes of `neo.toml` have nothing that could be. */
export interface Looked {
  readonly findings: readonly Finding[];
  readonly unread: readonly { readonly name: string; readonly why: string }[];
}

/**
 * Reads the databases of all masters and storages of a folder.
 *
 * @throws StoreOpenError (`inUse`) when a node runs
 */
export async function lookAt(config: ClusterConfig): Promise<Looked> {
  const findings: Finding[] = [];
  const unread: { name: string; why: string }[] = [];
  for (const node of config.nodes) {
    if (node.role === "admin") continue;
    try {
      const found = node.role === "master" ? await masterFinding(node) : await storageFinding(node, config);
      if (found) findings.push(found);
      else unread.push({ name: node.name, why: "it never had a cluster" });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      unread.push({ name: node.name, why: error.message });
    }
  }
  return { findings, unread };
}

/** There is nothing, or nothing that can be read; a node that runs is another matter. */
function isUnreadable(error: unknown): error is Error {
  if (error instanceof CliError) return error.outcome === "notFound";
  return error instanceof StoreOpenError && error.reason !== "inUse";
}

async function masterFinding(node: NodeConfig): Promise<Finding | undefined> {
  const store = openMetadata(databaseFileOf(node));
  const { snapshot, entries, diskId } = store.state;
  await store.close();
  if (!snapshot) return undefined;
  const metadata = Metadata.ofImage(snapshot.image);
  // an empty entry begins a leader's term
  for (const { entry } of entries) if (entry.length > 0) metadata.apply(decodeEntry(entry));
  const { epoch, table } = metadata;
  const none = { newest: [], lastOid: null, lastTtid: null, truncations: 0, packBound: metadata.packBound };
  return { name: node.name, role: "master", diskId, epoch, table, metadata, ...none };
}

async function storageFinding(node: NodeConfig, { clusterId }: ClusterConfig): Promise<Finding> {
  const store = await openStore(node);
  try {
    const { identity, epoch, image, registry, truncations, packBound } = store.state;
    if (identity.clusterId !== clusterId) {
      throw new CliError("refused", `Cannot recover with ${node.name}: its database is another cluster's`, {
        hint: "put the data and the neo.toml that belong together in one folder",
      });
    }
    const marks = await store.read({ read: "marks" });
    if (marks.read !== "marks") throw new Error(`Cannot read ${node.name}: another question was answered`);
    return {
      name: node.name,
      role: "storage",
      diskId: identity.diskId,
      epoch,
      table: image === null ? undefined : PartitionTable.ofImage(image),
      metadata: registry === null ? undefined : Metadata.ofImage(registry),
      newest: marks.lastTids,
      lastOid: marks.lastOid,
      lastTtid: marks.lastTtid,
      truncations,
      packBound,
    };
  } finally {
    await store.close();
  }
}

/** From here on these storages refuse whatever comes with an older epoch. */
export async function fenceAll(nodes: readonly NodeConfig[], epoch: number): Promise<void> {
  for (const node of nodes) {
    const store = await openStore(node);
    try {
      await store.apply([{ op: "epoch", epoch }], { durable: true });
    } finally {
      await store.close();
    }
  }
}

/** Gives a master a new store. What stood there stays beside it, under a name that ends with `before-EPOCH`. */
export function beginAnew(
  node: NodeConfig,
  image: Uint8Array,
  options: { readonly diskId: string; readonly epoch: number },
): void {
  const path = databaseFileOf(node);
  mkdirSync(node.data, { recursive: true });
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, `${path}.before-${options.epoch}${suffix}`);
  }
  createMetadata(path, image, options.diskId);
}
