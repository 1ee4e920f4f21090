/** A client of a cluster for commands: calls in, results out. */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { sha256, SystemClock, systemRandom, zlibCompression } from "../adapters/system.ts";
import { TcpTransport } from "../adapters/tcp.ts";
import { UnreachableError } from "../core/errors.ts";
import { parseUri } from "../core/uri.ts";
import type { CallName, Calls, ClientCall, ClientOutput } from "../roles/client/calls.ts";
import { ClientMachine } from "../roles/client/client.ts";
import type { ClientEvent } from "../roles/client/client.ts";
import { Host } from "../roles/host.ts";
import type { Target } from "./target.ts";

/** How long a command waits until the cluster lets it in. */
const CONNECT_WITHIN_MS = 15_000;
/** How long it waits for each answer, past which it fails; a cluster may recover meanwhile. */
const CALL_WITHIN_MS = 60_000;

/** A client that the cluster has let in. */
export interface CallClient {
  /** @throws DatabaseError saying what stood in the way */
  call<N extends CallName>(name: N, request: Calls[N]["request"]): Promise<Calls[N]["result"]>;
  close(): Promise<void>;
}

/**
 * Connects to a cluster.
 *
 * @throws UnreachableError when it doesn't let us in in time, RefusedError when it never will
 */
export async function openClient(target: Target): Promise<CallClient> {
  const client = new HostedClient(target);
  try {
    await client.call("connect", {}, CONNECT_WITHIN_MS);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** Runs `work` with a client and closes it, whatever happens. */
export async function withClient<T>(target: Target, work: (client: CallClient) => Promise<T>): Promise<T> {
  const client = await openClient(target);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

/** The client role on this process's network and clock. */
class HostedClient implements CallClient {
  readonly #host: { call(event: ClientEvent): void; terminate(): void };
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #calls = 0;

  constructor({ uri }: Target) {
    const { cluster, masters } = parseUri(uri);
    const machine = new ClientMachine({
      cluster,
      masters,
      name: `neo-${process.pid}-${randomBytes(4).toString("hex")}`,
      ports: { random: systemRandom(), digest: sha256, compression: zlibCompression },
    });
    let ended: () => void;
    this.#ended = new Promise((resolve) => ended = resolve);
    const ports = {
      clock: new SystemClock({ keepsProcess: true }),
      transport: new TcpTransport(),
      log: () => {},
      output: (output: ClientOutput) => this.#settle(output),
      stopped: (error?: { readonly message: string }) => {
        ended();
        const lost = new UnreachableError(error?.message ?? "Cannot go on: this client is closed", { code: "lost" });
        for (const { reject } of this.#waiting.values()) reject(lost);
      },
    };
    this.#host = new Host(machine, ports, { hello: machine.hello(), serves: [] });
  }

  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    withinMs = CALL_WITHIN_MS,
  ): Promise<Calls[N]["result"]> {
    const call = ++this.#calls;
    return new Promise<Calls[N]["result"]>((resolve, reject) => {
      this.#waiting.set(call, { resolve: resolve as Waiting["resolve"], reject });
      this.#host.call({ type: "call", call, name, request, withinMs } as unknown as ClientCall);
    });
  }

  async close(): Promise<void> {
    this.#host.terminate();
    await this.#ended;
  }

  #settle(output: ClientOutput): void {
    if (output.type === "published") return;
    const waiting = this.#waiting.get(output.call);
    this.#waiting.delete(output.call);
    if (output.type === "settled") waiting?.resolve(output.result);
    else waiting?.reject(output.error);
  }
}
