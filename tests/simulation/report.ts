/** How a seed is run, and what it gave. */
import type { Cluster, Shape } from "./cluster.ts";
import type { FaultKind } from "./fault_kinds.ts";
import type { Work } from "./workloads.ts";

/** What a seed gave. */
export interface SeedReport {
  readonly seed: number;
  /** Promises that were broken; none when it passed. */
  readonly breaches: readonly string[];
  readonly hash: string;
  readonly shape: Shape;
  readonly work: readonly Work[];
  readonly simulatedMs: number;
  readonly steps: number;
  readonly commits: { readonly acknowledged: number; readonly refused: number; readonly unknown: number };
  readonly reads: number;
  /** Groups of transactions on lists that depend on each other in a way that snapshot isolation allows. */
  readonly writeSkews: number;
  /** How often faults hit work in flight, by kind. */
  readonly hits: { readonly [kind in FaultKind]?: number };
  /** How often they happened at all. */
  readonly faults: { readonly [kind in FaultKind]?: number };
  /** Strikes: their numbers are 1 to this. */
  readonly strikes: number;
  /** When things stopped going wrong, or the run broke. */
  readonly disturbedMs: number;
  /** What a change feed gave. */
  readonly changes: number;
  readonly imported: number;
  /** Bits that turned on disks. */
  readonly rotten: number;
  /** Commands of an operator that were done, by name. */
  readonly operations: { readonly [name: string]: number };
  /** Situations that were met. */
  readonly points: readonly string[];
}

/** A seed's run, and the last lines of its trace. */
export interface SeedRun {
  readonly report: SeedReport;
  trace(): string[];
}

/** Changes a cluster before it starts: how mutants break a promise. */
export type Mutant = (cluster: Cluster) => void;

/** How a seed is run, if not as it is. */
export interface RunOptions {
  readonly mutant?: Mutant;
  /** How many masters there are with a mutant; 1 if it isn't said. */
  readonly masters?: number;
  /** Steps that its trace keeps. */
  readonly linesMax?: number;
  /** Strikes that are left out; the faults then end after `disturbedMs`, however few of them hit. */
  readonly without?: ReadonlySet<number>;
  readonly disturbedMs?: number;
  /** Storages come and go, and each partition has several. */
  readonly isFlapping?: boolean;
  /** What is behind some tid is deleted in the end. */
  readonly isTruncated?: boolean;
  /** Whether history is packed. */
  readonly isPacked?: boolean;
  /** People change the configuration. */
  readonly isConfigured?: boolean;
  /** Bits turn on disks. */
  readonly isRotting?: boolean;
  /** What programs do, in place of what is drawn. */
  readonly work?: readonly Work[];
  /** Not more clients, nor programs of each, than these. */
  readonly clientsMax?: number;
  readonly workersMax?: number;
}
