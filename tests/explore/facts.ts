/** What checkers want to know of a node's state. */
import type { Cell } from "../../core/partition_table.ts";
import type { DatabaseAnswers } from "../../core/ports.ts";
import type { MemberFacts } from "./agreement.ts";
import type { Process } from "./spec.ts";

/** One final revision. */
export interface RevisionFact {
  readonly tid: bigint;
  /** What was stored: which call, and on top of what. */
  readonly text: string;
}

/** A transaction that a storage holds. */
export interface HeldFact {
  readonly ttid: bigint;
  readonly tid: bigint | undefined;
  readonly oids: readonly bigint[];
}

/** A storage that runs. */
export interface StorageFacts {
  readonly is: "storage";
  readonly phase: string;
  readonly epoch: number;
  readonly index: number;
  readonly held: readonly HeldFact[];
  readonly final: ReadonlyMap<bigint, readonly RevisionFact[]>;
  /** Requests and reads that wait here. */
  readonly waiting: number;
}

/** A master that runs. */
export interface MasterFacts {
  readonly is: "master";
  readonly phase: string;
  readonly epoch: number;
  readonly lastTid: bigint;
  readonly pending: number;
  /** Of one of several masters. */
  readonly member: MemberFacts | undefined;
  /** The held table. */
  readonly rows: readonly (readonly Cell[])[];
}

/** A client that runs. */
export interface ClientFacts {
  readonly is: "client";
  readonly commits: number;
}

/** What can be known of a node. */
export type Facts = { readonly is: "down" } | StorageFacts | MasterFacts | ClientFacts;

const DOWN: Facts = { is: "down" };

/** Looks at a node. */
export function factsOf(process: Process, oids: readonly bigint[]): Facts {
  if (process.machine === undefined) return DOWN;
  switch (process.role) {
    case "storage":
      return storageFacts(process, oids);
    case "master":
      return masterFacts(process);
    case "client": {
      const { commits } = process.machine["load"] as { commits: number };
      return { is: "client", commits };
    }
  }
}

interface OpenStorage {
  readonly load: {
    readonly transactions: number;
    readonly parked: number;
    readonly reads: number;
    readonly phase: string;
  };
  readonly $site: { readonly epoch: number; readonly index: number };
  readonly $transactions: {
    readonly $all: ReadonlyMap<
      bigint,
      {
        readonly tid: bigint | undefined;
        readonly voted: boolean;
        readonly objects: ReadonlyMap<bigint, unknown>;
      }
    >;
  };
}

function storageFacts(process: Process, oids: readonly bigint[]): StorageFacts {
  const { load, $site, $transactions } = process.machine as unknown as OpenStorage;
  const held = [...$transactions.$all].map(([ttid, { tid, objects }]) => ({
    ttid,
    tid,
    oids: [...objects.keys()],
  }));
  const final = new Map(oids.map((oid) => [oid, revisionsOf(process, oid)]));
  const { phase, parked, reads } = load;
  return {
    is: "storage",
    phase,
    epoch: $site.epoch,
    index: $site.index,
    held,
    final,
    waiting: parked + reads,
  };
}

const MAX = (1n << 63n) - 1n;
const text = new TextDecoder();

/** Oldest first. */
function revisionsOf(process: Process, oid: bigint): RevisionFact[] {
  const found: RevisionFact[] = [];
  for (let at = MAX; at > 0n;) {
    const { revision } = process.store!.read({ read: "load", oid, at }) as DatabaseAnswers["load"];
    if (revision === null) break;
    found.unshift({ tid: revision.tid, text: revision.stored ? text.decode(revision.stored.data) : "" });
    at = revision.tid - 1n;
  }
  return found;
}

interface OpenMaster {
  readonly view: {
    readonly phase: string;
    readonly epoch: number;
    readonly lastTid: bigint;
    readonly pending: number;
  } | undefined;
  readonly facts: MemberFacts | undefined;
  readonly $site: {
    readonly table: { readonly partitions: number; cells(partition: number): readonly Cell[] };
  } | undefined;
}

function masterFacts(process: Process): MasterFacts {
  const { view, $site, facts: member } = process.machine as unknown as OpenMaster;
  if (view === undefined) {
    return { is: "master", phase: "following", epoch: 0, lastTid: 0n, pending: 0, member, rows: [] };
  }
  const { table } = $site!;
  const { phase, epoch, lastTid, pending } = view;
  const rows = Array.from({ length: table.partitions }, (_, partition) => [...table.cells(partition)]);
  return { is: "master", phase, epoch, lastTid, pending, member, rows };
}
