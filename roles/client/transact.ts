/** A whole transaction as one function: begun, run, committed, and run again when others were faster. */
import { ConflictError, DatabaseError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { TRANSACT_ATTEMPTS_MAX } from "../../core/limits.ts";
import type { Caller, CallOptions } from "./caller.ts";
import type { Resolver } from "./resolving.ts";
import type { Transaction } from "./transaction.ts";

/** How a transaction is begun. */
export interface BeginOptions extends CallOptions {
  /** False: doesn't ask the primary first, so that commits of others that were just made may be missing. */
  readonly sync?: boolean;
  /** Makes one write of two where others were faster, in place of a `ConflictError`. */
  readonly resolve?: Resolver;
}

/** How `transact` goes about it. */
export interface TransactOptions extends BeginOptions {
  /** How often the function is run at most, 50 unless told. */
  readonly attempts?: number;
}

/** What `transact` gives. */
export interface Transacted<T> {
  /** What the function gave in the attempt that was committed. */
  readonly value: T;
  /** The transaction's tid; that of its snapshot when nothing was written or checked, or the function aborted it. */
  readonly tid: Tid;
  /** How often the function was run. */
  readonly attempts: number;
}

/** Failures that leave nothing behind and that another attempt may not meet. */
const AGAIN: readonly string[] = ["conflict", "lockTimeout", "aborted"];

/** Runs `work` until it is committed; `begin` makes a transaction of a given age (undefined: as old as it is). */
export async function transact<T>(
  caller: Caller,
  begin: (ageMs: number | undefined) => Promise<Transaction>,
  work: (tx: Transaction) => T | Promise<T>,
  options: TransactOptions,
): Promise<Transacted<T>> {
  const most = options.attempts ?? TRANSACT_ATTEMPTS_MAX;
  if (!(Number.isSafeInteger(most) && most >= 1)) {
    throw new RangeError(`Cannot transact in ${most} attempts: expected a whole number from 1 on`);
  }
  let ageMs: number | undefined;
  for (let attempts = 1;; attempts++) {
    const tx = await begin(ageMs);
    ageMs ??= tx.ageMs; // a retry has its first attempt's place in every queue
    try {
      const value = await work(tx);
      const tid = tx.isOpen && !tx.isEmpty ? await tx.commit(options) : tx.at;
      return { value, tid: tx.tid ?? tid, attempts };
    } catch (error) {
      // written without having been loaded: what is in the way was there when it began, and will be
      const isBlind = error instanceof ConflictError && error.conflicts.some(({ saved }) => saved <= tx.at);
      const isOver = attempts >= most || options.signal?.aborted === true || isBlind;
      if (isOver || !(error instanceof DatabaseError) || !AGAIN.includes(error.code)) throw error;
    } finally {
      tx.abort(); // what it hasn't committed
    }
    await caller.call("pause", { attempt: attempts }, options);
  }
}
