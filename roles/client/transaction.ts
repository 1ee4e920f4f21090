/** What a program reads and writes with: `Snapshot` and `Transaction`. */
import { AbortedError, DatabaseError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import {
  NOTE_BYTES_MAX,
  OBJECT_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OBJECTS_MAX,
} from "../../core/limits.ts";
import { idOf } from "./caller.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { Commit, LoadedRevision, Write } from "./calls.ts";
import { Resolving } from "./resolving.ts";
import type { Resolver } from "./resolving.ts";

/** What a transaction says about itself. */
export interface TransactionNote {
  readonly user?: string | Uint8Array;
  readonly description?: string | Uint8Array;
  readonly extension?: Uint8Array;
}

/** The database as it was at one tid; later commits don't change what it shows. */
export class Snapshot {
  /** What it shows: everything with tid <= at. */
  readonly at: Tid;
  protected readonly caller: Caller;

  /** Made by `Client.snapshot()`. */
  constructor(caller: Caller, at: Tid) {
    this.caller = caller;
    this.at = at;
  }

  /**
   * An object as it is in this snapshot.
   *
   * @returns undefined when there is no such object here, or it is deleted
   */
  async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<LoadedRevision & { readonly data: Uint8Array } | undefined> {
    return existing(await this.caller.call("load", { oid: idOf(oid), at: this.at }, options));
  }

  /** Many objects, in the order of `oids`; one message a storage. */
  async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(LoadedRevision & { readonly data: Uint8Array } | undefined)[]> {
    return (await this.caller.call("loadMany", { oids: oids.map(idOf), at: this.at }, options)).map(
      existing,
    );
  }
}

function existing(
  revision: LoadedRevision | undefined,
): LoadedRevision & { readonly data: Uint8Array } | undefined {
  return revision?.data ? { ...revision, data: revision.data } : undefined;
}

/** Reads of one snapshot, and writes that are committed together or not at all. */
export class Transaction extends Snapshot {
  #writes = new Map<Oid, Write>();
  #bytes = 0; // of their data
  #bases = new Map<Oid, Tid>();
  #checks = new Map<Oid, Tid>();
  #note: TransactionNote = {};
  #state: "open" | "committing" | "committed" | "aborted" = "open";
  #tid: Tid | undefined;
  readonly #resolve: Resolver | undefined;
  /** The primary's time when it began, in ms: its place in the queues for locks. Undefined: that of its commit. */
  readonly ageMs: number | undefined;

  /** Made by `Client.begin()`. */
  constructor(
    caller: Caller,
    begin: { at: Tid; ageMs: number | undefined; resolve?: Resolver | undefined },
  ) {
    super(caller, begin.at);
    this.ageMs = begin.ageMs;
    this.#resolve = begin.resolve;
  }

  /** Whether it takes writes. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether there is nothing to commit: nothing written, checked or noted. */
  get isEmpty(): boolean {
    return this.#writes.size + this.#checks.size + Object.keys(this.#note).length === 0;
  }

  /** Its tid, once it is committed. */
  get tid(): Tid | undefined {
    return this.#tid;
  }

  /** An object in this transaction: its own write, or the snapshot's revision, which becomes the base of a write. */
  override async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<LoadedRevision & { readonly data: Uint8Array } | undefined> {
    const own = this.#writes.get(oid);
    if (own) return own.data === null ? undefined : { tid: own.base, next: null, data: own.data, link: null };
    const found = await this.caller.call("load", { oid: idOf(oid), at: this.at }, options);
    this.#bases.set(oid, found?.tid ?? ZERO_TID);
    return existing(found);
  }

  /** Many objects, as `load` gives them. */
  override async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(LoadedRevision & { readonly data: Uint8Array } | undefined)[]> {
    const rest = oids.filter((oid) => !this.#writes.has(oid));
    const found = await this.caller.call("loadMany", { oids: rest.map(idOf), at: this.at }, options);
    const byOid = new Map(rest.map((oid, at) => [oid, found[at]]));
    for (const oid of rest) this.#bases.set(oid, byOid.get(oid)?.tid ?? ZERO_TID);
    return oids.map((oid) => {
      const own = this.#writes.get(oid);
      if (own) {
        return own.data === null
          ? undefined
          : { tid: own.base, next: null, data: own.data, link: null };
      }
      return existing(byOid.get(oid));
    });
  }

  /**
   * Writes an object. Nothing is sent before `commit`.
   *
   * @param options.base the revision that the write starts from; unless told, the one that was loaded here, or none
   *   (a new object)
   * @throws RangeError when the data is too large or the transaction is over
   */
  store(oid: Oid, data: Uint8Array, options: { readonly base?: Tid } = {}): void {
    if (!(data instanceof Uint8Array)) {
      throw new TypeError(`Cannot store object ${oid}: its data must be a Uint8Array`);
    }
    if (data.length > OBJECT_BYTES_MAX) {
      throw new RangeError(
        `Cannot store object ${oid}: ${data.length} bytes are more than ${OBJECT_BYTES_MAX}`,
      );
    }
    this.#write(oid, new Uint8Array(data), options.base); // a copy (slice() of a node Buffer is none): its owner may use it again
  }

  /** Deletes an object: later snapshots don't have it, earlier ones do. */
  delete(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#write(oid, null, options.base);
  }

  /** Makes the commit fail if the object is changed by another: what was decided on it must still hold. */
  check(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#mustBeOpen("check");
    this.#checks.set(oid, options.base ?? this.#bases.get(oid) ?? ZERO_TID);
  }

  /** Says who commits what. */
  note(note: TransactionNote): void {
    this.#mustBeOpen("note");
    this.#note = { ...this.#note, ...note };
  }

  /**
   * Commits all writes, durably on every copy.
   *
   * @returns the transaction's tid
   * @throws ConflictError when others changed what was written or checked, and no resolver made one of both: begin again
   * @throws LockTimeoutError, AbortedError, UnreachableError: nothing is stored; begin again
   * @throws OutcomePendingError only when everything that knows the outcome is away
   */
  async commit(options: CallOptions = {}): Promise<Tid> {
    this.#mustBeOpen("commit");
    const commit: Commit = {
      writes: [...this.#writes.values()],
      checks: [...this.#checks].flatMap(([oid, base]) => (this.#writes.has(oid) ? [] : [{ oid, base }])),
      user: bytesOf("user", this.#note.user),
      description: bytesOf("description", this.#note.description),
      extension: bytesOf("extension", this.#note.extension),
      status: " ",
      ...(this.ageMs === undefined ? {} : { ageMs: this.ageMs }),
      resolves: this.#resolve !== undefined,
    };
    this.#state = "committing";
    const resolving = this.#resolve && new Resolving(this.caller, this.#resolve, commit.writes, options);
    const hooks = resolving ? { onConflict: resolving.take.bind(resolving) } : {};
    try {
      const { tid } = await this.caller.call("commit", commit, { ...options, ...hooks });
      this.#state = "committed";
      this.#tid = tid;
      return tid;
    } catch (error) {
      this.#state = "aborted";
      throw resolving && error instanceof DatabaseError ? resolving.reasonOf(error) : error;
    }
  }

  /** Gives all writes up. */
  abort(): void {
    if (this.#state === "open") this.#state = "aborted";
  }

  /** Aborts, unless it was committed. */
  [Symbol.dispose](): void {
    this.abort();
  }

  /** Aborts, unless it was committed. */
  [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    return Promise.resolve();
  }

  #write(oid: Oid, data: Uint8Array | null, base: Tid | undefined): void {
    this.#mustBeOpen("store");
    idOf(oid);
    if (base !== undefined) idOf(base);
    const before = this.#writes.get(oid);
    const bytes = this.#bytes + (data?.length ?? 0) - (before?.data?.length ?? 0);
    const objects = this.#writes.size + (before ? 0 : 1);
    if (bytes > TRANSACTION_BYTES_MAX || objects > TRANSACTION_OBJECTS_MAX) {
      const limits = `${TRANSACTION_OBJECTS_MAX} objects and ${TRANSACTION_BYTES_MAX} bytes`;
      throw new RangeError(
        `Cannot store object ${oid}: a transaction takes ${limits}; commit and begin another`,
      );
    }
    this.#bytes = bytes;
    this.#writes.set(oid, {
      oid,
      base: base ?? this.#writes.get(oid)?.base ?? this.#bases.get(oid) ?? ZERO_TID,
      data,
    });
  }

  #mustBeOpen(what: string): void {
    if (this.#state === "open") return;
    const message = `Cannot ${what}: the transaction is ${this.#state}; begin another`;
    throw this.#state === "aborted" ? new AbortedError(message) : new RangeError(message);
  }
}

function bytesOf(name: string, value: string | Uint8Array | undefined): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value ?? new Uint8Array();
  if (bytes.length <= NOTE_BYTES_MAX) return bytes;
  throw new RangeError(`Cannot commit: ${name} has ${bytes.length} bytes, ${NOTE_BYTES_MAX} are allowed`);
}
