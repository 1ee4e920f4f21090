/** A whole cluster of one seed: master, storages, clients, their disks, and the programs of the clients. */
import { memoryDatabase, memoryMetadata } from "../../adapters/memory.ts";
import { CACHE_BYTES_DEFAULT } from "../../core/limits.ts";
import { AdminMachine } from "../../roles/admin/admin.ts";
import type { ClientCall, ClientOutput, ClientWord } from "../../roles/client/calls.ts";
import { ClientMachine } from "../../roles/client/client.ts";
import { helloOf } from "../../roles/hello.ts";
import { MemberMachine } from "../../roles/master/member.ts";
import type { MemberStart } from "../../roles/master/member.ts";
import { firstImage } from "../../roles/master/metadata.ts";
import { Settings } from "../../roles/settings.ts";
import type { KeptSettings, SettingsOutput } from "../../roles/settings.ts";
import { StorageMachine } from "../../roles/storage/storage.ts";
import { Air } from "./air.ts";
import { simCompression, simDigest } from "./digest.ts";
import { SimDisk } from "./disk.ts";
import type { FeedReader } from "./feeds.ts";
import { History } from "./history.ts";
import { SimNetwork } from "./network.ts";
import { SimNode } from "./node.ts";
import type { AnyNode, Ending, Surroundings } from "./node_plan.ts";
import type { Operations } from "./operations.ts";
import { OperatorMachine } from "./operator.ts";
import type { CommandEnd } from "./operator.ts";
import type { SimRandom } from "./random.ts";
import { ROT_PACE } from "./rot.ts";
import { Session } from "./sessions.ts";
import { Trace } from "./trace.ts";
import { World } from "./world.ts";

const CLUSTER = "sim";
const CLUSTER_ID = "5e1f";
/** Caches of clients: none, one of few objects, one of all. */
const CACHE_BYTES = [0, 6_000, CACHE_BYTES_DEFAULT];

/** What a seed's cluster is made of. */
export interface Shape {
  readonly masters: number;
  readonly storages: number;
  readonly replicas: number;
  readonly partitions: number;
  /** Storages that come and aren't known yet. */
  readonly spares: number;
  readonly clients: number;
  /** Databases of storages answer late. */
  readonly late: boolean;
  /** So does the metadata store of the master. */
  readonly lateMaster: boolean;
  /** Masters that come with empty stores, and wait until they are added. */
  readonly spareMasters?: number;
  /** Bits turn on disks. */
  readonly rots?: boolean;
  /** Notices to many go by multicast. */
  readonly multicasts?: boolean;
}

/** Draws a shape. */
export function drawShape(random: SimRandom): Shape {
  const storages = random.pick([1, 2, 2, 3, 3]);
  const replicas = Math.min(storages - 1, random.pick([0, 1, 1, 1, 2]));
  return {
    storages,
    replicas,
    partitions: random.int(1, 5),
    spares: random.chance(0.3) ? random.int(0, 2) : 0,
    clients: random.int(2, 4),
    late: random.chance(0.25),
    lateMaster: random.chance(0.15),
    masters: random.pick([1, 1, 1, 3, 3, 5]),
  };
}

type Between = NonNullable<MemberStart["between"]>;

/** A cluster and everything around it. */
export class Cluster {
  readonly shape: Shape;
  readonly world = new World();
  readonly history = new History();
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly random: SimRandom;
  readonly masters: readonly ReturnType<typeof makeMaster>[];
  /** Addresses of the masters. */
  readonly addresses: readonly string[];
  readonly storages: readonly ReturnType<typeof makeStorage>[];
  readonly clients: readonly SimClient[];
  readonly admin: ReturnType<typeof makeAdmin>;
  readonly operator: ReturnType<typeof makeOperator>;
  /** By which number the newest primary calls each storage. */
  readonly indexes = new Map<string, number>();
  /** Who tells the operator what to do, in seeds that have somebody. */
  operations: Operations | undefined;
  /** Whether things go wrong: mutants provoke nothing before and afterwards. */
  isDisturbed = false;
  /** Stands between a primary and its agreement: nothing, unless a mutant does. */
  between: Between = (consensus) => consensus;
  /** Told of the end of each command. */
  readonly heard = new Set<(end: CommandEnd) => void>();
  /** All nodes that things may happen to: the operator is a person. */
  readonly nodes: readonly AnyNode[];

  /** `linesMax`: steps that the trace keeps; `ended`: a process has ended without being killed. */
  constructor(
    shape: Shape,
    random: SimRandom,
    linesMax: number,
    ended: (node: AnyNode, why: Ending) => void,
  ) {
    const { world, history } = this;
    this.shape = shape;
    this.random = random;
    this.network = new SimNetwork(world, random.fork("network"));
    this.trace = new Trace(world, linesMax);
    const air = shape.multicasts ? { air: new Air(this.network, random.fork("air")) } : {};
    const around: Surroundings = { world, network: this.network, random, trace: this.trace, ended, ...air };
    const names = Array.from({ length: shape.storages }, (_, i) => `s${i + 1}`);
    const masters = Array.from({ length: shape.masters }, (_, i) => `m${i + 1}`);
    const memberOf = (name: string, role: "master" | "storage") =>
      ({ name, role, address: `${name}:1`, diskId: `disk ${name}` }) as const;
    const image = firstImage({
      clusterId: CLUSTER_ID,
      cluster: CLUSTER,
      partitions: shape.partitions,
      replicas: shape.replicas,
      nodes: [
        memberOf("m1", "master"),
        ...names.map((name) => memberOf(name, "storage")),
        ...masters.slice(1).map((name) => memberOf(name, "master")),
      ],
    });
    const { spareMasters = 0 } = shape;
    const waiting = Array.from({ length: spareMasters }, (_, i) => `m${shape.masters + i + 1}`);
    this.addresses = [...masters, ...waiting].map((name) => `${name}:1`);
    const between: Between = (consensus) => this.between(consensus);
    this.masters = [
      ...masters.map((name) => makeMaster(around, image, name, between)),
      ...waiting.map((name) => makeMaster(around, null, name, between)),
    ];
    const spares = Array.from({ length: shape.spares }, (_, i) => `s${shape.storages + i + 1}`);
    this.storages = [...names, ...spares].map((name) => makeStorage(around, name, shape, this.addresses));
    for (const storage of this.storages) storage.plan.disk!.mood.late = shape.late;
    for (const master of this.masters) master.plan.disk!.mood.late = shape.lateMaster;
    this.clients = Array.from(
      { length: shape.clients },
      (_, i) => new SimClient(around, `c${i + 1}`, history, this.addresses),
    );
    this.admin = makeAdmin(around, this.addresses);
    this.operator = makeOperator(around, (end) => {
      this.operations?.ended(end);
      for (const each of this.heard) each(end);
    });
    this.nodes = [this.admin, ...this.masters, ...this.storages, ...this.clients.map(({ node }) => node)];
  }

  /** The first master; the only one in half of the seeds. */
  get master(): ReturnType<typeof makeMaster> {
    return this.masters[0]!;
  }

  /** Starts all nodes but some, in any order. */
  start(without: readonly AnyNode[] = []): void {
    this.operator.start();
    for (const node of this.nodes) {
      const inMs = this.random.between(0, 300);
      if (!without.includes(node)) this.world.after(inMs, () => node.start());
    }
  }
}

/** Recoveries come often here: a pack waits for that long, and finds clients back or away. */
const QUIET_MS = 1_500;

/** A client's node, and the session of the process that runs on it. */
export class SimClient {
  readonly name: string;
  readonly node: ReturnType<typeof makeClient>;
  /** Workers that each process begins with. */
  begin: (session: Session, client: SimClient) => void = () => {};
  /** Follows the change feed, in seeds that have one. */
  feed: FeedReader | undefined;
  #session: Session | undefined;

  constructor(around: Surroundings, name: string, history: History, masters: readonly string[]) {
    this.name = name;
    const { world } = around;
    const random = around.random.fork(`${name} session`);
    this.node = makeClient(around, name, masters, {
      output: (output) => this.#session?.take(output),
      begun: () => {
        const machine = this.node.machine as ClientMachine;
        const ports = {
          client: name,
          world,
          random,
          history,
          packBound: () => machine.packBound,
          call: (event: ClientCall | ClientWord) => this.node.call(event),
        };
        const session = new Session(ports);
        machine.openSnapshots.add(() => session.floor);
        this.#session = session;
        this.begin(this.#session, this);
      },
      over: () => {
        this.#session?.end();
        this.#session = undefined;
        history.abandon(name, world.nowMs);
      },
    });
  }

  /** The workers of the process that runs. */
  get session(): Session | undefined {
    return this.#session;
  }
}

function makeClient(
  around: Surroundings,
  name: string,
  masters: readonly string[],
  hooks: { output: (output: ClientOutput) => void; begun: () => void; over: () => void },
) {
  return new SimNode({
    name,
    role: "client",
    address: undefined,
    disk: undefined,
    skewMs: around.random.fork(name).int(-5_000, 5_000),
    ...hooks,
    build: (_, random) => {
      const machine = new ClientMachine({
        masters,
        cluster: CLUSTER,
        name,
        cacheBytes: random.pick(CACHE_BYTES),
        hedges: random.chance(0.3),
        ports: { random, digest: simDigest, compression: simCompression },
      });
      return { machine, peers: { hello: machine.hello(), serves: [] } };
    },
  }, around);
}

function makeAdmin(around: Surroundings, masters: readonly string[]) {
  let kept: KeptSettings | undefined;
  return new SimNode({
    name: "a1",
    role: "admin",
    address: "a1:1",
    disk: undefined,
    skewMs: 0,
    output: ({ settings }: SettingsOutput) => void (kept = settings),
    build: () => {
      const names = { cluster: CLUSTER, clusterId: CLUSTER_ID, name: "a1", address: "a1:1" };
      const settings = new Settings(kept && { kept });
      const machine = new AdminMachine({ ...names, masters, digest: simDigest, settings });
      return { machine, peers: { hello: machine.hello(), serves: ["admin"] } };
    },
  }, around);
}

function makeOperator(around: Surroundings, output: (end: CommandEnd) => void) {
  const hello = helloOf({ role: "admin", name: "op", cluster: CLUSTER });
  return new SimNode({
    name: "op",
    role: "operator",
    address: undefined,
    disk: undefined,
    skewMs: 0,
    output,
    build: () => ({ machine: new OperatorMachine("a1:1", hello), peers: { hello, serves: [] } }),
  }, around);
}

function makeMaster(around: Surroundings, image: Uint8Array | null, name: string, between: Between) {
  const address = `${name}:1`;
  const made = () => memoryMetadata(image, `disk ${name}`);
  const disk = new SimDisk(made, around.world, around.random.fork(`${name} disk`));
  return new SimNode({
    name,
    role: "master",
    address,
    disk,
    skewMs: 0,
    output: () => {},
    build: (state, random) => {
      const ids = { cluster: CLUSTER, clusterId: CLUSTER_ID };
      const machine = new MemberMachine({
        ...ids,
        state: state!,
        name,
        address,
        digest: simDigest,
        random,
        between,
        overrides: { "master.packQuietMs": String(QUIET_MS) },
      });
      return { machine, peers: { hello: machine.hello(), serves: ["master", "storage", "client", "admin"] } };
    },
  }, around);
}

function makeStorage(
  around: Surroundings,
  name: string,
  { partitions, rots = false }: Shape,
  masters: readonly string[],
) {
  const identity = { clusterId: CLUSTER_ID, cluster: CLUSTER, name, diskId: `disk ${name}`, partitions };
  const disk = new SimDisk(
    () => memoryDatabase(identity, simDigest),
    around.world,
    around.random.fork(`${name} disk`),
  );
  const address = `${name}:1`;
  let kept: KeptSettings | undefined;
  return new SimNode({
    name,
    role: "storage",
    address,
    disk,
    skewMs: around.random.fork(name).int(-5_000, 5_000),
    output: ({ settings }: SettingsOutput) => void (kept = settings),
    build: (state) => {
      const machine = new StorageMachine({
        state: state!,
        settings: new Settings(kept && { kept }),
        masters,
        address,
        digest: simDigest,
        ...(rots ? { scrub: ROT_PACE } : {}),
      });
      return { machine, peers: { hello: machine.hello(), serves: ["client", "storage"] } };
    },
  }, around);
}
