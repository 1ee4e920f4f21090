/** Opens the nodes of a cluster: gives each role its adapters, and a host that runs it. */
import type { LogLine } from "../adapters/log.ts";
import { openMetadata } from "../adapters/sqlite_metadata.ts";
import { later, sha256, systemRandom } from "../adapters/system.ts";
import type { Transport } from "../core/ports.ts";
import { formatUri } from "../core/uri.ts";
import type { Credentials } from "../core/uri.ts";
import { AdminMachine } from "../roles/admin/admin.ts";
import { MemberMachine } from "../roles/master/member.ts";
import { Metadata } from "../roles/master/metadata.ts";
import type { MulticastOptions } from "../roles/multicast.ts";
import { StorageMachine } from "../roles/storage/storage.ts";
import { listensAt } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { CliError } from "./exit.ts";
import { adminFigures, masterFigures, storageFigures } from "./figures.ts";
import { hosted } from "./hosting.ts";
import type { Listening, RunningNode } from "./hosting.ts";
import { settingsOf, taking } from "./kept_settings.ts";
import { monitorOf } from "./monitor_file.ts";
import { multicastOf } from "./multicast.ts";
import { databaseFileOf, openStore, reopening, storeNameOf } from "./stores.ts";
import type { StorageStore } from "./stores.ts";
import { credentialsOf, transportWith } from "./tls_folder.ts";

/** Whom a follower copies from and to. */
export interface FollowedClusters {
  /** Name of the admin that runs it. */
  readonly name: string;
  /** The backup. */
  readonly own: { readonly uri: string; readonly tls: Credentials | undefined };
  /** The cluster that it follows. */
  readonly upstream: string;
  readonly log: LogLine;
}

/** A follower that runs. */
export interface RunningFollower {
  /** Ends it between two transactions. Never rejects. */
  end(): Promise<void>;
}

/** What a node needs besides its configuration. */
export interface OpenOptions {
  readonly log: LogLine;
  /** Copies another cluster to that of an admin which is to; without it none does. */
  readonly follow?: (clusters: FollowedClusters) => RunningFollower;
  /** What it listens on and connects by: TCP, unless told. */
  readonly transport?: Transport;
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
  const { log } = options;
  const fresh = () => transportWith(shownBy(node, cluster), (text) => log("warning", text));
  const transport = options.transport ?? await fresh();
  // nodes of one process, on a network of their own, send no datagrams
  const config = options.transport === undefined ? cluster.multicast : undefined;
  const multicast = multicastOf(config, { speaks: node.role === "master", log });
  const output = taking(node, log);
  const { follow } = options;
  const opening = {
    node,
    cluster,
    address: listensAt(node),
    log,
    transport,
    multicast,
    output,
    ...(follow && { follow }),
  };
  switch (node.role) {
    case "master":
      return await openMaster(opening);
    case "storage":
      return node.database === undefined || options.transport !== undefined
        ? (await openStorage(opening)).node
        : await reopening(
          async () => openStorage({ ...opening, transport: await fresh() }),
          (text, facts) => log("warning", text, facts),
          () => settingsOf(node).number("storage.postgresReconnectMs"),
        );
    case "admin":
      return await openAdmin(opening);
  }
}

/** The certificate of a node, in a cluster that has some. */
function shownBy({ role, name }: NodeConfig, { tls }: ClusterConfig): Credentials | undefined {
  return tls === undefined ? undefined : credentialsOf(tls, { role, name });
}

interface Opening extends Listening, Pick<OpenOptions, "follow"> {
  readonly node: NodeConfig;
  readonly cluster: ClusterConfig;
  readonly multicast: { readonly multicast?: MulticastOptions };
}

async function openMaster(opening: Opening): Promise<RunningNode> {
  const { node, cluster } = opening;
  const path = databaseFileOf(node);
  const store = openMetadata(path, { later });
  const { state } = store;
  return await hosted(opening, store, (address) => {
    if (state.snapshot) checkCluster(path, Metadata.ofImage(state.snapshot.image).clusterId, cluster);
    const machine = new MemberMachine({
      state,
      name: node.name,
      address,
      cluster: cluster.cluster,
      clusterId: cluster.clusterId,
      digest: sha256,
      random: systemRandom(),
      ...(node.overrides && { overrides: node.overrides }),
    });
    const serves = ["master", "storage", "client", "admin"] as const;
    const peers = { hello: machine.hello(), serves, ...opening.multicast };
    return { machine, peers, figures: () => masterFigures(machine) };
  });
}

async function openStorage(opening: Opening): Promise<{ node: RunningNode; store: StorageStore }> {
  const { node, cluster } = opening;
  const path = storeNameOf(node);
  const settings = settingsOf(node, opening.log);
  const store = await openStore(node, settings);
  const running = await hosted(opening, store, (address) => {
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
      address: reachedAt(node, address),
      digest: sha256,
      transactionTimeoutMs: cluster.transactionTimeoutMs,
      settings,
    });
    const serves = ["client", "storage"] as const;
    const { revoked, times } = settings;
    const peers = { hello: machine.hello(), serves, times, revoked, ...opening.multicast };
    return { machine, peers, figures: () => storageFigures(machine, store.freeBytes()) };
  });
  return { node: running, store };
}

async function openAdmin(opening: Opening): Promise<RunningNode> {
  const { name } = opening.node;
  const { cluster, clusterId } = opening.cluster;
  const { watch } = opening.node;
  const settings = settingsOf(opening.node, opening.log);
  const monitor = watch === undefined ? undefined : monitorOf(watch, opening.log, settings);
  const running = await hosted(opening, undefined, (listening) => {
    const address = reachedAt(opening.node, listening);
    const masters = mastersOf(opening.cluster);
    const machine = new AdminMachine({
      cluster,
      clusterId,
      masters,
      name,
      address,
      digest: sha256,
      settings,
    });
    const serves = ["admin"] as const;
    const { revoked, times } = settings;
    const peers = { hello: machine.hello(), serves, times, revoked, ...opening.multicast };
    return { machine, peers, figures: () => adminFigures(machine) };
  });
  void monitor?.look();
  const follower = followerOf(opening);
  void running.done.then(() => Promise.all([monitor?.end(), follower?.end()]));
  return running;
}

/** Copies another cluster to this one, if this admin is to. */
function followerOf({ node, cluster, log, follow }: Opening): RunningFollower | undefined {
  const { name, upstream } = node;
  if (upstream === undefined || follow === undefined) return undefined;
  const own = { uri: ownUriOf(cluster), tls: shownBy(node, cluster) };
  return follow({ name, own, upstream, log });
}

/** The cluster, without what anybody else shows. */
function ownUriOf(cluster: ClusterConfig): string {
  return formatUri({ cluster: cluster.cluster, masters: mastersOf(cluster), options: {} });
}

function checkCluster(path: string, clusterId: string, cluster: ClusterConfig): void {
  if (clusterId === cluster.clusterId) return;
  const message =
    `Cannot use ${path} in cluster ${cluster.cluster}: it belongs to a cluster with another id, ${clusterId}`;
  throw new CliError("refused", message, {
    hint: "put the data and the neo.toml that belong together in one folder",
  });
}

/** Where others reach a node: at its address, unless it listens there and the system has chosen the port. */
function reachedAt(node: NodeConfig, listening: string): string {
  return node.listen === undefined ? listening : node.address;
}

function mastersOf(cluster: ClusterConfig): string[] {
  return cluster.nodes.filter(({ role }) => role === "master").map(({ address }) => address);
}
