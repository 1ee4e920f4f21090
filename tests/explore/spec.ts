/** What a world is: who is in it, what its programs do, and how much may go wrong. */
import type { Effect } from "../../core/machine.ts";
import type { CellState } from "../../core/partition_table.ts";
import type { DatabaseWrite, MetadataWrite } from "../../core/ports.ts";

/** One transaction of a program: objects, each on top of the newest revision that its client knows. */
export interface CallSpec {
  /** 1 and up. */
  readonly client: number;
  readonly writes: readonly number[];
  readonly checks?: readonly number[];
  /** Who gets locks first; the same for all unless told. */
  readonly ageMs?: number;
  /** Begins when that call (its place in the list) has ended. */
  readonly after?: number;
}

/** What may go wrong, and how often. */
export interface Faults {
  /** Crashes by node; a storage or master starts again, a client doesn't. */
  readonly crash?: { readonly [node: string]: number };
  /** Connections that break, of these pairs (`c1-s1`) or of any. */
  readonly cuts?: number;
  readonly cutPairs?: readonly string[];
  /** How often another master is elected though the one that leads is there. */
  readonly elections?: number;
  /** All losses together. */
  readonly total?: number;
  /** Waits of up to a second or so that may end while other things go on. */
  readonly timers?: number;
}

/** A wish of an operator. */
export interface Order {
  readonly name: "tweak" | "setReplicas";
  readonly body: object;
}

/** A small cluster, and what happens in it. */
export interface WorldSpec {
  readonly name: string;
  readonly about: string;
  /** One whose agreement is its own disk, unless told; several agree as `agreement.ts` says. */
  readonly masters?: number;
  readonly storages: number;
  readonly clients: number;
  readonly partitions: number;
  readonly replicas: number;
  /** Changes of the first table: partition, number of the storage, state; one version each. */
  readonly table?: readonly (readonly [partition: number, storage: number, state: CellState])[];
  /** Objects that client 1 stores before anything else. */
  readonly before?: readonly number[];
  readonly calls: readonly CallSpec[];
  readonly faults: Faults;
  /** What an operator wants of a primary that runs, one after the other, at any moment. */
  readonly orders?: readonly Order[];
  /** Whether what is written at once may arrive in pieces; whole unless told. */
  readonly split?: boolean;
  /** How many writes that wait on one connection a node may take in one round; 1 unless told. */
  readonly gather?: number;
  /** What happens first, by its labels: the walk begins behind it. */
  readonly path?: readonly string[];
  /** Ends that aren't the fault of the cluster: calls may still wait there. */
  readonly mayWait?: boolean;
}

/** What a mutant breaks in one node. It must be a function of what it is given, and of what it keeps in `notes`. */
export interface Mutant {
  readonly breaks: string;
  /** What a machine hears in place of an event. `process` is its node, opened. */
  readonly hear?: (event: HeardEvent, process: Process) => readonly HeardEvent[];
  /** What it does in place of its effects. */
  readonly act?: (effects: readonly Effect[], process: Process) => readonly Effect[];
  /** What its disk is told in place of a round of saves. */
  readonly save?: (round: SavedRound, process: Process) => SavedRound;
}

/** An event of any machine. */
export interface HeardEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Saves of one round. */
export interface SavedRound {
  readonly writes: readonly (DatabaseWrite | MetadataWrite)[];
  readonly durable: boolean;
}

/** A machine that was opened: its private fields are there under `$name`. */
export interface OpenMachine {
  step(event: unknown, now: { readonly monoMs: number; readonly wallMs: number }): Effect[];
  due(): number | undefined;
  readonly [field: string]: unknown;
}

/** One node: what lives in its process, and its disk. The root of its image. */
export interface Process {
  readonly name: string;
  readonly role: "master" | "storage" | "client";
  readonly disk: OpenDisk | undefined;
  machine: OpenMachine | undefined;
  store: OpenStore | undefined;
  /** What it says of itself to those who connect. */
  hello: unknown;
  /** The newest tid that this process has unlocked, to see that they come in order. */
  unlocked: bigint;
  /** What mutants keep. */
  notes: unknown[];
}

/** A disk of memory. */
export interface OpenDisk {
  readonly unflushed: number;
  open(): OpenStore;
  crash(kept?: number): void;
}

/** Its open store. */
export interface OpenStore {
  readonly state: unknown;
  apply(writes: readonly unknown[], options: { readonly durable: boolean }): void;
  read(query: unknown): unknown;
}
