/** Calls of a program to a client machine: each is a promise, settled once. */
import type { DatabaseError } from "../../core/errors.ts";
import { ID_MAX, ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { CALL_TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import type {
  CallName,
  Calls,
  ClientCall,
  ClientOutput,
  ClientWord,
  LoadedRevision,
  Resolution,
} from "./calls.ts";

/** How a call may be bounded. */
export interface CallOptions {
  /** How long the call may take, in ms; 30,000 unless told. */
  readonly withinMs?: number;
  /**
   * Gives the call up when it fires: its promise rejects with the signal's reason. A commit can be given up until its
   * `finish` is sent, and nothing of it is stored then; from there on its outcome is waited for, some seconds at most,
   * and the promise says what it is.
   */
  readonly signal?: AbortSignal;
}

/**
 * Hears of published transactions. `oids` null: a new session began at `tid`, and anything may have changed since the
 * one before.
 */
export type PublishListener = (tid: Tid, oids: readonly Oid[] | null) => void;

/** Who can make calls. */
export interface Calling {
  /** Below it nothing is opened: history was packed up to there, or may be in a moment. */
  readonly packBound?: Tid;
  /** What the program has open: each gives its oldest snapshot. */
  readonly openSnapshots?: Set<() => Tid | null>;
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    options?: CallOptions,
  ): Promise<Calls[N]["result"]>;
}

/** What a transaction and its snapshot need of a `Caller`. */
export type TransactionCaller = Pick<Caller, "call" | "load" | "draft" | "discard" | "under">;

/** What else a caller inside the library may say of its call. */
export interface CallHooks {
  /** Hears of a commit's conflicts, and gives what becomes of them: undefined when they can't be resolved. */
  readonly onConflict?: (
    conflicts: Extract<ClientOutput, { type: "conflict" }>["conflicts"],
    resolve: (resolutions: readonly Resolution[] | undefined) => void,
  ) => void;
}

/** Who listens. */
export interface Listening {
  readonly published: PublishListener;
  /** Hears once that the client has ended, and why. */
  readonly ended?: (error: Error) => void;
}

interface Open extends CallHooks {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal | undefined;
  readonly cancel: () => void;
}

/** What a caller looks at of its machine without a call. */
export interface CallerMachine {
  peek?(oid: Oid, at: Tid): LoadedRevision | undefined;
  readonly callTimeoutMs?: number;
  readonly packBound?: Tid;
  readonly openSnapshots?: Set<() => Tid | null>;
}

/** Hands calls to a client machine and their results back. */
export class Caller {
  #post: (event: ClientCall | ClientWord) => void;
  #machine: CallerMachine;
  #next = 1;
  #open = new Map<number, Open>();
  #listeners = new Set<Listening>();
  #ended: Error | undefined;

  /**
   * @param post gives a call, or a word on one, to the machine
   * @param machine what its cache has: a hit needs no call; and how long a call may take that doesn't say it
   */
  constructor(post: (event: ClientCall | ClientWord) => void, machine: CallerMachine = {}) {
    this.#post = post;
    this.#machine = machine;
  }

  get packBound(): Tid {
    return this.#machine.packBound ?? ZERO_TID;
  }

  get openSnapshots(): Set<() => Tid | null> {
    return this.#machine.openSnapshots ?? new Set();
  }

  /** An object of a snapshot: from the cache at once, or by a call. */
  load(
    request: Calls["load"]["request"],
    options: CallOptions,
  ): LoadedRevision | Promise<LoadedRevision | undefined> {
    const hit = this.#ended || options.signal?.aborted || wrongSignal("load", options.signal)
      ? undefined
      : this.#machine.peek?.(request.oid, request.at);
    return hit ?? this.call("load", request, options);
  }

  /** One call. */
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    options: CallOptions & CallHooks = {},
  ): Promise<Calls[N]["result"]> {
    const { callTimeoutMs = REQUEST_TIMEOUT_MS } = this.#machine;
    const { withinMs = callTimeoutMs, signal, onConflict } = options;
    if (this.#ended) return Promise.reject(this.#ended);
    const wrong = wrongSignal(name, signal);
    if (wrong) return Promise.reject(wrong);
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (!(withinMs > 0)) {
      return Promise.reject(new RangeError(`Cannot ${name} within ${withinMs} ms: expected more than 0`));
    }
    const call = this.#next++;
    return new Promise((resolve, reject) => {
      const cancel = (): void => this.#post({ type: "cancel", call });
      signal?.addEventListener("abort", cancel, { once: true });
      this.#open.set(call, { resolve, reject, signal, cancel, ...(onConflict ? { onConflict } : {}) });
      const within = Math.min(withinMs, CALL_TIMEOUT_MS_MAX);
      this.#post({ type: "call", call, name, request, withinMs: within } as ClientCall);
    });
  }

  /** The options of a call as they are: nothing else bounds it. */
  under<O extends CallOptions>(options: O): O {
    return options;
  }

  /** A number for a transaction that streams values before it commits. */
  draft(): number {
    return this.#next++;
  }

  /** That transaction isn't committed. */
  discard(draft: number): void {
    if (!this.#ended) this.#post({ type: "discard", call: draft });
  }

  /** Takes what comes out of the machine. */
  take(output: ClientOutput): void {
    switch (output.type) {
      case "published":
        for (const { published } of this.#listeners) {
          guarded(() => published(output.tid, output.oids));
        }
        return;
      case "conflict": {
        const { call, round, conflicts } = output;
        const answer = (resolutions: readonly Resolution[] | undefined): void =>
          this.#post({ type: "resolve", call, round, resolutions });
        const hear = this.#open.get(call)?.onConflict;
        return hear ? hear(conflicts, answer) : answer(undefined);
      }
      case "settled":
        return this.#closed(output.call)?.resolve(output.result as never);
      case "failed": {
        const open = this.#closed(output.call);
        return open?.reject(reasonOf(open.signal, output.error));
      }
    }
  }

  /** Tells `published` each published transaction, in order; gives what ends that. */
  listen(listening: Listening): () => void {
    const own = { ...listening }; // the same listener may listen twice
    if (this.#ended) guarded(() => own.ended?.(this.#ended!));
    else this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** The machine has ended: so do all calls, and what listens. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    for (const call of [...this.#open.keys()]) this.#closed(call)?.reject(error);
    for (const { ended } of this.#listeners) guarded(() => ended?.(error));
    this.#listeners.clear();
  }

  /** The call is over: its signal isn't listened to any more. */
  #closed(call: number): Open | undefined {
    const open = this.#open.get(call);
    this.#open.delete(call);
    open?.signal?.removeEventListener("abort", open.cancel);
    return open;
  }
}

/** What a cancelled call fails with is its signal's reason, as with `fetch`. */
function reasonOf(signal: AbortSignal | undefined, error: DatabaseError): unknown {
  return signal?.aborted && error.code === "aborted" ? signal.reason : error;
}

/** A listener that throws is the program's uncaught error, and no end of ours. */
function guarded(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Programs in plain JavaScript, too, hear of a wrong signal where they give it. */
export function wrongSignal(what: string, signal: unknown): TypeError | undefined {
  if (signal === undefined) return undefined;
  const isOne = typeof signal === "object" && signal !== null && "aborted" in signal
    && "addEventListener" in signal;
  return isOne ? undefined : new TypeError(`Cannot ${what}: expected an AbortSignal as its signal`);
}

/** The same of functions: a resolver, the work of a transaction. */
export function mustBeFunction(what: string, value: unknown): void {
  if (typeof value !== "function") throw new TypeError(`${what}: expected a function, got ${typeOf(value)}`);
}

/** The same of lists of ids. */
export function idsOf<T extends Oid | Tid>(ids: readonly T[]): T[] {
  if (!Array.isArray(ids)) {
    throw new TypeError(`Cannot use ${typeOf(ids)} as ids: expected an array of bigints, such as [1n, 2n]`);
  }
  return ids.map(idOf);
}

/** What a value is, for a message. */
export function typeOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : typeof value;
}

/** The same of wrong ids. */
export function idOf<T extends Oid | Tid>(id: T): T {
  if (typeof id === "bigint") {
    if (0n <= id && id <= ID_MAX) return id;
    throw new RangeError(`Cannot use ${id} as an id: expected 0 to 2^63 - 1`);
  }
  throw new TypeError(`Cannot use ${String(id)} as an id: expected a bigint, such as 1n`);
}
