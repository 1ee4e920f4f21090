/** A whole transaction as one function: begun, run, committed, and run again when others were faster. */
import { ConflictError, DatabaseError, PackedError, UnreachableError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { TRANSACT_ATTEMPTS_MAX, TRANSACT_TURN_MS } from "../../core/limits.ts";
import { mustBeFunction, wrongSignal } from "./caller.ts";
import type { CallOptions, TransactionCaller } from "./caller.ts";
import type { Resolver } from "./resolving.ts";
import { Scope } from "./scope.ts";
import type { Transaction } from "./transaction.ts";
import type { Turn, Turns } from "./turns.ts";

/** How a transaction is begun. */
export interface BeginOptions extends CallOptions {
  /** False: doesn't ask the primary first, so that commits of others that were just made may be missing. */
  readonly sync?: boolean;
  /** Makes one write of two where others were faster, in place of a `ConflictError`. */
  readonly resolve?: Resolver;
}

/**
 * How `transact` goes about it. `withinMs` and `signal` are those of the whole: all attempts, what the function does in them
 * with its transaction, and the pauses between. Without `withinMs` each message has its 30 seconds, and the whole has no bound.
 */
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

/** Begins one attempt, of a given age (undefined: as old as it is), all of whose calls are the caller's. */
export type Begin = (caller: TransactionCaller, ageMs: number | undefined) => Promise<Transaction>;

/** Runs `work` until it is committed. */
export async function transact<T>(
  caller: TransactionCaller,
  begin: Begin,
  work: (tx: Transaction) => T | Promise<T>,
  options: TransactOptions,
  turns: Turns,
): Promise<Transacted<T>> {
  const most = options.attempts ?? TRANSACT_ATTEMPTS_MAX;
  if (!(Number.isSafeInteger(most) && most >= 1)) {
    throw new RangeError(`Cannot transact in ${most} attempts: expected a whole number from 1 on`);
  }
  mustBeFunction("Cannot transact", work);
  const wrong = wrongSignal("transact", options.signal);
  if (wrong) throw wrong;
  let attempts = 0;
  let last: unknown;
  const late = (): Error => {
    const message = `Cannot transact in time: ${options.withinMs} ms are over, in attempt ${attempts}`;
    return new UnreachableError(message, last === undefined ? {} : { cause: last });
  };
  const scope = new Scope(caller, options, late);
  let turn: Turn | undefined;
  try {
    let ageMs: number | undefined;
    for (;;) {
      attempts += 1;
      const tx = await begin(scope.caller, ageMs);
      ageMs ??= tx.ageMs; // a retry has its first attempt's place in every queue
      try {
        const value = await scope.run(() => work(tx));
        const tid = tx.isOpen && !tx.isEmpty ? await tx.commit(options) : tx.at;
        return { value, tid: tx.tid ?? tid, attempts };
      } catch (error) {
        // written without having been loaded: what is in the way was there when it began, and will be
        const isBlind = error instanceof ConflictError && error.conflicts.some(({ saved }) => saved <= tx.at);
        const isOver = attempts >= most || isBlind;
        // this client was away while history was packed: a fresh snapshot shows all
        const isOld = error instanceof PackedError && error.bound > tx.at;
        const isAgain = error instanceof DatabaseError && (isOld || AGAIN.includes(error.code));
        if (isOver || !isAgain) throw error;
        last = error;
      } finally {
        tx.abort(); // what it hasn't committed
      }
      await scope.caller.call("pause", { attempt: attempts }, options);
      if (last instanceof ConflictError) turn = await turnAfter(last, { turn, turns, scope });
    }
  } finally {
    turn?.end();
    scope.end();
  }
}

/** The turn of a transaction that has lost objects, when it has come or was waited for long enough. */
async function turnAfter(
  { conflicts }: ConflictError,
  { turn: held, turns, scope }: {
    readonly turn: Turn | undefined;
    readonly turns: Turns;
    readonly scope: Scope;
  },
): Promise<Turn> {
  const oids = conflicts.map(({ oid }) => oid);
  if (held?.covers(oids)) return held;
  held?.end();
  const turn = turns.take(oids);
  try {
    await whileItMoves(turn, scope);
    return turn;
  } catch (error) {
    turn.end();
    throw error;
  }
}

/** Waits for a turn, unless none before it has ended for a while. */
async function whileItMoves(turn: Turn, scope: Scope): Promise<void> {
  let hasCome = false;
  const come = turn.come.then(() => hasCome = true);
  for (let seen = -1; !hasCome && seen < turn.progress;) {
    seen = turn.progress;
    const came = new AbortController();
    const long = scope.caller.call("elapse", {}, { withinMs: TRANSACT_TURN_MS, signal: came.signal });
    await Promise.race([come, long]).finally(() => came.abort());
  }
}
