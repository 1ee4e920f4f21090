/**
 * Stores without a disk: synchronous and deterministic, for tests and the simulator. A `MemoryDisk` is what outlives
 * the process that has it open: it knows which rounds were flushed, and can lose the others.
 */
import { invariant } from "../core/errors.ts";
import type {
  DatabaseAnswer,
  DatabaseIdentity,
  DatabaseQuery,
  DatabaseState,
  DatabaseWrite,
  Digest,
  MetadataState,
  MetadataWrite,
  Store,
} from "../core/ports.ts";
import { DatabaseTables } from "./memory_database.ts";
import { MetadataTables } from "./memory_metadata.ts";
import type { Tables } from "./memory_tables.ts";
import { StoreOpenError } from "./store_errors.ts";

/** A store of memory, with what stood there when it was opened. It answers at once. */
export interface MemoryStore<W, Q, A, S> extends Store<W, Q, A> {
  readonly state: S;
  apply(writes: readonly W[], options: { readonly durable: boolean }): void;
  read(query: Q): A;
  close(): void;
}

/** What stays when a process ends: the flushed rounds, and as many of the others as a crash leaves. */
export class MemoryDisk<W, Q, A, S> {
  /** What `freeBytes()` of the open store answers. */
  freeBytes: number | undefined = undefined;
  readonly #name: string;
  readonly #flushed: Tables<W, Q, A, S>;
  #rounds: (readonly W[])[] = [];
  #open: OpenStore<W, Q, A, S> | undefined;

  constructor(name: string, tables: Tables<W, Q, A, S>) {
    this.#name = name;
    this.#flushed = tables;
  }

  /** Rounds that were applied and not flushed yet. */
  get unflushed(): number {
    return this.#rounds.length;
  }

  /**
   * Opens the store that stands here.
   *
   * @throws StoreOpenError when it is open already
   */
  open(): MemoryStore<W, Q, A, S> {
    if (this.#open !== undefined) throw new StoreOpenError("open", this.#name, "inUse");
    const state = this.#flushed.open();
    const store = new OpenStore(this.#flushed.copy(), {
      state,
      freeBytes: () => this.freeBytes,
      applied: (writes, durable) => {
        this.#rounds.push(writes);
        if (durable) this.#flush(this.#rounds.length);
      },
      closed: (flush) => {
        this.#flush(flush ? this.#rounds.length : 0);
        this.#leave();
      },
    });
    this.#open = store;
    return store;
  }

  /** The process dies and power fails: of the rounds that weren't flushed, the first `kept` are there again. */
  crash(kept: number = 0): void {
    this.#open?.end();
    this.#flush(kept);
    this.#leave();
  }

  #flush(count: number): void {
    for (const round of this.#rounds.splice(0, count)) {
      for (const write of round) this.#flushed.apply(write);
    }
  }

  #leave(): void {
    this.#rounds = [];
    this.#open = undefined;
  }
}

/** What an open store asks of its disk. */
interface Links<W, S> {
  readonly state: S;
  freeBytes(): number | undefined;
  applied(writes: readonly W[], durable: boolean): void;
  closed(flush: boolean): void;
}

class OpenStore<W, Q, A, S> implements MemoryStore<W, Q, A, S> {
  readonly state: S;
  readonly #tables: Tables<W, Q, A, S>;
  readonly #disk: Links<W, S>;
  #ended = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(tables: Tables<W, Q, A, S>, disk: Links<W, S>) {
    this.#tables = tables;
    this.#disk = disk;
    this.state = disk.state;
  }

  apply(writes: readonly W[], options: { readonly durable: boolean }): void {
    this.#check();
    try {
      for (const write of writes) this.#tables.apply(write);
    } catch (error) {
      this.#failure = { error };
      throw error;
    }
    this.#disk.applied(writes, options.durable);
  }

  read(query: Q): A {
    this.#check();
    return this.#tables.read(query);
  }

  freeBytes(): number | undefined {
    this.#check();
    return this.#disk.freeBytes();
  }

  close(): void {
    if (this.#ended) return;
    this.#disk.closed(this.#failure === undefined);
    this.#ended = true;
  }

  /** The process that had it open is gone. */
  end(): void {
    this.#ended = true;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    invariant(!this.#ended, "a store isn't used after its end");
  }
}

/**
 * A storage's database that lives in memory.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid } from "../core/ids.ts";
 * import { memoryDatabase } from "./memory.ts";
 *
 * const identity = { clusterId: "c", cluster: "demo", name: "s1", diskId: "d", partitions: 1 };
 * const disk = memoryDatabase(identity, () => new Uint8Array(32));
 * const database = disk.open();
 * assert.deepEqual(database.read({ read: "latest", oid: toOid(1n) }), { read: "latest", tid: 0n });
 * ```
 */
export function memoryDatabase(
  identity: DatabaseIdentity,
  digest: Digest,
): MemoryDisk<DatabaseWrite, DatabaseQuery, DatabaseAnswer, DatabaseState> {
  return new MemoryDisk(identity.name, new DatabaseTables(identity, digest));
}

/** A master's metadata in memory. `image` is what `init` writes: null for a master that waits to be told. */
export function memoryMetadata(
  image: Uint8Array | null,
  diskId: string = "",
): MemoryDisk<MetadataWrite, never, never, MetadataState> {
  const snapshot = image === null ? null : { index: 0, term: 0, image };
  const ballot = { term: 0, votedFor: null };
  return new MemoryDisk("metadata", new MetadataTables({ snapshot, entries: [], ballot, diskId }));
}
