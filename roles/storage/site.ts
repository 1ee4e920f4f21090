/** What the parts of a storage share: who it is, what it knows of the cluster, and where its effects go. */
import { ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import type { Effect } from "../../core/machine.ts";
import type { AskMessage } from "../../core/messages.ts";
import { isReadable, PartitionTable } from "../../core/partition_table.ts";
import type { Cell } from "../../core/partition_table.ts";
import type { DatabaseQuery, DatabaseWrite, Digest } from "../../core/ports.ts";
import { Outbox } from "../outbox.ts";
import type { Asker } from "../outbox.ts";
import { Settings } from "../settings.ts";
import type { SettingsOutput } from "../settings.ts";

export type { Asker } from "../outbox.ts";

/** What a storage attaches to its questions: to the primary, and to a storage that it copies from. */
export type StorageContext =
  | { readonly of: "settle"; readonly ttid: Ttid }
  | { readonly of: "table" }
  | { readonly of: "catchUp"; readonly epoch: number }
  | { readonly of: "copy"; readonly job: number };

/** Where a lock stood on an object when the database was asked. */
type Ends = ReadonlyMap<Oid, Tid>;

/** One of our cells that was readable when the database was asked, and the table version by which it was. */
export interface JudgedCell {
  readonly partition: Partition;
  readonly since: number;
}

/** What is answered as it is behind a pack. */
export type PackedMessage = Extract<AskMessage, { name: "digest" | "slices" | "keys" | "rows" | "pick" }>;

/** Reads of which cells somebody wants to know. */
interface Asked {
  readonly asker: Asker;
  readonly cells: readonly JudgedCell[];
}

/** What a storage attaches to its reads. */
export type StorageRead =
  | { readonly for: "lock"; readonly ttid: Ttid; readonly oid: Oid; readonly attempt: number }
  | Asked & { readonly for: "load" | "loadExact"; readonly oid: Oid; readonly at: Tid; readonly ends: Ends }
  | Asked & { readonly for: "loadPart"; readonly oid: Oid; readonly at: Tid }
  | Asked & { readonly for: "loadMany"; readonly at: Tid; readonly ends: Ends }
  | Asked & {
    readonly for: "digest" | "slices" | "keys" | "rows" | "pick";
    /** Under which bound it was asked, and what is asked again should that have risen. */
    readonly bound: Tid;
    readonly message: PackedMessage;
  }
  | { readonly for: "fate"; readonly asker: Asker }
  | { readonly for: "copy"; readonly job: number }
  | { readonly for: "scrub"; readonly look: number }
  | { readonly for: "stocked" }
  | { readonly for: "packable"; readonly look: number }
  | { readonly for: "size"; readonly asker: Asker }
  | Asked & { readonly for: "transactions"; readonly upTo: Tid; readonly count: number }
  | { readonly for: "locked"; readonly asker: Asker; readonly ttid: Ttid; readonly tid: Tid }
  | { readonly for: "fence"; readonly asker: Asker };

/** Reads whose answer goes to somebody else. */
export type AskedRead = Extract<StorageRead, Asked | { readonly for: "fate" }>;

/** Effects of a storage. */
export type StorageEffect = Effect<StorageContext, DatabaseWrite, DatabaseQuery, StorageRead, SettingsOutput>;

/** Shared state; the parts change only what is theirs. */
export class Site extends Outbox<StorageEffect> {
  readonly digest: Digest;
  /** What is configured. */
  readonly settings: Settings;
  readonly #transactionTimeoutMs: number;
  table: PartitionTable | undefined;
  epoch: number;
  /** Our index in the registry, once the primary has told it. */
  index = 0 as NodeIndex;
  /** Our connection's number at the primary: evidence carries it. */
  session = 0;
  /** How long a transaction may be here before the primary is asked what becomes of it. */
  get transactionTimeoutMs(): number {
    return Number(this.settings.set("storage.transactionTimeoutMs") ?? this.#transactionTimeoutMs);
  }
  /** Up to here history may have gone: what is asked below isn't answered. It never falls (`packer.ts`). */
  packBound: Tid = ZERO_TID;
  /** Little disk space is left: first stores are refused. */
  low = false;
  /** Bytes that the disk may still take, as far as is known. */
  freeBytes = Infinity;

  constructor(
    start: {
      digest: Digest;
      epoch: number;
      image: Uint8Array | null;
      transactionTimeoutMs?: number;
      settings?: Settings;
    },
  ) {
    super();
    this.digest = start.digest;
    this.settings = start.settings ?? new Settings();
    this.#transactionTimeoutMs = start.transactionTimeoutMs ?? TRANSACTION_TIMEOUT_MS;
    this.epoch = start.epoch;
    this.table = start.image === null ? undefined : PartitionTable.ofImage(start.image);
  }

  /** Our cell of a partition. */
  cell(partition: Partition): Cell | undefined {
    return this.table?.cell(partition, this.index);
  }

  /** Whether we may be read there. */
  reads(partition: Partition): boolean {
    return isReadable(this.cell(partition));
  }

  save(write: DatabaseWrite, options: { durable: boolean }): void {
    this.emit({ do: "save", write, durable: options.durable });
  }
}
