/** A whole cluster in this process, over an in-memory network: the same roles and hosts as in production (X6). */
import { memoryDatabase, memoryMetadata } from "../adapters/memory.ts";
import { MemoryNetwork } from "../adapters/memory_transport.ts";
import { seededRandom, sha256, SystemClock, zlibCompression } from "../adapters/system.ts";
import { UnreachableError } from "../core/errors.ts";
import type { Role, WireError } from "../core/messages.ts";
import type { Transport } from "../core/ports.ts";
import { Caller } from "../roles/client/caller.ts";
import { ClientMachine } from "../roles/client/client.ts";
import { Client } from "../roles/client/library.ts";
import { Host } from "../roles/host.ts";
import type { HostPorts } from "../roles/host.ts";
import { MemberMachine } from "../roles/master/member.ts";
import { firstImage } from "../roles/master/metadata.ts";
import { StorageMachine } from "../roles/storage/storage.ts";

/** The shape of a cluster. */
export interface ClusterShape {
  readonly storages?: number;
  readonly replicas?: number;
  readonly partitions?: number;
  readonly log?: (node: string, text: string, facts?: unknown) => void;
}

/** One running node. */
export interface RunningNode<M> {
  readonly machine: M;
  readonly ended: Promise<WireError | undefined>;
  terminate(): void;
  kill(): Promise<void>;
}

/** A cluster of one master and some storages, on memory disks that survive their nodes. */
export class LocalCluster {
  readonly name = "test";
  readonly masterAddress = "m1:1";
  master: RunningNode<MemberMachine> | undefined;
  readonly storages: (RunningNode<StorageMachine> | undefined)[] = [];
  #shape: Required<Omit<ClusterShape, "log">> & Pick<ClusterShape, "log">;
  #clock = new SystemClock({ keepsProcess: true });
  #network = new MemoryNetwork({ soon: (task) => this.#clock.soon(task) });
  #metadata: ReturnType<typeof memoryMetadata>;
  #databases: ReturnType<typeof memoryDatabase>[];
  #clients: Client[] = [];

  constructor(shape: ClusterShape = {}) {
    this.#shape = { storages: 2, replicas: 1, partitions: 4, ...shape };
    const { storages, partitions, replicas } = this.#shape;
    const identity = { clusterId: "c-1", cluster: this.name, partitions };
    const names = Array.from({ length: storages }, (_, at) => `s${at + 1}`);
    this.#databases = names.map((name) =>
      memoryDatabase({ ...identity, name, diskId: `disk-${name}` }, sha256)
    );
    const nodes = [
      { name: "m1", role: "master" as Role, address: this.masterAddress, diskId: "" },
      ...names.map((name) => ({
        name,
        role: "storage" as Role,
        address: `${name}:1`,
        diskId: `disk-${name}`,
      })),
    ];
    this.#metadata = memoryMetadata(firstImage({ ...identity, replicas, nodes }));
  }

  /** Starts all nodes. */
  async start(): Promise<this> {
    await this.startMaster();
    for (let at = 0; at < this.#shape.storages; at++) await this.startStorage(at);
    return this;
  }

  /** Starts the master on its disk. */
  async startMaster(): Promise<void> {
    const transport = this.#network.transport();
    await transport.listen(this.masterAddress);
    const store = this.#metadata.open();
    const grace = { startupGraceMs: 200, failoverGraceMs: 100 };
    const machine = new MemberMachine({
      state: store.state,
      name: "m1",
      address: this.masterAddress,
      digest: sha256,
      random: seededRandom(1),
      grace,
    });
    this.master = this.#run("m1", machine, { transport, store }, {
      hello: machine.hello(),
      serves: ["storage", "client", "admin"],
    });
  }

  /** Starts a storage on its disk. */
  async startStorage(at: number): Promise<void> {
    const name = `s${at + 1}`;
    const transport = this.#network.transport();
    const address = await transport.listen(`${name}:1`);
    const store = this.#databases[at]!.open();
    const machine = new StorageMachine({
      state: store.state,
      masters: [this.masterAddress],
      address,
      digest: sha256,
    });
    this.storages[at] = this.#run(name, machine, { transport, store }, {
      hello: machine.hello(),
      serves: ["client", "storage"],
    });
  }

  /** Ends a storage as kill -9 does: what wasn't flushed is lost. */
  async killStorage(at: number): Promise<void> {
    await this.storages[at]?.kill();
    this.#databases[at]!.crash(0);
    this.storages[at] = undefined;
  }

  /** Ends the master as kill -9 does. */
  async killMaster(): Promise<void> {
    await this.master?.kill();
    this.#metadata.crash(0);
    this.master = undefined;
  }

  /** A client, once it is let in. */
  async connect(): Promise<Client> {
    const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
    const machine = new ClientMachine({
      cluster: this.name,
      masters: [this.masterAddress],
      name: "client",
      ports,
    });
    const caller: Caller = new Caller((call) => host.call(call as never), machine);
    const ended = Promise.withResolvers<void>();
    const host = new Host(machine, {
      clock: new SystemClock({ keepsProcess: true }),
      transport: this.#network.transport(),
      log: (level, text, facts) => this.#shape.log?.(`client ${level}`, text, facts),
      output: (output) => caller.take(output),
      stopped: () => {
        caller.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
        ended.resolve();
      },
    }, { hello: machine.hello(), serves: [] });
    const client = new Client(caller, () => {
      host.terminate();
      return ended.promise;
    });
    this.#clients.push(client);
    await caller.call("connect", {});
    return client;
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    for (const node of [this.master, ...this.storages]) node?.terminate();
    await Promise.all([this.master, ...this.storages].map((node) => node?.ended));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #run<M>(
    name: string,
    machine: M,
    own: { transport: Transport; store: unknown },
    options: ConstructorParameters<typeof Host>[2],
  ): RunningNode<M> {
    const ended = Promise.withResolvers<WireError | undefined>();
    const ports = {
      clock: new SystemClock({ keepsProcess: true }),
      transport: own.transport,
      store: own.store,
      log: (level: string, text: string, facts?: unknown) =>
        this.#shape.log?.(`${name} ${level}`, text, facts),
      output: () => {},
      stopped: (error?: WireError) => ended.resolve(error),
    } as unknown as HostPorts<never, never, never, never>;
    const host = new Host(machine as never, ports, options);
    const kill = async (): Promise<void> => {
      host.kill();
      await own.transport.shutdown();
      ended.resolve(undefined);
    };
    return { machine, ended: ended.promise, terminate: () => host.terminate(), kill };
  }
}
