/** Calls of a program to a client machine: each is a promise, settled once. */
import type { Oid, Tid } from "../../core/ids.ts";
import { CALL_TIMEOUT_MS_MAX, REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import type { CallName, Calls, ClientOutput } from "./calls.ts";

/** How a call may be bounded. */
export interface CallOptions {
  /** How long the call may take, in ms; 30,000 unless told. */
  readonly withinMs?: number;
}

/**
 * Hears of published transactions. `oids` null: a new session began at `tid`, and anything may have changed since the
 * one before.
 */
export type PublishListener = (tid: Tid, oids: readonly Oid[] | null) => void;

/** Hands calls to a client machine and their results back. */
export class Caller {
  #post: (call: { type: "call"; call: number; name: CallName; request: unknown; withinMs: number }) => void;
  #next = 1;
  #open = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  #listeners = new Set<PublishListener>();
  #ended: Error | undefined;

  /** @param post gives a call to the machine */
  constructor(
    post: (call: { type: "call"; call: number; name: CallName; request: unknown; withinMs: number }) => void,
  ) {
    this.#post = post;
  }

  /** One call. */
  call<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    withinMs: number = REQUEST_TIMEOUT_MS,
  ): Promise<Calls[N]["result"]> {
    if (this.#ended) return Promise.reject(this.#ended);
    if (!(withinMs > 0)) {
      return Promise.reject(new RangeError(`Cannot ${name} within ${withinMs} ms: expected more than 0`));
    }
    const call = this.#next++;
    return new Promise((resolve, reject) => {
      this.#open.set(call, { resolve, reject });
      this.#post({ type: "call", call, name, request, withinMs: Math.min(withinMs, CALL_TIMEOUT_MS_MAX) });
    });
  }

  /** Takes what comes out of the machine. */
  take(output: ClientOutput): void {
    if (output.type === "published") {
      for (const listener of this.#listeners) this.#tell(listener, output.tid, output.oids);
      return;
    }
    const open = this.#open.get(output.call);
    this.#open.delete(output.call);
    if (output.type === "settled") open?.resolve(output.result as never);
    else open?.reject(output.error);
  }

  /** A listener that throws is the program's uncaught error, and no end of ours. */
  #tell(listener: PublishListener, tid: Tid, oids: readonly Oid[] | null): void {
    try {
      listener(tid, oids);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  /** Calls `listener` with each published transaction, in order; gives what ends that. */
  listen(listener: PublishListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The machine has ended: so do all calls. */
  end(error: Error): void {
    this.#ended = error;
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }
}

/** Programs in plain JavaScript, too, hear of a wrong id where they give it. */
export function idOf<T extends Oid | Tid>(id: T): T {
  if (typeof id === "bigint") return id;
  throw new TypeError(`Cannot use ${String(id)} as an id: expected a bigint, such as 1n`);
}
