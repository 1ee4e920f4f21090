/**
 * Programs around a client machine: workers are generators that yield calls and pauses, driven by what the machine puts
 * out. No promises: a worker goes on when the world says so.
 */
import type { DatabaseError } from "../../core/errors.ts";
import type { CallName, Calls, ClientCall, ClientOutput, ClientWord } from "../../roles/client/calls.ts";
import type { FeedRecord, History } from "./history.ts";
import type { SimRandom } from "./random.ts";
import type { World } from "./world.ts";

/** What a call gave. */
export type Outcome<N extends CallName> =
  | { readonly ok: true; readonly result: Calls[N]["result"] }
  | { readonly ok: false; readonly error: DatabaseError };

/** What a worker yields: a call, or a pause. */
export type Wish =
  | { readonly wish: "call"; readonly name: CallName; readonly request: unknown; readonly withinMs: number }
  | { readonly wish: "wait"; readonly ms: number };

/** A program. It may be dropped at any `yield`, when its process dies. */
export type Worker<T = void> = Generator<Wish, T, unknown>;

/** Asks the client machine. */
export function* call<N extends CallName>(
  name: N,
  request: Calls[N]["request"],
  withinMs: number,
): Worker<Outcome<N>> {
  return (yield { wish: "call", name, request, withinMs }) as Outcome<N>;
}

/** Does nothing for a while. */
export function* wait(ms: number): Worker {
  yield { wish: "wait", ms };
}

/** What a session needs of its client's node. */
export interface SessionPorts {
  readonly client: string;
  readonly world: World;
  readonly random: SimRandom;
  readonly history: History;
  call(event: ClientCall | ClientWord): void;
}

/** The workers of one client process. */
export class Session {
  readonly #ports: SessionPorts;
  #calls = new Map<number, Worker>();
  #nextCall = 1;
  #isOver = false;
  #running = 0;
  readonly #feed: FeedRecord;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#feed = { client: ports.client, entries: [] };
    ports.history.feeds.push(this.#feed);
  }

  /** Workers that haven't ended. */
  get running(): number {
    return this.#running;
  }

  /** Begins a worker. */
  run(worker: Worker): void {
    this.#running += 1;
    this.#resume(worker, undefined);
  }

  /** The process has died. */
  end(): void {
    this.#isOver = true;
    this.#running = 0;
    this.#calls.clear();
  }

  /** What the machine puts out. */
  take(output: ClientOutput): void {
    if (this.#isOver) return;
    if (output.type === "published") {
      this.#feed.entries.push(output);
      return;
    }
    if (output.type === "conflict") {
      return this.#ports.call({
        type: "resolve",
        call: output.call,
        round: output.round,
        resolutions: undefined,
      });
    }
    const worker = this.#calls.get(output.call);
    if (worker === undefined) {
      return this.#ports.history.breach(
        `${this.#ports.client}: call ${output.call} ended twice, or was never made`,
      );
    }
    this.#calls.delete(output.call);
    const outcome = output.type === "settled"
      ? { ok: true, result: output.result }
      : { ok: false, error: output.error };
    // Promises resolve after the round, and a program may be slow to look.
    const delayMs = this.#ports.random.chance(0.7) ? 0 : this.#ports.random.between(0, 20);
    this.#ports.world.after(delayMs, () => this.#resume(worker, outcome));
  }

  #resume(worker: Worker, value: unknown): void {
    if (this.#isOver) return;
    const { done, value: wish } = worker.next(value);
    if (done) {
      this.#running -= 1;
      return;
    }
    if (wish.wish === "wait") {
      this.#ports.world.after(wish.ms, () => this.#resume(worker, undefined));
      return;
    }
    const number = this.#nextCall++;
    this.#calls.set(number, worker);
    const { name, request, withinMs } = wish;
    this.#ports.call({ type: "call", call: number, name, request, withinMs } as ClientCall);
  }
}
