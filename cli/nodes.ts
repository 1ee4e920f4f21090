/** Opens the nodes of a cluster: gives each role its adapters, and a host that runs it. */
import { join } from "node:path";
import type { LogLine } from "../adapters/log.ts";
import { openDatabase } from "../adapters/sqlite.ts";
import { openMetadata } from "../adapters/sqlite_metadata.ts";
import { later, sha256, SystemClock } from "../adapters/system.ts";
import { TcpTransport } from "../adapters/tcp.ts";
import { PATIENCE_MS } from "../core/limits.ts";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../core/messages.ts";
import type { Hello, WireError } from "../core/messages.ts";
import type { Store } from "../core/ports.ts";
import { AdminMachine } from "../roles/admin/admin.ts";
import { Host } from "../roles/host.ts";
import type { HostedMachine } from "../roles/host.ts";
import { SoloConsensus } from "../roles/master/consensus.ts";
import { MasterMachine } from "../roles/master/master.ts";
import { Metadata } from "../roles/master/metadata.ts";
import { WaitingMaster } from "../roles/master/waiting.ts";
import type { PeersOptions } from "../roles/peer.ts";
import { StorageMachine } from "../roles/storage/storage.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { CliError } from "./exit.ts";

/** A node that listens. */
export interface RunningNode {
  /** Where it listens. */
  readonly address: string;
  /** How it ended: in order without `error`. Never rejects. */
  readonly done: Promise<{ readonly error?: string }>;
  /** Asks it to end in order. */
  terminate(): void;
}

/** What a node needs besides its configuration. */
export interface OpenOptions {
  readonly log: LogLine;
}

/** Where a master or a storage keeps what it must not lose. */
export function databaseFileOf(node: Pick<NodeConfig, "data" | "role">): string {
  return join(node.data, `${node.role}.sqlite`);
}

/**
 * Opens a node: its database, its port.
 *
 * @throws StoreOpenError when another process has its database open, CliError when its database is another node's,
 * Error when it can't listen
 */
export async function openNode(
  node: NodeConfig,
  cluster: ClusterConfig,
  options: OpenOptions,
): Promise<RunningNode> {
  const opening = { node, cluster, log: options.log };
  switch (node.role) {
    case "master":
      return await openMaster(opening);
    case "storage":
      return await openStorage(opening);
    case "admin":
      return await openAdmin(opening);
  }
}

interface Opening {
  readonly node: NodeConfig;
  readonly cluster: ClusterConfig;
  readonly log: LogLine;
}

async function openMaster(opening: Opening): Promise<RunningNode> {
  const { node, cluster } = opening;
  const path = databaseFileOf(node);
  const store = openMetadata(path, { later });
  const { snapshot } = store.state;
  if (snapshot === null) {
    return await hosted(opening, undefined, () => {
      const machine = new WaitingMaster({ name: node.name, cluster: cluster.cluster });
      return { machine, peers: { hello: machine.hello(), serves: ["storage", "client", "admin"] } };
    });
  }
  return await hosted(opening, store, (address) => {
    checkCluster(path, Metadata.ofImage(snapshot.image).clusterId, cluster);
    const machine = new MasterMachine({
      consensus: new SoloConsensus(store.state),
      name: node.name,
      digest: sha256,
    });
    const serves = ["storage", "client", "admin"] as const;
    return { machine, peers: { hello: helloOf(opening, address), serves } };
  });
}

async function openStorage(opening: Opening): Promise<RunningNode> {
  const { node, cluster } = opening;
  const path = databaseFileOf(node);
  const store = openDatabase(path, { later });
  return await hosted(opening, store, (address) => {
    const { identity } = store.state;
    checkCluster(path, identity.clusterId, cluster);
    if (identity.name !== node.name) {
      const hint = "put each folder back where it was";
      throw new CliError("refused", `Cannot use ${path} as ${node.name}: it is that of ${identity.name}`, {
        hint,
      });
    }
    const machine = new StorageMachine({
      state: store.state,
      masters: mastersOf(cluster),
      address,
      digest: sha256,
    });
    return { machine, peers: { hello: machine.hello(), serves: ["client"] } };
  });
}

async function openAdmin(opening: Opening): Promise<RunningNode> {
  const { name } = opening.node;
  const { cluster, clusterId } = opening.cluster;
  return await hosted(opening, undefined, (address) => {
    const masters = mastersOf(opening.cluster);
    const machine = new AdminMachine({ cluster, clusterId, masters, name, address, digest: sha256 });
    return { machine, peers: { hello: machine.hello(), serves: ["admin"] } };
  });
}

function checkCluster(path: string, clusterId: string, cluster: ClusterConfig): void {
  if (clusterId === cluster.clusterId) return;
  const message =
    `Cannot use ${path} in cluster ${cluster.cluster}: it belongs to a cluster with another id, ${clusterId}`;
  throw new CliError("refused", message, {
    hint: "put the data and the neo.toml that belong together in one folder",
  });
}

function mastersOf(cluster: ClusterConfig): string[] {
  return cluster.nodes.filter(({ role }) => role === "master").map(({ address }) => address);
}

interface Built<C, W, Q, R, A, O> {
  readonly machine: HostedMachine<C, W, Q, R, A, never, O>;
  readonly peers: PeersOptions;
}

/** Listens, then runs what `build` makes of the address. The store is closed whatever goes wrong. */
async function hosted<C, W, Q, R, A, O>(
  { node, log }: Opening,
  store: Store<W, Q, A> | undefined,
  build: (address: string) => Built<C, W, Q, R, A, O>,
): Promise<RunningNode> {
  const transport = new TcpTransport();
  try {
    const address = await transport.listen(node.address);
    const { machine, peers } = build(address);
    let ended: (result: { readonly error?: string }) => void;
    const done = new Promise<{ readonly error?: string }>((resolve) => ended = resolve);
    const stopped = (error?: WireError) => ended(error === undefined ? {} : { error: error.message });
    const ports = {
      clock: new SystemClock(),
      transport,
      log,
      output: () => {},
      stopped,
      ...(store && { store }),
    };
    const host = new Host(machine, ports, peers);
    return { address, done, terminate: () => host.terminate() };
  } catch (error) {
    await transport.shutdown();
    await store?.close();
    throw error;
  }
}

function helloOf({ node, cluster }: Opening, address: string): Hello {
  return {
    magic: MAGIC,
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
    clusterId: cluster.clusterId,
    cluster: cluster.cluster,
    role: node.role,
    name: node.name,
    diskId: "",
    address,
    epoch: 0,
    session: 0,
    patienceMs: PATIENCE_MS,
    capabilities: [],
  };
}
