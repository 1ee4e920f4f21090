/**
 * Conflicts resolved by the program: an object was changed by another transaction after ours had read it, and the program
 * makes one write of the two. The storages keep our locks meanwhile, so that a slow resolver isn't overtaken for ever.
 */
import type { DatabaseError } from "../../core/errors.ts";
import type { Conflict } from "../../core/errors.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { OBJECT_BYTES_MAX } from "../../core/limits.ts";
import type { CallOptions, TransactionCaller } from "./caller.ts";
import type { Resolution, Write } from "./calls.ts";
import { wholeOf } from "./values.ts";

/** An object that two transactions have changed, starting from the same revision. */
export interface ObjectConflict {
  readonly oid: Oid;
  /** What both started from; undefined: the object is new. */
  readonly base: Uint8Array | undefined;
  /** What the other has committed. */
  readonly saved: Uint8Array;
  /** What this transaction wants to write. */
  readonly mine: Uint8Array;
  readonly baseTid: Tid;
  readonly savedTid: Tid;
}

/**
 * Makes one write of two. Gives the data to store on top of `saved`, or undefined when that can't be done: the commit then
 * fails with its `ConflictError`. What it throws ends the commit as well. It may be called again for an object that changes
 * once more meanwhile, with what it gave the last time as `mine`. Deletions aren't resolved.
 */
export type Resolver = (
  conflict: ObjectConflict,
) => Uint8Array | undefined | Promise<Uint8Array | undefined>;

/** The resolutions of one commit. */
export class Resolving {
  #caller: TransactionCaller;
  #resolver: Resolver;
  #options: CallOptions;
  #mine: Map<Oid, { readonly base: Tid; readonly data: Uint8Array | null }>;
  #failure: { readonly error: unknown } | undefined;

  constructor(caller: TransactionCaller, resolver: Resolver, writes: readonly Write[], options: CallOptions) {
    this.#caller = caller;
    this.#resolver = resolver;
    this.#options = options;
    this.#mine = new Map(writes.map(({ oid, base, data }) => [oid, { base, data }]));
  }

  /** Takes what the machine put out, and answers it once. Never throws. */
  take(
    conflicts: readonly Conflict[],
    resolve: (resolutions: readonly Resolution[] | undefined) => void,
  ): void {
    this.#all(conflicts).then(resolve, (error) => {
      this.#failure = { error };
      resolve(undefined);
    });
  }

  /** What ended the commit: what the resolver threw, if it did. */
  reasonOf(error: DatabaseError): unknown {
    return this.#failure && error.code === "conflict" ? this.#failure.error : error;
  }

  async #all(conflicts: readonly Conflict[]): Promise<readonly Resolution[] | undefined> {
    const resolutions: Resolution[] = [];
    for (const { oid, saved } of conflicts) {
      const data = await this.#one(oid, saved);
      if (data === undefined) return undefined;
      resolutions.push({ oid, data });
    }
    for (const { oid, data } of resolutions) {
      const { saved } = conflicts.find((conflict) => conflict.oid === oid)!;
      this.#mine.set(oid, { base: saved, data });
    }
    return resolutions;
  }

  async #one(oid: Oid, savedTid: Tid): Promise<Uint8Array | undefined> {
    const mine = this.#mine.get(oid);
    if (!mine || mine.data === null) return undefined;
    const [base, saved] = await Promise.all([this.#load(oid, mine.base), this.#load(oid, savedTid)]);
    if (saved === undefined) return undefined;
    const data = new Uint8Array(mine.data); // the resolver may use it as it likes
    const resolved = await this.#resolver({ oid, base, saved, mine: data, baseTid: mine.base, savedTid });
    if (resolved instanceof Uint8Array && resolved.length > OBJECT_BYTES_MAX) {
      throw new RangeError(
        `Cannot resolve object ${oid}: ${resolved.length} bytes are more than ${OBJECT_BYTES_MAX}`,
      );
    }
    if (resolved === undefined || resolved instanceof Uint8Array) return resolved && new Uint8Array(resolved);
    throw new TypeError(`Cannot resolve object ${oid}: its resolver must give a Uint8Array, or undefined`);
  }

  async #load(oid: Oid, tid: Tid): Promise<Uint8Array | undefined> {
    if (tid === ZERO_TID) return undefined;
    const found = await this.#caller.call("loadExact", { oid, tid }, this.#options);
    return (await wholeOf(this.#caller, oid, found, this.#options))?.data;
  }
}
