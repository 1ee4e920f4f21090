/** What the parts of a master share: the held metadata, what is proposed beyond it, the phase, and where effects go. */
import { configKey, effectiveSettings } from "../../core/config_keys.ts";
import type { ClientSession, Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { ID_MAX, ZERO_TID } from "../../core/ids.ts";
import { CLOCK_SKEW_MS, OID_BLOCK } from "../../core/limits.ts";
import type { Effect, Now } from "../../core/machine.ts";
import type { CellChange } from "../../core/messages.ts";
import { isReadable, PartitionTable } from "../../core/partition_table.ts";
import type { Digest, MetadataWrite } from "../../core/ports.ts";
import { Outbox } from "../outbox.ts";
import type { Asker } from "../outbox.ts";
import type { SettingsOutput } from "../settings.ts";
import type { Consensus, MasterCircle } from "./consensus.ts";
import type { Entry } from "./entries.ts";
import type { Metadata } from "./metadata.ts";
import { movePhase } from "./phases.ts";
import type { Phase } from "./phases.ts";
import { TableHistory } from "./table_history.ts";

export type { Asker } from "../outbox.ts";

/** What a master attaches to its questions: whom it asked, in which of its sessions, what for. */
export type MasterContext =
  & { readonly node: NodeIndex; readonly session: number }
  & (
    | { readonly of: "fence" | "start"; readonly epoch: number }
    | { readonly of: "lock" | "verify"; readonly ttid: Ttid }
    | { readonly of: "verifyFate"; readonly ttid: Ttid; readonly epoch: number }
    | {
      readonly of: "outcome";
      readonly ttid: Ttid;
      readonly home: Partition;
      readonly asker: Asker;
      readonly tried: readonly NodeIndex[];
      /** Of the cell that is asked. */
      readonly since: number;
    }
    | { readonly of: "hear"; readonly ttid: Ttid }
    | { readonly of: "inspect"; readonly job: number; readonly partition: Partition }
    | {
      readonly of: "vouch";
      readonly partition: Partition;
      /** Whose cell is damaged, and which copies were asked. */
      readonly damaged: NodeIndex;
      readonly asked: string;
    }
    | { readonly of: "activity"; readonly round: number; readonly name: string }
    | { readonly of: "life" }
    /** What this client has open, for a pack to the bound. */
    | { readonly of: "floor"; readonly conn: Conn; readonly client: ClientSession; readonly bound: Tid }
  );

/** Effects of a master. */
export type MasterEffect = Effect<MasterContext, MetadataWrite, never, never, SettingsOutput>;

/** A client that is let in. */
export interface ClientPeer {
  readonly conn: Conn;
  readonly session: ClientSession;
  readonly name: string;
  /** Whom its certificate shows; empty without one. */
  readonly holder: string;
  /** Since when, by the primary's clock. */
  readonly sinceMs: number;
  /** The oldest snapshot that its program has open for a while, and since when that is known. */
  floor?: { readonly at: Tid; readonly sinceMs: number } | null;
}

/** Who a master is. */
export interface OwnStart {
  readonly name: string;
  readonly overrides?: { readonly [key: string]: string };
}

/** Shared state; the parts change only what is theirs. */
export class Site extends Outbox<MasterEffect> {
  readonly digest: Digest;
  /** Of this master. */
  readonly name: string;
  /** What is set on it itself: it counts more than the configuration. */
  readonly overrides: { readonly [key: string]: string };
  /** The held table with all proposed changes. */
  readonly proposed: PartitionTable;
  /** The newest tid that is published. */
  lastTid: Tid = ZERO_TID;
  /** The newest tid that is given to a transaction. */
  allocated: Tid = ZERO_TID;
  /** The next oid to grant. */
  nextOid: Oid = 1n as Oid;
  now: Now = { monoMs: 0, wallMs: 0 };
  #consensus: Consensus;
  #index = 0; // the highest that was proposed
  #phase: Phase = "recovering";
  #then: { readonly entry: Entry; readonly held: () => void }[] = [];
  #pending = new Map<Partition, number>(); // cell changes proposed and not held
  #history: TableHistory;

  constructor(consensus: Consensus, digest: Digest, { name, overrides = {} }: OwnStart) {
    super();
    this.name = name;
    this.overrides = overrides;
    this.#consensus = consensus;
    this.digest = digest;
    this.proposed = PartitionTable.ofImage(consensus.metadata.table.toImage());
    this.#history = new TableHistory(this.table, digest);
  }

  get metadata(): Metadata {
    return this.#consensus.metadata;
  }

  /** The held table. */
  get table(): PartitionTable {
    return this.#consensus.metadata.table;
  }

  /** No tid up to this one is given any more: it was given to a transaction, also to one that a truncation took away. */
  get tidMark(): Tid {
    const { tidFloor } = this.metadata;
    return this.allocated > tidFloor ? this.allocated : tidFloor;
  }

  /** What is configured for this master, in numbers. */
  setting(key: string): number {
    const own = effectiveSettings(this.metadata.settings.settings, { role: "master", name: this.name });
    return Number(this.overrides[key] ?? own.get(key) ?? configKey(key)!.default);
  }

  get phase(): Phase {
    return this.#phase;
  }

  get epoch(): number {
    return this.#consensus.metadata.epoch;
  }

  enter(phase: Phase): void {
    this.#phase = movePhase(this.#phase, phase);
    this.log("cluster", "info", `Cluster is ${phase}`, { epoch: this.epoch });
  }

  /** Proposes an entry; `held` runs when it is held and applied. */
  propose(entry: Entry, held: () => void): void {
    for (const write of this.#consensus.propose(entry)) {
      this.emit({ do: "save", write, durable: true });
    }
    this.#then.push({ entry, held });
  }

  /** Runs `done` when it is sure that nobody else was the primary when it was called: no answer is stale then. */
  confirm(done: () => void): void {
    this.#consensus.confirm(done);
  }

  /** The date for new tids: a clock that is ahead of the masters' median is believed for a while only (B14). */
  get dateMs(): number {
    return Math.min(this.now.wallMs, Math.floor(this.#consensus.medianMs(this.now)) + CLOCK_SKEW_MS);
  }

  /** Who agrees. */
  get circle(): MasterCircle {
    return this.#consensus.circle;
  }

  /** An index that no member ever had, nor will have. */
  takeIndex(): number {
    this.#index = Math.max(this.#index, this.metadata.nodeMark) + 1;
    return this.#index;
  }

  /**
   * Proposes that cells are outdated. Those that only fed their row, which has others, are no more (scenario 127); those that
   * are being discarded aren't created anew.
   */
  outdate(
    cells: readonly { readonly partition: Partition; readonly node: NodeIndex }[],
    held: (changes: CellChange[], version: number, digest: Uint8Array) => void,
  ): void {
    const since = this.proposed.version + 1;
    const changes = cells.flatMap(({ partition, node }) => {
      const cell = this.proposed.cell(partition, node);
      if (!cell) return [];
      if (cell.state === "feeding") return [{ partition, node, state: "discarded", since: cell.since }];
      return [{ partition, node, state: "outOfDate", since }];
    });
    this.change(changes, (version, digest) => held(changes, version, digest));
  }

  /** Proposes that cells change. Finishes that touch a row from which a readable cell goes wait until it is held. */
  change(
    changes: readonly CellChange[],
    held: (version: number, digest: Uint8Array) => void,
    replicas?: number,
  ): void {
    const version = this.proposed.version + 1;
    this.proposed.apply(version, changes, replicas);
    const digest = this.proposed.digest(this.digest); // later entries of the same save must not change it
    const losing = changes.filter(({ state }) => state !== "upToDate");
    for (const { partition } of losing) {
      this.#pending.set(partition, (this.#pending.get(partition) ?? 0) + 1);
    }
    const wanted = replicas === undefined ? {} : { replicas };
    this.propose({ type: "cells", version, cells: changes, ...wanted }, () => {
      for (const { partition } of losing) {
        const left = this.#pending.get(partition)! - 1;
        if (left === 0) this.#pending.delete(partition);
        else this.#pending.set(partition, left);
      }
      this.#history.add(version, changes, digest);
      held(version, digest);
    });
  }

  /** The held table for a node that has the one with this digest. */
  imageFor(known: Uint8Array): Uint8Array {
    return this.#history.imageFor(this.table, known);
  }

  /** A mark for oids up to this one, with a block to spare; it stays within what an oid may be. */
  oidMarkFor(oid: bigint): Oid {
    const mark = oid + BigInt(OID_BLOCK);
    return (mark < ID_MAX ? mark : ID_MAX) as Oid;
  }

  /** Whether a change by which this row loses something is proposed and not held. */
  changes(partition: Partition): boolean {
    return this.#pending.has(partition);
  }

  /** Whether a node's cell may be read, in the held table or in the newest proposed one. */
  reads(partition: Partition, node: NodeIndex): boolean {
    return isReadable(this.table.cell(partition, node)) || isReadable(this.proposed.cell(partition, node));
  }

  /** Says whether a storage counts as there. */
  setUp(node: NodeIndex, up: boolean): void {
    this.table.setUp(node, up);
    this.proposed.setUp(node, up);
  }

  /** Whether some partition has no other readable copy, once all that is proposed is held. */
  isLastReadable(node: NodeIndex): boolean {
    return this.table.isLastReadable(node) || this.proposed.isLastReadable(node);
  }

  /** Something may be held, or confirmed. True: members or marks are others than before. */
  saved(): boolean {
    const held = this.#consensus.saved();
    const then = this.#then.splice(0, held.length);
    for (const { held } of then) held();
    for (const write of this.#consensus.compact()) this.emit({ do: "save", write, durable: true });
    return then.some(({ entry }) => entry.type !== "cells" && entry.type !== "opened");
  }
}
