/**
 * The client library of neo, for Deno and Node: `connect()`, snapshots, transactions, errors.
 *
 * @module
 */
import { UnreachableError } from "./core/errors.ts";
import { REQUEST_TIMEOUT_MS } from "./core/limits.ts";
import { parseUri } from "./core/uri.ts";
import { Caller } from "./roles/client/caller.ts";
import { ClientMachine } from "./roles/client/client.ts";
import { Client } from "./roles/client/library.ts";
import { Host } from "./roles/host.ts";

export {
  AbortedError,
  type Conflict,
  ConflictError,
  DatabaseError,
  type ErrorCode,
  LockTimeoutError,
  OutcomePendingError,
  RefusedError,
  UnreachableError,
} from "./core/errors.ts";
export { type Oid, type Tid, toOid, toTid, type Ttid } from "./core/ids.ts";
export { dateOfTid, tidOfDate } from "./core/tid.ts";
export { UriError } from "./core/uri.ts";
export { type CallOptions, type PublishListener } from "./roles/client/caller.ts";
export { type LoadedRevision } from "./roles/client/calls.ts";
export { Client, type SnapshotOptions, type TidRange } from "./roles/client/library.ts";
export { Snapshot, Transaction, type TransactionNote } from "./roles/client/transaction.ts";

export { type ObjectRecord, type TransactionRecord, type TransactionSource } from "./core/records.ts";
export { type CopyProgress, type Restoration, type RestoredNote } from "./roles/client/restoring.ts";

/** How to connect. */
export interface ConnectOptions {
  /** How long to wait for the cluster, in ms; 30,000 unless told. */
  readonly withinMs?: number;
  /** Gives the attempt up. */
  readonly signal?: AbortSignal;
  /** What the cluster's logs call this client. */
  readonly name?: string;
  /** Where the client says what it sees. */
  readonly log?: (
    level: "debug" | "info" | "warning" | "error",
    text: string,
    facts?: { readonly [name: string]: unknown },
  ) => void;
}

/**
 * Connects to a cluster, and stays connected: a primary or storage that goes away is replaced without a word.
 *
 * @param target `neo://NAME@HOST:PORT,HOST:PORT`, the cluster's name and masters
 * @throws UriError when the target can't be read
 * @throws RefusedError when the cluster says no (another name, another version)
 * @throws UnreachableError when it doesn't let the client in in time
 */
export async function connect(target: string, options: ConnectOptions = {}): Promise<Client> {
  const { cluster, masters } = parseUri(target);
  // adapters are imported when they are needed, so that a program may be bundled, or run, without them
  const [{ TcpTransport }, { SystemClock, sha256, systemRandom, zlibCompression }] = await Promise.all([
    import("./adapters/tcp.ts"),
    import("./adapters/system.ts"),
  ]);
  options.signal?.throwIfAborted();
  const ports = { digest: sha256, compression: zlibCompression, random: systemRandom() };
  const machine = new ClientMachine({ cluster, masters, name: options.name ?? "", ports });
  const ended = Promise.withResolvers<void>();
  const caller: Caller = new Caller((call) => host.call(call as never));
  const host = new Host(machine, {
    clock: new SystemClock({ keepsProcess: true }), // a program that waits for us goes on running
    transport: new TcpTransport(),
    log: options.log ?? (() => {}),
    output: (output) => caller.take(output),
    stopped: (error) => {
      caller.end(
        new UnreachableError(error?.message ?? "Cannot go on: this client is closed", { code: "lost" }),
      );
      ended.resolve();
    },
  }, { hello: machine.hello(), serves: [] });
  const close = (): Promise<void> => {
    host.terminate();
    return ended.promise;
  };
  const abort = (): void => void close();
  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    await caller.call("connect", {}, options.withinMs ?? REQUEST_TIMEOUT_MS);
  } catch (error) {
    await close();
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
  return new Client(caller, close);
}
