/**
 * The client library of neo, for Deno and Node: `connect()`, snapshots, transactions, changes, errors.
 *
 * Importing it loads no adapter: what connects, compresses or keeps data is imported by `connect()`.
 *
 * @module
 */
import { UnreachableError } from "./core/errors.ts";
import { PARTITIONS_DEFAULT, PARTITIONS_MAX } from "./core/limits.ts";
import type { Transport } from "./core/ports.ts";
import { credentialsIn, parseUri, UriError } from "./core/uri.ts";
import type { Credentials } from "./core/uri.ts";
import { Caller } from "./roles/client/caller.ts";
import { ClientMachine } from "./roles/client/client.ts";
import { Client } from "./roles/client/library.ts";
import { Host } from "./roles/host.ts";
import type { PeersOptions } from "./roles/peer_options.ts";

export {
  AbortedError,
  type Conflict,
  ConflictError,
  DatabaseError,
  type ErrorCode,
  LockTimeoutError,
  OutcomePendingError,
  PackedError,
  RefusedError,
  UndoError,
  UnreachableError,
} from "./core/errors.ts";
export { type Oid, type Tid, toOid, toTid, type Ttid } from "./core/ids.ts";
export { dateOfTid, tidOfDate } from "./core/tid.ts";
export { type Credentials, UriError } from "./core/uri.ts";
export { type CallOptions, type PublishListener } from "./roles/client/caller.ts";
export { type LoadedRevision } from "./roles/client/calls.ts";
export { type Change, type ChangesOptions } from "./roles/client/changes.ts";
export { Client, type ListOptions, type SnapshotOptions, type TidRange } from "./roles/client/library.ts";
export { type PastRevision } from "./roles/client/past.ts";
export { type ObjectConflict, type Resolver } from "./roles/client/resolving.ts";
export { type BeginOptions, type Transacted, type TransactOptions } from "./roles/client/transact.ts";
export { Snapshot, Transaction, type TransactionNote } from "./roles/client/transaction.ts";
export { type ByteSource, type StreamedValue, type WholeRevision } from "./roles/client/values.ts";

export { type ObjectRecord, type TransactionRecord, type TransactionSource } from "./core/records.ts";
export {
  type CopyOptions,
  type CopyProgress,
  type Restoration,
  type RestoredNote,
} from "./roles/client/restoring.ts";

/** A cluster that this process keeps in a folder and runs while it is connected. */
export interface DirectoryTarget {
  /**
   * The folder, which is made at the first `connect` and holds what was committed at every later one. Only one process,
   * and one client, has it open at a time. It is one that `neo start -C FOLDER` can serve later, to many.
   */
  readonly directory: string | URL;
  readonly memory?: never;
  /** Partitions of a cluster that is made now, 240 unless told: the most storages that it can ever be spread over. */
  readonly partitions?: number;
}

/** A cluster in the memory of this process, for tests: empty at each `connect`, and gone when its client is closed. */
export interface MemoryTarget {
  readonly memory: true;
  readonly directory?: never;
  readonly partitions?: number;
}

/** `neo://NAME@HOST:PORT,HOST:PORT` (a cluster's name and its masters), a folder, or memory. */
export type ConnectTarget = string | DirectoryTarget | MemoryTarget;

/** How to connect. */
export interface ConnectOptions {
  /** How long to wait for the cluster, in ms; 30,000 unless told. */
  readonly withinMs?: number;
  /** Gives the attempt up. */
  readonly signal?: AbortSignal;
  /** What the cluster's logs call this client. */
  readonly name?: string;
  /** Memory for revisions that were read, in bytes: 32 MiB unless told, 0 keeps none. */
  readonly cacheBytes?: number;
  /** Asks a second copy when a storage takes longer than nearly all answers did lately; no, unless told. */
  readonly hedges?: boolean;
  /** For a cluster with TLS: PEM texts, or paths. Without it the URI may say them: `?ca=FILE&cert=FILE&key=FILE`. */
  readonly tls?: Credentials;
  /** Hears what many are told by multicast, if the cluster sends it: by the network of this address, or any (true). */
  readonly multicast?: true | string;
  /** Where the client, and the nodes that it runs, say what they see. */
  readonly log?: (
    level: "debug" | "info" | "warning" | "error",
    text: string,
    facts?: { readonly [name: string]: unknown },
  ) => void;
}

/**
 * Connects to a cluster, and stays connected: a primary or storage that goes away is replaced without a word. A folder or
 * memory is a cluster in this process; it opens no port, and ends when the client is closed.
 *
 * @throws TypeError when the target is none of the three forms, UriError when a text can't be read
 * @throws RefusedError when the cluster says no (another name, another version), or the folder is open already
 * @throws UnreachableError when it doesn't let the client in in time
 * @throws DatabaseError `ioError` when a folder can't be made or read
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { connect } from "./mod.ts";
 *
 * await using client = await connect({ memory: true });
 * const oid = await client.newOid();
 * const tx = await client.begin();
 * tx.store(oid, new TextEncoder().encode("hello"));
 * await tx.commit();
 *
 * const snapshot = await client.snapshot();
 * assert.equal(new TextDecoder().decode((await snapshot.load(oid))?.data), "hello");
 * ```
 */
export async function connect(target: ConnectTarget, options: ConnectOptions = {}): Promise<Client> {
  const { signal, log = () => {}, name = "" } = options;
  signal?.throwIfAborted();
  const place = await placeOf(target, log, options.tls);
  const { SystemClock, sha256, systemRandom, zlibCompression } = await import("./adapters/system.ts");
  const { cluster, masters, transport, nodes } = place;
  const ports = { digest: sha256, compression: zlibCompression, random: systemRandom() };
  const { cacheBytes, hedges } = options;
  const machine = new ClientMachine({
    cluster,
    masters,
    name,
    ports,
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
    ...(hedges === undefined ? {} : { hedges }),
  });
  const caller: Caller = new Caller(
    (event) => host.call(event as never),
    machine,
  );
  let clientEnded: () => void;
  const ended = new Promise<void>((resolve) => clientEnded = resolve);
  const host = new Host(machine, {
    clock: new SystemClock({ keepsProcess: true }), // a program that waits for us goes on running
    transport,
    log,
    output: (output) => caller.take(output),
    stopped: (error) => {
      const message = error?.message ?? "Cannot go on: this client is closed";
      caller.end(new UnreachableError(message, { code: "lost" }));
      clientEnded();
    },
  }, { hello: machine.hello(), serves: [], ...place.nodes ? {} : await multicastOf(options.multicast, log) });
  let failed = false;
  void nodes?.ended.then((error) => {
    if (error === undefined) return;
    failed = true;
    caller.end(error);
    host.kill(); // nobody is left to answer it
    void transport.shutdown().then(clientEnded);
  });
  const close = async (): Promise<void> => {
    host.terminate();
    await ended;
    nodes?.terminate();
    const before = failed; // then the program knows
    const error = await nodes?.ended;
    if (error && !before) throw error;
  };
  try {
    await caller.call("connect", {}, options);
  } catch (error) {
    await close();
    throw error;
  }
  return new Client(caller, close);
}

/** Nodes that run here for one client alone. */
interface Nodes {
  readonly cluster: string;
  readonly masters: readonly string[];
  /** Resolves when all have ended: with what stood in the way of one, unless they were asked to. */
  readonly ended: Promise<Error | undefined>;
  transport(): Transport;
  terminate(): void;
}

/** What hears notices by multicast; without the option nothing of it is loaded. */
async function multicastOf(
  multicast: ConnectOptions["multicast"],
  log: NonNullable<ConnectOptions["log"]>,
): Promise<Pick<PeersOptions, "multicast">> {
  if (multicast === undefined) return {};
  const { sha256 } = await import("./adapters/system.ts");
  const { UdpMulticast } = await import("./adapters/udp.ts");
  const network = multicast === true ? {} : { networkInterface: multicast };
  const port = new UdpMulticast({ ...network, log: (text, facts) => log("warning", text, facts) });
  return { multicast: { port, digest: sha256 } };
}

/** Where a client finds its cluster. */
interface Place {
  readonly cluster: string;
  readonly masters: readonly string[];
  readonly transport: Transport;
  readonly nodes?: Nodes;
}

/** What a target needs is imported when it is meant, so that a program may be bundled, or run, without the rest. */
async function placeOf(
  target: ConnectTarget,
  log: NonNullable<ConnectOptions["log"]>,
  tls: Credentials | undefined,
): Promise<Place> {
  if (typeof target === "string") {
    if (!target.includes("://")) {
      const hint = `; for a database in a folder: connect({ directory: ${JSON.stringify(target)} })`;
      throw new UriError(target, 0, '"neo://"', hint);
    }
    const parsed = parseUri(target);
    const { cluster, masters } = parsed;
    return { cluster, masters, transport: await transportTo(tls ?? credentialsIn(parsed), log) };
  }
  const { directory, memory, partitions } = formOf(target);
  if (
    partitions !== undefined
    && !(Number.isInteger(partitions) && 1 <= partitions && partitions <= PARTITIONS_MAX)
  ) {
    throw new RangeError(`Cannot connect with ${partitions} partitions: expected 1 to ${PARTITIONS_MAX}`);
  }
  if (memory) {
    const { openMemory } = await import("./cli/embedded_memory.ts");
    return placeIn(await openMemory({ partitions: partitions ?? PARTITIONS_DEFAULT, log }));
  }
  const { openDirectory } = await import("./cli/embedded_directory.ts");
  return placeIn(await openDirectory({ directory, partitions, log }));
}

/** Of a cluster with certificates, or without. */
async function transportTo(
  tls: Credentials | undefined,
  log: NonNullable<ConnectOptions["log"]>,
): Promise<Transport> {
  if (tls !== undefined) {
    const { tlsTransport } = await import("./adapters/tls_files.ts");
    return tlsTransport(tls, (text) => log("warning", text));
  }
  const { TcpTransport } = await import("./adapters/tcp.ts");
  return new TcpTransport();
}

function placeIn(nodes: Nodes): Place {
  const { cluster, masters } = nodes;
  return { cluster, masters, transport: nodes.transport(), nodes };
}

/** Programs in plain JavaScript, too, hear what a target may be. */
function formOf(target: DirectoryTarget | MemoryTarget): DirectoryTarget | MemoryTarget {
  const { directory, memory } = (target ?? {}) as { directory?: unknown; memory?: unknown };
  const isFolder = (typeof directory === "string" && directory !== "") || directory instanceof URL;
  if (isFolder ? memory === undefined : memory === true && directory === undefined) return target;
  const forms = '"neo://NAME@HOST:PORT", { directory: "PATH" } or { memory: true }';
  const shown = typeof target === "object" && target !== null
    ? `{${Object.keys(target).join(", ")}}`
    : String(target);
  throw new TypeError(`Cannot connect to ${shown}: expected ${forms}`);
}
