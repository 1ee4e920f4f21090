/** One bound for many calls: a time that is theirs together, and a signal that ends all of them. */
import type { CallOptions, TransactionCaller } from "./caller.ts";

/** Calls of one piece of work, until its time is over or its signal fires. */
export class Scope {
  readonly #caller: TransactionCaller;
  readonly #over = new AbortController();
  readonly #done = new AbortController();

  /**
   * @param options.withinMs the time of all calls together; without it they have none but their own
   * @param late why they end when that is over
   */
  constructor(caller: TransactionCaller, { withinMs, signal }: CallOptions, late: () => Error) {
    this.#caller = caller;
    if (signal) endWith(signal, this.#over, this.#done.signal);
    if (withinMs === undefined) return;
    const over = (): void => this.#over.abort(late());
    // a client that is closed ends the calls themselves
    caller.call("elapse", {}, { withinMs, signal: this.#done.signal }).then(over, () => undefined);
  }

  /** The caller, all of whose calls end with this. */
  get caller(): TransactionCaller {
    const caller = this.#caller;
    const { signal } = this.#over;
    const under = <O extends CallOptions>(options: O): O => ({
      ...options,
      signal: options.signal ? AbortSignal.any([options.signal, signal]) : signal,
    });
    return {
      under,
      call: (name, request, options = {}) => caller.call(name, request, under(options)),
      load: (request, options) => caller.load(request, under(options)),
      draft: () => caller.draft(),
      discard: (draft) => caller.discard(draft),
    };
  }

  /** What work comes to, unless this is over first; what it does then is of no interest any more. */
  run<T>(work: () => T | Promise<T>): Promise<T> {
    return orAborted((async () => await work())(), this.#over.signal);
  }

  /** The work is done. */
  end(): void {
    this.#done.abort();
  }
}

/** What a promise comes to, unless the signal is faster; no listener stays. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    const settled = (): void => signal.removeEventListener("abort", abort);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(settled);
  });
}

/** Aborts with a signal, until another one says that it is of no interest any more. */
function endWith(signal: AbortSignal, over: AbortController, done: AbortSignal): void {
  if (signal.aborted) return over.abort(signal.reason);
  const abort = (): void => over.abort(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  done.addEventListener("abort", () => signal.removeEventListener("abort", abort), { once: true });
}
