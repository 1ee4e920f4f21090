/** Machines in the hand of a test: `Bench` steps one round by round, as a host does, and shows its effects. */
import { memoryDatabase, memoryMetadata } from "../adapters/memory.ts";
import { seededRandom, sha256, zlibCompression } from "../adapters/system.ts";
import type { ClientSession, Conn, NodeIndex, Partition, Tid } from "../core/ids.ts";
import { ZERO_TID } from "../core/ids.ts";
import type { Effect, HostEvent, Now, PeerEvent } from "../core/machine.ts";
import type {
  Answer,
  AskMessage,
  AskName,
  Body,
  Hello,
  Role,
  TellMessage,
  TellName,
  WireError,
} from "../core/messages.ts";
import { PartitionTable } from "../core/partition_table.ts";
import type { DatabaseState, Store } from "../core/ports.ts";
import { AdminMachine } from "../roles/admin/admin.ts";
import { ClientMachine } from "../roles/client/client.ts";
import type { ClientStart } from "../roles/client/client.ts";
import { helloOf } from "../roles/hello.ts";
import type { HostedMachine } from "../roles/host.ts";
import { MasterMachine } from "../roles/master/master.ts";
import { firstImage } from "../roles/master/metadata.ts";
import type { Grace } from "../roles/master/recovery.ts";
import { PRIMARY } from "../roles/seeker.ts";
import { StorageMachine } from "../roles/storage/storage.ts";
import { SoloConsensus } from "./solo_consensus.ts";

/** An event of any machine. */
export type BenchEvent<C, R, A, E> = PeerEvent<C> | HostEvent<R, A> | E;

/** One machine, its store, and the hands that step it. */
export class Bench<C, W, Q, R, A, E, O> {
  readonly machine: HostedMachine<C, W, Q, R, A, E, O>;
  now: Now = { monoMs: 1_000, wallMs: 1_700_000_000_000 };
  /** What it keeps; undefined for roles that keep nothing. */
  readonly store: Store<W, Q, A> | undefined;
  #conns = 0;
  #ids = 0;

  constructor(machine: HostedMachine<C, W, Q, R, A, E, O>, store?: Store<W, Q, A>) {
    this.machine = machine;
    this.store = store;
  }

  /** Gives one event and plays the host's round: saves, `saved`, reads. Gives all effects in their order. */
  give(event: BenchEvent<C, R, A, E>): Effect<C, W, Q, R, O>[] {
    const all: Effect<C, W, Q, R, O>[] = [];
    let open = this.#step(event, all);
    while (open.some((effect) => effect.do === "save" || effect.do === "read")) {
      const saves = open.flatMap((effect) => (effect.do === "save" ? [effect] : []));
      const reads = open.flatMap((effect) => (effect.do === "read" ? [effect] : []));
      open = [];
      if (saves.length > 0) {
        const durable = saves.some((save) => save.durable);
        void this.store!.apply(saves.map((save) => save.write), { durable });
        open.push(...this.#step({ type: "saved" }, all));
      }
      for (const { query, context } of reads) {
        const result = this.store!.read(query) as A;
        open.push(...this.#step({ type: "read", context, result }, all));
      }
    }
    return all;
  }

  /** Lets time go by, and gives `due` if the machine asked for it by then. */
  pass(ms: number): Effect<C, W, Q, R, O>[] {
    this.now = { monoMs: this.now.monoMs + ms, wallMs: this.now.wallMs + ms };
    const due = this.machine.due();
    return due !== undefined && due <= this.now.monoMs ? this.give({ type: "due" }) : [];
  }

  /** A number for a new connection. */
  conn(): Conn {
    return ++this.#conns as Conn;
  }

  /** A peer comes and says who it is. */
  comes(
    hello: Hello,
    shows: { readonly holder?: string } = {},
  ): { conn: Conn; effects: Effect<C, W, Q, R, O>[] } {
    const conn = this.conn();
    return { conn, effects: this.give({ type: "identified", conn, hello, incoming: true, ...shows }) };
  }

  /** The peer at the other end of a connection that the machine wanted says who it is. */
  reached(target: string, hello: Hello): { conn: Conn; effects: Effect<C, W, Q, R, O>[] } {
    const conn = this.conn();
    return { conn, effects: this.give({ type: "identified", conn, hello, incoming: false, target }) };
  }

  /** A peer asks. */
  asked<N extends AskName>(
    conn: Conn,
    name: N,
    body: Body<N>,
    withinMs: number = 30_000,
  ): Effect<C, W, Q, R, O>[] {
    const message = { name, body } as unknown as AskMessage;
    return this.give({ type: "asked", conn, id: ++this.#ids, withinMs, message });
  }

  /** A peer tells. */
  told<N extends TellName>(conn: Conn, name: N, body: Body<N>): Effect<C, W, Q, R, O>[] {
    return this.give({ type: "told", conn, message: { name, body } as unknown as TellMessage });
  }

  /** A question of the machine is answered. */
  answered<N extends AskName>(
    question: Extract<Effect<C>, { do: "ask" }>,
    body: Answer<N>,
  ): Effect<C, W, Q, R, O>[] {
    const { conn, context, message } = question;
    const said = { name: message.name, body } as never;
    return this.give({ type: "answered", conn, context, message: said });
  }

  /** A question of the machine fails. */
  failed(question: Extract<Effect<C>, { do: "ask" }>, error: WireError): Effect<C, W, Q, R, O>[] {
    const { conn, context, message } = question;
    return this.give({ type: "failed", conn, context, name: message.name, error });
  }

  /** A connection is gone. */
  lost(conn: Conn, options: { target?: string; error?: WireError } = {}): Effect<C, W, Q, R, O>[] {
    const { target, error = LOST } = options;
    return this.give({ type: "lost", conn, error, ...(target === undefined ? {} : { target }) });
  }

  #step(event: BenchEvent<C, R, A, E>, all: Effect<C, W, Q, R, O>[]): Effect<C, W, Q, R, O>[] {
    const effects = this.machine.step(event, this.now);
    all.push(...effects);
    return effects;
  }
}

/** How a connection ends in tests that don't care how. */
export const LOST: WireError = { code: "lost", message: "Lost the connection: the test ended it" };

/** Effects of one kind. */
export function only<F extends { readonly do: string }, D extends F["do"]>(
  effects: readonly F[],
  what: D,
): Extract<F, { do: D }>[] {
  return effects.filter((effect): effect is Extract<F, { do: D }> => effect.do === what);
}

/** The questions of one name that effects ask. */
export function asksOf<C, W, Q, R, O, N extends AskName>(
  effects: readonly Effect<C, W, Q, R, O>[],
  name: N,
): (Extract<Effect<C, W, Q, R, O>, { do: "ask" }> & { message: { name: N; body: Body<N> } })[] {
  return only(effects, "ask").filter(({ message }) => message.name === name) as never;
}

/** The notifications of one name that effects tell. */
export function tellsOf<N extends TellName>(
  effects: readonly Effect[],
  name: N,
): { conns: readonly Conn[]; body: Body<N> }[] {
  return only(effects, "tell").flatMap(({ conns, message }) =>
    message.name === name ? [{ conns, body: message.body as never }] : []
  );
}

/** The answers of one name that effects give. */
export function answersOf<N extends AskName>(effects: readonly Effect[], name: N): Answer<N>[] {
  return only(effects, "answer").flatMap(({ message }) =>
    message.name === name ? [message.body as unknown as Answer<N>] : []
  );
}

/** Every error that effects say to a peer. */
export function errorsOf(effects: readonly Effect[]): WireError[] {
  return effects.flatMap((effect) =>
    effect.do === "refuse" || effect.do === "reject" || effect.do === "close" ? [effect.error] : []
  );
}

/** The bench of a machine, its own types kept. */
export type BenchOf<M> = M extends
  HostedMachine<infer C, infer W, infer Q, infer R, infer A, infer E, infer O>
  ? Bench<C, W, Q, R, A, E, O> & { readonly machine: M }
  : never;

/** The cluster that benches belong to: storages s1, s2, ... have the indexes 2, 3, ... */
export interface BenchShape {
  readonly storages?: number;
  readonly replicas?: number;
  readonly partitions?: number;
}

const IDENTITY = { clusterId: "c-1", cluster: "test" };

/** What a node of the benches' cluster says of itself. */
export function helloAs(role: Role, more: Partial<Hello> = {}): Hello {
  return { ...helloOf({ role, ...IDENTITY }), ...more };
}

/** What storage `s<number>` says of itself. */
export function storageHello(number: number, more: Partial<Hello> = {}): Hello {
  return helloAs("storage", {
    name: `s${number}`,
    diskId: `disk-s${number}`,
    address: `s${number}:1`,
    ...more,
  });
}

/** The first table of the benches' cluster. */
export function tableOf({ storages = 2, replicas = 1, partitions = 4 }: BenchShape = {}): PartitionTable {
  const nodes = Array.from({ length: storages }, (_, at) => (at + 2) as NodeIndex);
  return PartitionTable.deal({ partitions, replicas, nodes });
}

/** A master that hasn't begun, on its disk. */
export function masterBench(
  shape: BenchShape & { readonly grace?: Partial<Grace>; readonly disk?: ReturnType<typeof masterDisk> } = {},
): BenchOf<MasterMachine> {
  const store = (shape.disk ?? masterDisk(shape)).open();
  const consensus = new SoloConsensus(store.state);
  const { grace = {} } = shape;
  return new Bench(new MasterMachine({ consensus, name: "m1", digest: sha256, grace }), store) as never;
}

/** The disk of a new master. */
export function masterDisk(
  { storages = 2, replicas = 1, partitions = 4 }: BenchShape = {},
): ReturnType<typeof memoryMetadata> {
  const names = Array.from({ length: storages }, (_, at) => `s${at + 1}`);
  const nodes = [
    { name: "m1", role: "master" as Role, address: "m1:1", diskId: "" },
    ...names.map((name) => ({
      name,
      role: "storage" as Role,
      address: `${name}:1`,
      diskId: `disk-${name}`,
    })),
  ];
  return memoryMetadata(firstImage({ ...IDENTITY, replicas, partitions, nodes }));
}

/** What an empty storage says at the fence. */
export function emptyReport(table: PartitionTable): Answer<"fence"> {
  const { generation, version } = table;
  return { generation, version, votes: [], locks: [], lastTids: [], lastOid: null, lastTtid: null };
}

/** Takes a master from its start to `running`, with all storages; gives their connections in the order of their numbers. */
export function runMaster(bench: BenchOf<MasterMachine>, shape: BenchShape = {}): Conn[] {
  const table = tableOf(shape);
  bench.give({ type: "opened" });
  const conns: Conn[] = [];
  let effects: ReturnType<typeof bench.give> = [];
  for (let number = 1; number <= (shape.storages ?? 2); number++) {
    const came = bench.comes(storageHello(number));
    conns.push(came.conn);
    effects = bench.answered(asksOf(came.effects, "fence")[0]!, emptyReport(table));
  }
  for (const start of asksOf(effects, "start")) bench.answered(start, {});
  return conns;
}

/** Brings a new master to where its cluster runs as a backup of "shop". */
export function runBackup(bench: BenchOf<MasterMachine>): void {
  runMaster(bench);
  const recovery = bench.asked(bench.comes(helloAs("admin")).conn, "setBackup", { of: "shop" });
  const reported = asksOf(recovery, "fence").flatMap((fence) =>
    bench.answered(fence, emptyReport(tableOf()))
  );
  for (const start of asksOf(reported, "start")) bench.answered(start, {});
}

/** The disk of a new storage. */
export function storageDisk(number: number, partitions: number = 4): ReturnType<typeof memoryDatabase> {
  const identity = { ...IDENTITY, name: `s${number}`, diskId: `disk-s${number}`, partitions };
  return memoryDatabase(identity, sha256);
}

/** A storage that hasn't begun, on its disk. */
export function storageBench(
  disk: ReturnType<typeof storageDisk> = storageDisk(1),
  masters: readonly string[] = ["m1:1"],
): BenchOf<StorageMachine> {
  const store = disk.open();
  const state: DatabaseState = store.state;
  const machine = new StorageMachine({ state, masters, address: "s1:1", digest: sha256 });
  return new Bench(machine, store) as never;
}

/** What a storage that serves was told. */
export interface Serving {
  readonly table?: PartitionTable;
  readonly epoch?: number;
  readonly node?: number;
  readonly sessions?: readonly number[];
}

/** Takes storage s1 from its start to serving client sessions 1 and 2; gives the primary's connection. */
export function serveStorage(bench: BenchOf<StorageMachine>, serving: Serving = {}): Conn {
  const { table = tableOf(), epoch = 1, node = 2, sessions = [1, 2] } = serving;
  bench.give({ type: "opened" });
  const { conn } = bench.reached(PRIMARY, helloAs("master", { name: "m1" }));
  bench.asked(conn, "fence", { epoch, session: 1, node: node as NodeIndex, image: table.toImage() });
  const sessionMark = Math.max(0, ...sessions);
  bench.asked(conn, "start", { epoch, lastTid: ZERO_TID, sessions, sessionMark });
  return conn;
}

/** A client of the cluster that hasn't begun. */
export function clientBench(
  masters: readonly string[] = ["m1:1"],
  more: Partial<ClientStart> = {},
): BenchOf<ClientMachine> {
  const ports = { digest: sha256, compression: zlibCompression, random: seededRandom(1) };
  return new Bench(new ClientMachine({ cluster: "test", masters, name: "c1", ports, ...more })) as never;
}

/** An admin of the cluster that hasn't begun. */
export function adminBench(masters: readonly string[] = ["m1:1"]): BenchOf<AdminMachine> {
  const start = { ...IDENTITY, masters, name: "a1", address: "a1:1", digest: sha256 };
  return new Bench(new AdminMachine(start)) as never;
}

/** The primary's first message to a client or an admin: all storages run. */
export function welcomeOf(
  more: Partial<Body<"welcome">> & { readonly table?: PartitionTable } = {},
): Body<"welcome"> {
  const { table = tableOf(), ...fields } = more;
  const nodes = table.nodes().map((index) => ({
    index,
    name: `s${index - 1}`,
    role: "storage",
    address: `s${index - 1}:1`,
    state: "running",
    session: index - 1,
  }));
  return {
    ...IDENTITY,
    epoch: 1,
    index: 0,
    session: 1 as ClientSession,
    lastTid: ZERO_TID,
    truncations: 0,
    phase: "running",
    wallMs: 1_700_000_000_000,
    image: table.toImage(),
    nodes,
    ...fields,
  };
}

/** Takes a client or an admin from its start to the primary's welcome; gives the primary's connection. */
export function follow(
  bench: BenchOf<ClientMachine> | BenchOf<AdminMachine>,
  welcome: Body<"welcome"> = welcomeOf(),
): Conn {
  bench.give({ type: "opened" });
  const { conn } = bench.reached(PRIMARY, helloAs("master", { name: "m1" }));
  bench.told(conn, "welcome", welcome);
  return conn;
}

/** Short names for ids in tests. */
export const asPartition = (value: number): Partition => value as Partition;
/** A node's index. */
export const asNode = (value: number): NodeIndex => value as NodeIndex;
/** A tid. */
export const asTid = (value: number): Tid => BigInt(value) as Tid;
