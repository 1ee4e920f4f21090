/** What a program reads and writes with: `Snapshot` and `Transaction`. */
import { AbortedError, DatabaseError } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import {
  NOTE_BYTES_MAX,
  OBJECT_BYTES_MAX,
  PART_BYTES_MAX,
  TRANSACTION_BYTES_MAX,
  TRANSACTION_OBJECTS_MAX,
  VALUE_BYTES_MAX,
} from "../../core/limits.ts";
import { idOf, idsOf, mustBeFunction, typeOf, wrongSignal } from "./caller.ts";
import type { CallOptions, TransactionCaller } from "./caller.ts";
import type { Commit, LoadedRevision, Write } from "./calls.ts";
import type { Opened } from "./floors.ts";
import { Resolving } from "./resolving.ts";
import type { Resolver } from "./resolving.ts";
import { undone } from "./undoing.ts";
import { inParts, streamOf, wholeOf } from "./values.ts";
import type { ByteSource, StreamedValue, WholeRevision } from "./values.ts";

/** What a transaction says about itself. */
export interface TransactionNote {
  readonly user?: string | Uint8Array;
  readonly description?: string | Uint8Array;
  readonly extension?: Uint8Array;
}

/**
 * The database as it was at one tid; later commits don't change what it shows.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { connect } from "../../mod.ts";
 *
 * await using client = await connect({ memory: true });
 * const oid = await client.newOid();
 * const { tid } = await client.transact((tx) => tx.store(oid, Uint8Array.of(1)));
 * const before = await client.snapshot();
 * await client.transact((tx) => tx.store(oid, Uint8Array.of(2), { base: tid }));
 *
 * assert.deepEqual((await before.load(oid))?.data, Uint8Array.of(1));
 * assert.deepEqual((await (await client.snapshot()).load(oid))?.data, Uint8Array.of(2));
 * assert.deepEqual((await (await client.snapshot({ at: tid })).load(oid))?.data, Uint8Array.of(1));
 * ```
 */
export class Snapshot {
  /** What it shows: everything with tid <= at. */
  readonly at: Tid;
  protected readonly caller: TransactionCaller;
  readonly #opened: Opened | undefined;

  /** Made by `Client.snapshot()`. */
  constructor(caller: TransactionCaller, at: Tid, opened?: Opened) {
    this.caller = caller;
    this.at = at;
    this.#opened = opened;
    opened?.of(this);
  }

  /** It isn't needed any more. Operators see the oldest one that is open; a forgotten one counts until it is collected. */
  close(): void {
    this.#opened?.end();
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * An object as it is in this snapshot.
   *
   * @returns undefined when there is no such object here, or it is deleted
   */
  async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<WholeRevision | undefined> {
    const found = await this.caller.load({ oid: idOf(oid), at: this.at }, options);
    return await wholeOf(this.caller, oid, found, options);
  }

  /**
   * An object's value as a stream, whatever its size: a few parts of it are in memory at a time.
   *
   * @returns undefined when there is no such object here, or it is deleted
   */
  async loadStream(oid: Oid, options: CallOptions = {}): Promise<StreamedValue | undefined> {
    const found = await this.caller.load({ oid: idOf(oid), at: this.at }, options);
    return streamOf(this.caller, oid, found, options);
  }

  /** Brings objects into the cache, one message a storage: loading them then asks nobody. */
  async prefetch(oids: readonly Oid[], options: CallOptions = {}): Promise<void> {
    await this.caller.call("loadMany", { oids: idsOf(oids), at: this.at }, options);
  }

  /** Many objects, in the order of `oids`; one message a storage. */
  async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(WholeRevision | undefined)[]> {
    const found = await this.caller.call("loadMany", { oids: idsOf(oids), at: this.at }, options);
    return await Promise.all(oids.map((oid, at) => wholeOf(this.caller, oid, found[at], options)));
  }
}

/**
 * Reads of one snapshot, and writes that are committed together or not at all.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { connect, ConflictError } from "../../mod.ts";
 *
 * await using client = await connect({ memory: true });
 * const [from, to] = await client.newOids(2);
 * const tx = await client.begin();
 * tx.store(from!, Uint8Array.of(7));
 * tx.store(to!, Uint8Array.of(3));
 * await tx.commit();
 *
 * const [mine, theirs] = [await client.begin(), await client.begin()];
 * for (const each of [mine, theirs]) {
 *   await each.load(to!); // its revision is what the write starts from
 *   each.store(to!, Uint8Array.of(9));
 * }
 * await theirs.commit();
 * await assert.rejects(mine.commit(), ConflictError);
 * ```
 */
export class Transaction extends Snapshot {
  #writes = new Map<Oid, Write>();
  #bytes = 0; // of their data
  #bases = new Map<Oid, Tid>();
  #checks = new Map<Oid, Tid>();
  #note: TransactionNote = {};
  #streamed = new Set<Oid>();
  #streaming = 0; // streams that are being read
  #draft: number | undefined; // under which parts were sent
  #state: "open" | "committing" | "committed" | "aborted" = "open";
  #tid: Tid | undefined;
  readonly #resolve: Resolver | undefined;
  /** The primary's time when it began, in ms: its place in the queues for locks. Undefined: that of its commit. */
  readonly ageMs: number | undefined;

  /** Made by `Client.begin()`. */
  constructor(
    caller: TransactionCaller,
    begin: { at: Tid; ageMs: number | undefined; resolve?: Resolver | undefined; opened?: Opened },
  ) {
    super(caller, begin.at, begin.opened);
    this.ageMs = begin.ageMs;
    if (begin.resolve !== undefined) mustBeFunction("Cannot resolve conflicts", begin.resolve);
    this.#resolve = begin.resolve;
  }

  /** Whether it takes writes. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Whether there is nothing to commit: nothing written, checked or noted. */
  get isEmpty(): boolean {
    return this.#writes.size + this.#checks.size + this.#streaming + Object.keys(this.#note).length === 0;
  }

  /** Its tid, once it is committed. */
  get tid(): Tid | undefined {
    return this.#tid;
  }

  /**
   * An object in this transaction: its own write, or the snapshot's revision, which becomes the base of a write. Once the
   * transaction has ended there is neither: what it wrote is in later snapshots, or nowhere.
   *
   * @throws RangeError when it was committed, AbortedError when it was given up
   */
  override async load(
    oid: Oid,
    options: CallOptions = {},
  ): Promise<WholeRevision | undefined> {
    this.#mustNotBeOver("load");
    const own = this.#writes.get(oid);
    if (own) return ownOf(own);
    return await wholeOf(this.caller, oid, await this.#find(oid, options), options);
  }

  /** An object's value as a stream; what this transaction streams itself can't be read before it is committed. */
  override async loadStream(oid: Oid, options: CallOptions = {}): Promise<StreamedValue | undefined> {
    this.#mustNotBeOver("load");
    const own = this.#writes.get(oid);
    const found = own ? ownOf(own) : await this.#find(oid, options);
    return streamOf(this.caller, oid, found, options);
  }

  async #find(oid: Oid, options: CallOptions): Promise<LoadedRevision | undefined> {
    const found = await this.caller.load({ oid: idOf(oid), at: this.at }, options);
    this.#bases.set(oid, found?.tid ?? ZERO_TID);
    return found;
  }

  /** Many objects, as `load` gives them. */
  override async loadMany(
    oids: readonly Oid[],
    options: CallOptions = {},
  ): Promise<(WholeRevision | undefined)[]> {
    this.#mustNotBeOver("load");
    const rest = idsOf(oids).filter((oid) => !this.#writes.has(oid));
    const found = await this.caller.call("loadMany", { oids: rest, at: this.at }, options);
    const byOid = new Map(rest.map((oid, at) => [oid, found[at]]));
    for (const oid of rest) this.#bases.set(oid, byOid.get(oid)?.tid ?? ZERO_TID);
    return await Promise.all(oids.map((oid) => {
      const own = this.#writes.get(oid);
      return own ? ownOf(own) : wholeOf(this.caller, oid, byOid.get(oid), options);
    }));
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
        `Cannot store object ${oid}: ${data.length} bytes are more than ${OBJECT_BYTES_MAX}; use storeStream()`,
      );
    }
    this.#write(oid, new Uint8Array(data), options.base); // a copy (slice() of a node Buffer is none): its owner may use it again
  }

  /**
   * Writes an object of any size from a stream. Its parts go to the storages as they come, a few of them are in memory
   * at a time; nobody sees them before `commit`. What is read from the source is gone: should the connection to a
   * storage be lost before the commit, it fails with an `AbortedError`, and is to be run again from the beginning. So a stream
   * is made within the function that `transact()` runs: one that was read before is refused.
   *
   * @param options.base as for `store`
   * @throws RangeError when the value is too large, the transaction is over, or the object has a stream already
   * @throws AbortedError, UnreachableError: nothing is stored; begin again. What the source throws aborts the transaction
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { connect } from "../../mod.ts";
   *
   * await using client = await connect({ memory: true });
   * const oid = await client.newOid();
   * await client.transact(async (tx) => {
   *   const pieces = Array.from({ length: 100 }, () => new Uint8Array(65_536));
   *   await tx.storeStream(oid, pieces);
   * });
   * const value = await (await client.snapshot()).loadStream(oid);
   * assert.equal(value?.size, 6_553_600);
   * await value.body.cancel();
   * ```
   */
  async storeStream(
    oid: Oid,
    source: ByteSource,
    options: CallOptions & { readonly base?: Tid } = {},
  ): Promise<void> {
    this.#mustBeOpen("store");
    idOf(oid);
    const wrong = wrongSignal("store a stream", options.signal);
    if (wrong) throw wrong;
    if (this.#streamed.has(oid)) throw new RangeError(`Cannot store object ${oid}: it has a stream already`);
    this.#streamed.add(oid);
    let size = 0;
    const { signal } = this.caller.under(options);
    this.#streaming += 1;
    try {
      let last: Uint8Array | undefined;
      for await (const part of inParts(source, signal)) {
        if (last) await this.#part(oid, last, options);
        size += part.length;
        if (size > VALUE_BYTES_MAX) {
          throw new RangeError(
            `Cannot store object ${oid}: its value has more than ${VALUE_BYTES_MAX} bytes`,
          );
        }
        last = part;
      }
      if (size <= PART_BYTES_MAX) return this.#write(oid, last?.slice() ?? new Uint8Array(), options.base);
      await this.#part(oid, last!, options);
    } catch (error) {
      this.abort(); // a part of it would be no value
      throw error;
    } finally {
      this.#streaming -= 1;
    }
    this.#write(oid, null, options.base);
    this.#writes.set(oid, { ...this.#writes.get(oid)!, streamed: true });
  }

  async #part(oid: Oid, data: Uint8Array, options: CallOptions): Promise<void> {
    this.#mustBeOpen("store");
    this.#draft ??= this.caller.draft();
    const { withinMs, signal } = options;
    const request = { draft: this.#draft, oid, data, ageMs: this.ageMs };
    const bounds = { ...(withinMs === undefined ? {} : { withinMs }), ...(signal ? { signal } : {}) };
    await this.caller.call("part", request, bounds);
  }

  /** Deletes an object: later snapshots don't have it, earlier ones do. */
  delete(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#write(oid, null, options.base);
  }

  /** Makes the commit fail if the object is changed by another: what was decided on it must still hold. */
  check(oid: Oid, options: { readonly base?: Tid } = {}): void {
    this.#mustBeOpen("check");
    idOf(oid);
    if (options.base !== undefined) idOf(options.base);
    this.#checks.set(oid, options.base ?? this.#bases.get(oid) ?? ZERO_TID);
  }

  /**
   * Takes back what an earlier transaction did: each of its objects gets the value that it had before, and one that
   * it made is deleted. Several undos in one transaction add up; an undo can be undone.
   *
   * @returns the objects that this transaction writes for it; none: all of it was taken back already
   * @throws UndoError when an object was changed since, and the transaction's resolver doesn't take the change out (it is given
   * `base`: what was undone, `saved`: what is there now, `mine`: what was there before)
   * @example
   * ```ts
   * import assert from "node:assert/strict";
   * import { connect } from "../../mod.ts";
   *
   * await using client = await connect({ memory: true });
   * const oid = await client.newOid();
   * await client.transact((tx) => tx.store(oid, Uint8Array.of(1)));
   * const { tid } = await client.transact(async (tx) => {
   *   await tx.load(oid);
   *   tx.store(oid, Uint8Array.of(2));
   * });
   * await client.transact((tx) => tx.undo(tid));
   * const snapshot = await client.snapshot();
   * assert.deepEqual((await snapshot.load(oid))?.data, Uint8Array.of(1));
   * ```
   */
  async undo(tid: Tid, options: CallOptions = {}): Promise<readonly Oid[]> {
    this.#mustBeOpen("undo");
    const own = (oid: Oid): Write | undefined => {
      const write = this.#writes.get(oid);
      if (write?.streamed) {
        throw new RangeError(`Cannot undo a change of object ${oid}: its new value is a stream`);
      }
      return write;
    };
    const undoing = { tid: idOf(tid), at: this.at, own, resolve: this.#resolve };
    const { restored, kept } = await undone(this.caller, undoing, options);
    for (const { oid, base } of restored.length > 0 ? kept : []) this.check(oid, { base });
    for (const { oid, data, base, ...link } of restored) {
      this.#write(oid, data, base);
      this.#writes.set(oid, { ...this.#writes.get(oid)!, ...link });
    }
    return restored.map(({ oid }) => oid);
  }

  /** Says who commits what. */
  note(note: TransactionNote): void {
    this.#mustBeOpen("note");
    checkNote(note);
    this.#note = { ...this.#note, ...note };
  }

  /**
   * Commits all writes, durably on every copy. When its signal fires or its time is over, it is given up, and nothing is
   * stored, as long as `finish` hasn't been sent to the primary; from there on it can't be taken back, and what became
   * of it is waited for, ten seconds at most.
   *
   * @returns the transaction's tid
   * @throws what its signal gives as its reason: nothing is stored
   * @throws ConflictError when others changed what was written or checked, and no resolver made one of both: begin again
   * @throws LockTimeoutError, AbortedError, UnreachableError: nothing is stored; begin again
   * @throws OutcomePendingError only when everything that knows the outcome is away
   */
  async commit(options: CallOptions = {}): Promise<Tid> {
    this.#mustBeOpen("commit");
    if (this.#streaming > 0) {
      this.abort();
      throw new RangeError("Cannot commit: a stream of it isn't stored yet; await storeStream()");
    }
    const commit: Commit = {
      writes: [...this.#writes.values()],
      checks: [...this.#checks].flatMap(([oid, base]) => (this.#writes.has(oid) ? [] : [{ oid, base }])),
      user: bytesOf("user", this.#note.user),
      description: bytesOf("description", this.#note.description),
      extension: bytesOf("extension", this.#note.extension),
      status: " ",
      ...(this.ageMs === undefined ? {} : { ageMs: this.ageMs }),
      ...(this.#draft === undefined ? {} : { draft: this.#draft }),
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
    } finally {
      super.close();
    }
  }

  /** Gives all writes up. */
  abort(): void {
    super.close();
    if (this.#state !== "open") return;
    this.#state = "aborted";
    if (this.#draft !== undefined) this.caller.discard(this.#draft);
  }

  /** Aborts, unless it was committed. */
  override close(): void {
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

  /** Reads go on while it commits. */
  #mustNotBeOver(what: string): void {
    if (this.#state !== "committing") this.#mustBeOpen(what);
  }

  #mustBeOpen(what: string): void {
    if (this.#state === "open") return;
    const message = `Cannot ${what}: the transaction is ${this.#state}; begin another`;
    throw this.#state === "aborted" ? new AbortedError(message) : new RangeError(message);
  }
}

/** What a transaction wrote itself. */
function ownOf({ oid, base, data, streamed }: Write): WholeRevision | undefined {
  if (streamed) {
    throw new RangeError(`Cannot load object ${oid}: its new value is a stream, to be read once committed`);
  }
  return data === null ? undefined : { tid: base, next: null, data: new Uint8Array(data), link: null };
}

/** Programs in plain JavaScript, too, hear of a wrong note where they give it. */
function checkNote(note: TransactionNote): void {
  if (typeof note !== "object" || note === null) {
    throw new TypeError(`Cannot note ${typeOf(note)}: expected an object, such as { user: "eva" }`);
  }
  for (const name of ["user", "description", "extension"] as const) {
    const value = note[name];
    const isText = typeof value === "string" && name !== "extension";
    if (value === undefined || isText || value instanceof Uint8Array) continue;
    const wanted = name === "extension" ? "a Uint8Array" : "a string or a Uint8Array";
    throw new TypeError(`Cannot note this ${name}: expected ${wanted}, got ${typeOf(value)}`);
  }
}

function bytesOf(name: string, value: string | Uint8Array | undefined): Uint8Array {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value ?? new Uint8Array();
  if (bytes.length <= NOTE_BYTES_MAX) return bytes;
  throw new RangeError(`Cannot commit: ${name} has ${bytes.length} bytes, ${NOTE_BYTES_MAX} are allowed`);
}
