/** Clients whose connections lead through proxies, so that a test can break or hold any of them. */
import { sha256, SystemClock, systemRandom, zlibCompression } from "../../adapters/system.ts";
import { TcpTransport } from "../../adapters/tcp.ts";
import type { Conn } from "../../core/ids.ts";
import { CACHE_BYTES_DEFAULT } from "../../core/limits.ts";
import { UnreachableError } from "../../mod.ts";
import { Caller } from "../../roles/client/caller.ts";
import { ClientMachine } from "../../roles/client/client.ts";
import { Client } from "../../roles/client/library.ts";
import { Host } from "../../roles/host.ts";
import { TcpProxy } from "../proxy.ts";
import type { CliCluster } from "./kit.ts";

/** Connects to somewhere else than it is told to. */
class DetouredTransport extends TcpTransport {
  readonly #detours: ReadonlyMap<string, string>;

  constructor(detours: ReadonlyMap<string, string>) {
    super();
    this.#detours = detours;
  }

  override connect(address: string): Conn {
    return super.connect(this.#detours.get(address) ?? address);
  }
}

/** A client that reaches each node of a cluster through a proxy of its own. */
export class DetouredClient implements AsyncDisposable {
  readonly client: Client;
  /** By the name of the node. */
  readonly proxies: ReadonlyMap<string, TcpProxy>;

  private constructor(client: Client, proxies: ReadonlyMap<string, TcpProxy>) {
    this.client = client;
    this.proxies = proxies;
  }

  static async connect(cluster: CliCluster, name: string): Promise<DetouredClient> {
    const proxies = new Map<string, TcpProxy>();
    const detours = new Map<string, string>();
    for (const { name, role, address } of cluster.nodes()) {
      if (role === "admin") continue;
      const proxy = await TcpProxy.start(address);
      proxies.set(name, proxy);
      detours.set(address, proxy.address);
    }
    const masters = cluster.nodes("master").map(({ address }) => address);
    const client = clientOver(new DetouredTransport(detours), {
      cluster: cluster.config.cluster,
      masters,
      name,
    });
    const detoured = new DetouredClient(client, proxies);
    try {
      await client.call("connect", {});
      return detoured;
    } catch (error) {
      await detoured[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await Promise.all([...this.proxies.values()].map((proxy) => proxy.close()));
  }
}

/** What `connect()` makes of a URI, with another transport. */
function clientOver(
  transport: TcpTransport,
  { cluster, masters, name }: { cluster: string; masters: readonly string[]; name: string },
): Client {
  const ports = { digest: sha256, compression: zlibCompression, random: systemRandom() };
  const cacheBytes = CACHE_BYTES_DEFAULT;
  const machine = new ClientMachine({ cluster, masters, name, ports, cacheBytes });
  const ended = Promise.withResolvers<void>();
  const caller: Caller = new Caller(
    (event) => host.call(event as never),
    machine,
  );
  const host = new Host(machine, {
    clock: new SystemClock({ keepsProcess: true }),
    transport,
    log: () => {},
    output: (output) => caller.take(output),
    stopped: () => {
      caller.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
      ended.resolve();
    },
  }, { hello: machine.hello(), serves: [] });
  return new Client(caller, () => {
    host.terminate();
    return ended.promise;
  });
}
