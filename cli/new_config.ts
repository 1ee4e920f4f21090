/** The configuration of a cluster that is made now. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { TRANSACTION_TIMEOUT_MS } from "../core/limits.ts";
import type { ClusterConfig } from "./config.ts";
import type { Plan } from "./plan.ts";
import { HOST } from "./ports.ts";
import { databaseUriOf } from "./stores.ts";

/** An id that nobody else has: of a cluster, of a disk. 32 hexadecimal digits. */
export function newId(): string {
  return randomBytes(16).toString("hex");
}

/** Gives a plan its place: a folder, a name, a port a node on this machine. Its id is new. */
export function newConfig(
  { partitions, replicas, nodes }: Plan,
  place: {
    readonly folder: string;
    readonly cluster: string;
    readonly ports: readonly number[];
    /** Where they listen; an IPv6 address in brackets. */
    readonly host?: string;
    /** A PostgreSQL server for the storages. */
    readonly database?: string;
    readonly passwordFile?: string;
    /** Everybody shows a certificate. */
    readonly tls?: boolean;
  },
): ClusterConfig {
  const { folder, cluster, ports, host = HOST, database, passwordFile, tls = false } = place;
  return {
    folder,
    cluster,
    clusterId: newId(),
    partitions,
    replicas,
    insecure: false,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    ...(tls ? { tls: join(folder, "tls") } : {}),
    nodes: nodes.map((node, index) => ({
      ...node,
      address: `${host}:${ports[index]}`,
      data: join(folder, node.name),
      ...(database === undefined || node.role !== "storage"
        ? {}
        : { database: databaseUriOf(database, cluster, node.name) }),
      ...(passwordFile === undefined || node.role !== "storage" ? {} : { passwordFile }),
    })),
  };
}
