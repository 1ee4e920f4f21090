/** What an operator gets to see of a cluster. */
import { ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex } from "../../core/ids.ts";
import type { Answer, NodeReport } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Metadata } from "./metadata.ts";
import type { Site } from "./site.ts";
import type { StorageNode, Storages } from "./storages.ts";

/** The cluster in one answer. */
export function reportOf(parts: {
  site: Site;
  storages: Storages;
  name: string;
  /** Names of the admins that are connected. */
  admins: readonly string[];
  clients: number;
  oldestSnapshot: Answer<"status">["oldestSnapshot"];
  waitingFor: string;
  backup: Answer<"status">["backup"];
  pack: Answer<"status">["pack"];
}): Answer<"status"> {
  const { site, storages, name, admins, clients, oldestSnapshot, waitingFor, backup, pack } = parts;
  const { metadata, table } = site;
  const nodes = metadata.nodes.map((registered): NodeReport => {
    const { index, name: nodeName, role, address } = registered;
    const node = storages.all.find((one) => one.index === index);
    if (node) return storageReport(site, node);
    const isThere = nodeName === name || site.circle.others.includes(index);
    const state = isThere || (role === "admin" && admins.includes(nodeName))
      ? "running"
      : "unavailable";
    return { index, name: nodeName, role, address, state, cells: 0, readable: 0, problem: null };
  });
  for (const [strangerName, { address }] of storages.strangers) {
    const problem = "its disk id isn't in the registry: put its own folder back, or replace the node";
    nodes.push({
      index: 0,
      name: strangerName,
      role: "storage",
      address,
      state: "unknown",
      cells: 0,
      readable: 0,
      problem,
    });
  }
  return {
    clusterId: metadata.clusterId,
    cluster: metadata.cluster,
    state: site.phase,
    primary: name,
    epoch: site.epoch,
    generation: table.generation,
    version: table.version,
    partitions: table.partitions,
    replicas: table.replicas,
    origin: metadata.origin,
    lastTid: site.lastTid,
    clients,
    oldestSnapshot,
    waitingFor,
    nodes,
    backup,
    pack,
  };
}

/** What a master knows of its cluster that isn't the primary, while there is none. */
export function reportWithoutPrimary(
  metadata: Metadata,
  { name, others, waitingFor }: {
    readonly name: string;
    /** Indexes of the masters that are connected to it. */
    readonly others: readonly number[];
    readonly waitingFor: string;
  },
): Answer<"status"> {
  const { clusterId, cluster, table, epoch, origin } = metadata;
  const nodes = metadata.nodes.map(({ index, name: nodeName, role, address }): NodeReport => {
    const cells = role === "storage" ? table.cellsOf(index as NodeIndex) : [];
    return {
      index,
      name: nodeName,
      role,
      address,
      state: nodeName === name || others.includes(index) ? "running" : "unavailable",
      cells: cells.length,
      readable: cells.filter(({ cell }) => isReadable(cell)).length,
      problem: null,
    };
  });
  const { generation, version, partitions, replicas } = table;
  return {
    clusterId,
    cluster,
    state: "noPrimary",
    primary: "",
    epoch,
    generation,
    version,
    partitions,
    replicas,
    origin,
    lastTid: ZERO_TID,
    clients: 0,
    oldestSnapshot: null,
    waitingFor,
    nodes,
    backup: metadata.upstream === ""
      ? null
      : { of: metadata.upstream, follower: "", newest: null, problem: "" },
    pack: metadata.packBound === ZERO_TID ? null : { bound: metadata.packBound, packing: [] },
  };
}

function storageReport(site: Site, node: StorageNode): NodeReport {
  const cells = site.table.cellsOf(node.index);
  return {
    index: node.index,
    name: node.name,
    role: "storage",
    address: node.address,
    state: node.state,
    cells: cells.length,
    readable: cells.filter(({ cell }) => isReadable(cell)).length,
    problem: node.trouble,
  };
}
