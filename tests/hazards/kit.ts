/**
 * A stage for one bad sequence: real machines on real hosts, with hand-held wires, disks and time. Nothing moves unless the
 * test says so, and then one thing after the other in a fixed order. Disks outlive their nodes; a save, a read, a
 * way of a wire, the agreement of the masters can be held back.
 */
import assert from "node:assert/strict";
import { memoryDatabase, memoryMetadata } from "../../adapters/memory.ts";
import { seededRandom, sha256, zlibCompression } from "../../adapters/system.ts";
import { UnreachableError } from "../../core/errors.ts";
import type { Oid } from "../../core/ids.ts";
import type { Hello, Role, WireError } from "../../core/messages.ts";
import { Caller } from "../../roles/client/caller.ts";
import { ClientMachine } from "../../roles/client/client.ts";
import { Client } from "../../roles/client/library.ts";
import { helloOf } from "../../roles/hello.ts";
import { Host } from "../../roles/host.ts";
import type { HostPorts } from "../../roles/host.ts";
import { MasterMachine } from "../../roles/master/master.ts";
import { firstImage } from "../../roles/master/metadata.ts";
import { StorageMachine } from "../../roles/storage/storage.ts";
import { SoloConsensus } from "../solo_consensus.ts";
import { watched } from "./actors.ts";
import type { Actor, Heard } from "./actors.ts";
import { HandConsensus, HandStore } from "./hands.ts";
import { HandTime } from "./time.ts";
import { Wires } from "./wires.ts";

/** Turns of the promise queue without any movement after which a stage stands still. */
const IDLE_TURNS = 200;

/** What a process is made of, besides its machine. */
export interface Part {
  readonly hello: Hello;
  readonly serves: readonly Role[];
  readonly store?: HandStore<never, never, unknown>;
  readonly output?: (output: never) => void;
  readonly crash?: () => void;
}

/** The shape of a stage's cluster: storages s1, s2, ... have the indexes 2, 3, ... */
export interface StageShape {
  readonly storages?: number;
  readonly replicas?: number;
  readonly partitions?: number;
  readonly clusterId?: string;
}

/** Everything that plays. */
export class Stage {
  readonly shape: Required<StageShape>;
  readonly wires: Wires;
  readonly time = new HandTime();
  #actors = new Map<string, Actor<unknown>>();
  #databases = new Map<string, ReturnType<typeof memoryDatabase>>();
  readonly #metadata: ReturnType<typeof memoryMetadata>;
  #consensus: HandConsensus | undefined;
  #warmed = 0n; // objects that clients wrote to get warm

  constructor(shape: StageShape = {}) {
    this.shape = { storages: 2, replicas: 1, partitions: 2, clusterId: "c-1", ...shape };
    this.wires = new Wires((task) => this.time.soon(task));
    this.#metadata = memoryMetadata(this.image);
  }

  /** Names of the storages. */
  get names(): string[] {
    return Array.from({ length: this.shape.storages }, (_, at) => `s${at + 1}`);
  }

  /** What `init` writes for this cluster. */
  get image(): Uint8Array {
    const { partitions, replicas, clusterId } = this.shape;
    const storages = this.names.map((name) => ({
      name,
      role: "storage" as Role,
      address: `${name}:1`,
      diskId: `disk-${name}`,
    }));
    const master = { name: "m1", role: "master" as Role, address: "m1:1", diskId: "" };
    return firstImage({ clusterId, cluster: "test", partitions, replicas, nodes: [master, ...storages] });
  }

  /** What a node of this cluster says of itself. */
  hello(role: Role, more: Partial<Hello> = {}): Hello {
    return { ...helloOf({ role, cluster: "test", clusterId: this.shape.clusterId }), ...more };
  }

  /** Starts master and storages, and lets them come to `running`. */
  async open(): Promise<this> {
    this.startMaster();
    for (const name of this.names) this.startStorage(name);
    await this.run();
    assert.equal(this.master.machine.view.phase, "running", this.problems);
    return this;
  }

  /** Why nodes have ended by themselves, for the messages of assertions; undefined: none has. */
  get problems(): string | undefined {
    const all = [...this.#actors.values()].filter(({ ended }) => ended?.error);
    return all.map(({ name, ended }) => `${name}: ${ended?.error?.message}`).join("; ") || undefined;
  }

  get master(): Actor<MasterMachine> {
    return this.actor("m1");
  }

  /** The masters' agreement, as the master that runs sees it. */
  get consensus(): HandConsensus {
    assert.ok(this.#consensus);
    return this.#consensus;
  }

  storage(name: string): Actor<StorageMachine> {
    return this.actor(name);
  }

  actor<M>(name: string): Actor<M> {
    const actor = this.#actors.get(name);
    assert.ok(actor, `${name} has been started`);
    return actor as Actor<M>;
  }

  /** Starts the master on its disk, or for once on another one with this image. */
  startMaster(options: { image?: Uint8Array; lags?: boolean } = {}): Actor<MasterMachine> {
    const metadata = options.image === undefined ? this.#metadata : memoryMetadata(options.image);
    metadata.crash(0);
    const disk = metadata.open();
    const consensus = new HandConsensus(new SoloConsensus(disk.state));
    consensus.lags = options.lags ?? false;
    this.#consensus = consensus;
    const machine = new MasterMachine({ consensus, name: "m1", digest: sha256 });
    const crash = (): void => metadata.crash(0);
    const serves = ["storage", "client", "admin"] as const;
    return this.play("m1", machine, { hello: machine.hello(), serves, store: new HandStore(disk), crash });
  }

  /** Starts a storage on its disk, or on a new and empty one. */
  startStorage(
    name: string,
    options: { newDisk?: string; disk?: ReturnType<typeof memoryDatabase>; masters?: readonly string[] } = {},
  ): Actor<StorageMachine> {
    const { newDisk, disk: other = newDisk && this.#newDatabase(name, newDisk) } = options;
    if (other) this.#databases.set(name, other);
    const database = this.disk(name);
    database.crash(0);
    const disk = database.open();
    const machine = new StorageMachine({
      state: disk.state,
      masters: options.masters ?? ["m1:1"],
      address: `${name}:1`,
      digest: sha256,
    });
    const crash = (): void => database.crash(0);
    const store = new HandStore(disk);
    return this.play(name, machine, { hello: machine.hello(), serves: ["client", "storage"], store, crash });
  }

  /** A storage's disk. */
  disk(name: string): ReturnType<typeof memoryDatabase> {
    const known = this.#databases.get(name) ?? this.#newDatabase(name, `disk-${name}`);
    this.#databases.set(name, known);
    return known;
  }

  /** Starts a client; `connected` when the cluster has let it in. */
  startClient(
    name: string,
    // no cache unless told: what is read says what storages answer
    { cacheBytes = 0 }: { cacheBytes?: number } = {},
  ): { client: Client; actor: Actor<ClientMachine>; connected: Promise<unknown> } {
    const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
    const machine = new ClientMachine({ cluster: "test", masters: ["m1:1"], name, ports, cacheBytes });
    const caller: Caller = new Caller((call) => actor.post(call), machine);
    const output = (output: never): void => caller.take(output);
    const actor = this.play(name, machine, { hello: machine.hello(), serves: [], output });
    const end = (): Promise<void> => {
      caller.end(new UnreachableError("Cannot go on: this client is closed", { code: "lost" }));
      return Promise.resolve(actor.terminate());
    };
    return { client: new Client(caller, end), actor, connected: caller.call("connect", {}) };
  }

  /** A client that is let in. */
  async connect(name: string): Promise<Client> {
    const { client, connected } = this.startClient(name);
    await this.finish(connected);
    return client;
  }

  /** A client whose connections to all storages are there already. */
  async warm(name: string): Promise<Client> {
    const client = await this.connect(name);
    const tx = await this.finish(client.begin());
    for (let partition = 0; partition < this.shape.partitions; partition++) {
      tx.store((1_000_000n + this.#warmed++) as Oid, new Uint8Array());
    }
    await this.finish(tx.commit());
    return client;
  }

  /** Runs a machine on a host of this stage. */
  play<M>(name: string, machine: M, part: Part): Actor<M> {
    const heard: Heard[] = [];
    const transport = this.wires.transport(name);
    void transport.listen(`${name}:1`);
    const ports = {
      clock: this.time.clock(),
      transport,
      store: part.store,
      log: () => {},
      output: part.output ?? (() => {}),
      stopped: (error?: WireError) => {
        actor.ended = error === undefined ? {} : { error };
      },
    } as unknown as HostPorts<never, never, never, never>;
    const host = new Host(watched(machine as never, heard), ports, part);
    const actor: Actor<M> = {
      name,
      machine,
      heard,
      store: part.store as never,
      ended: undefined,
      killed: false,
      post: (event) => host.call(event as never),
      terminate: () => host.terminate(),
      kill: () => {
        host.kill();
        actor.killed = true;
        this.wires.end(name);
        part.crash?.();
      },
    };
    this.#actors.set(name, actor);
    return actor;
  }

  /** Lets everything move that may, until nothing does; gives whether anything did. */
  async run(): Promise<boolean> {
    let moved = false;
    for (let idle = 0; idle < IDLE_TURNS;) {
      if (this.#step()) {
        idle = 0;
        moved = true;
      } else {
        idle += 1;
        await Promise.resolve();
      }
    }
    return moved;
  }

  /** Lets so many things move, or fewer if nothing does any more. */
  async some(count: number): Promise<void> {
    for (let [moved, idle] = [0, 0]; moved < count && idle < IDLE_TURNS;) {
      if (this.#step()) [moved, idle] = [moved + 1, 0];
      else {
        idle += 1;
        await Promise.resolve();
      }
    }
  }

  /** Lets things move, one after the other, until it has come to that. */
  async until(reached: () => boolean): Promise<void> {
    for (let idle = 0; !reached();) {
      if (this.#step()) idle = 0;
      else {
        idle += 1;
        assert.ok(idle < IDLE_TURNS, `nothing moves, and it hasn't come to that: ${reached}`);
        await Promise.resolve();
      }
    }
  }

  /** Lets everything move, and gives what a promise comes to; it must be settled by then. */
  async finish<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const note = (): void => {
      isSettled = true;
    };
    promise.then(note, note);
    await this.run();
    assert.ok(isSettled, this.problems ?? "the promise is settled when nothing moves any more");
    return await promise;
  }

  /** Lets time go by: everything that is due on the way happens at its moment. */
  async pass(ms: number): Promise<void> {
    const endMs = this.time.nowMs + ms;
    for (;;) {
      await this.run();
      const { nextMs } = this.time;
      if (nextMs === undefined || nextMs > endMs) break;
      this.time.advance(nextMs);
    }
    this.time.advance(endMs);
    await this.run();
  }

  #step(): boolean {
    return this.time.runTask() || this.wires.step() || this.time.wakeOne();
  }

  #newDatabase(name: string, diskId: string): ReturnType<typeof memoryDatabase> {
    const { clusterId, partitions } = this.shape;
    return memoryDatabase({ clusterId, cluster: "test", name, diskId, partitions }, sha256);
  }
}
