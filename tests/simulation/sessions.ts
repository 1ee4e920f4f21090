/**
 * Programs around a client machine: workers are generators that yield calls and pauses, driven by what the machine puts
 * out. No promises: a worker goes on when the world says so.
 */
import { DatabaseError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import type { Listening } from "../../roles/client/caller.ts";
import type {
  CallName,
  Calls,
  ClientCall,
  ClientOutput,
  ClientWord,
  Resolution,
} from "../../roles/client/calls.ts";
import { lowestOf } from "../../roles/client/floors.ts";
import type { FeedRecord, History } from "./history.ts";
import type { SimRandom } from "./random.ts";
import type { World } from "./world.ts";

/** What a call gave. */
export type Outcome<N extends CallName> =
  | { readonly ok: true; readonly result: Calls[N]["result"] }
  | { readonly ok: false; readonly error: DatabaseError };

/** Calls that are cancelled now and then, how many of them, and how soon. */
const CANCELLED: readonly CallName[] = ["sync", "load", "loadMany", "commit"];
const CANCEL_SHARE = 0.01;
const CANCEL_MS_MAX = 60;
/** What the library says of a snapshot below the bound of a pack. */
const PACKED = new DatabaseError("packed", "Cannot show that: history is packed beyond it");

/** What a worker yields: a call, or a pause. */
export type Wish =
  | {
    readonly wish: "call";
    readonly name: CallName;
    readonly request: unknown;
    readonly withinMs: number;
    readonly resolver: Resolver | undefined;
  }
  | { readonly wish: "wait"; readonly ms: number };

/** A program. It may be dropped at any `yield`, when its process dies. */
export type Worker<T = void> = Generator<Wish, T, unknown>;

/** Conflicts that a machine puts out, all at once. */
export type Conflicts = Extract<ClientOutput, { type: "conflict" }>;
/** A program of its own that resolves conflicts of a commit; undefined: they can't be. */
export type Resolver = (conflicts: Conflicts) => Worker<readonly Resolution[] | undefined>;

/** Asks the client machine. */
export function* call<N extends CallName>(
  name: N,
  request: Calls[N]["request"],
  withinMs: number,
  resolver?: Resolver,
): Worker<Outcome<N>> {
  return (yield { wish: "call", name, request, withinMs, resolver }) as Outcome<N>;
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
  /** Below it nothing may be opened. */
  packBound(): Tid;
  call(event: ClientCall | ClientWord): void;
}

/** A call that is under way. */
interface Waiting {
  readonly ended: (outcome: Outcome<CallName>) => void;
  /** The worker that asks where it is: what it is told it has open from that moment on. */
  readonly opens: Worker | undefined;
  readonly resolver: Resolver | undefined;
}

/** The workers of one client process. */
export class Session {
  /** Whether it cancels some of its calls. */
  isImpatient = false;
  readonly #ports: SessionPorts;
  /** Who hears of what is published, and of the end. */
  readonly listeners = new Set<Listening>();
  #calls = new Map<number, Waiting>();
  #nextCall = 1;
  #isOver = false;
  #running = 0;
  readonly #floors = new Map<Worker, Tid>(); // what workers have open
  readonly #feed: FeedRecord;

  constructor(ports: SessionPorts) {
    this.#ports = ports;
    this.#feed = { client: ports.client, entries: [] };
    ports.history.feeds.push(this.#feed);
  }

  /** Whether the process is gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Workers that haven't ended. */
  get running(): number {
    return this.#running;
  }

  /** Calls that haven't ended. */
  get calls(): number {
    return this.#calls.size;
  }

  /** The oldest snapshot that a worker has open. */
  get floor(): Tid | null {
    return lowestOf([...this.#floors.values()].map((at) => () => at));
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
    this.#floors.clear();
    this.#calls.clear();
    for (const { ended } of this.listeners) ended?.(new DatabaseError("lost", "the process is gone"));
    this.listeners.clear();
  }

  /** A call of something that isn't a worker. */
  ask<N extends CallName>(
    name: N,
    request: Calls[N]["request"],
    withinMs: number,
    ended: (outcome: Outcome<N>) => void,
  ): void {
    this.#begin({ name, request, withinMs }, {
      ended: ended as Waiting["ended"],
      opens: undefined,
      resolver: undefined,
    });
  }

  /** What the machine puts out. */
  take(output: ClientOutput): void {
    if (this.#isOver) return;
    if (output.type === "published") {
      this.#feed.entries.push(output);
      for (const { published } of this.listeners) published(output.tid, output.oids);
      return;
    }
    const waiting = this.#calls.get(output.call);
    if (waiting === undefined) {
      return this.#ports.history.breach(
        `${this.#ports.client}: call ${output.call} ended twice, or was never made`,
      );
    }
    if (output.type === "conflict") return this.run(this.#resolve(waiting.resolver, output));
    this.#calls.delete(output.call);
    const outcome = output.type === "settled"
      ? this.#opened(waiting.opens, output.result)
      : { ok: false, error: output.error };
    // Promises resolve after the round, and a program may be slow to look.
    const delayMs = this.#ports.random.chance(0.7) ? 0 : this.#ports.random.between(0, 20);
    this.#ports.world.after(delayMs, () => waiting.ended(outcome as Outcome<CallName>));
  }

  /** A worker that hears where it is has that open, unless it was packed meanwhile: then it asks again. */
  #opened(worker: Worker | undefined, result: unknown): { readonly ok: boolean } {
    if (worker === undefined) return { ok: true, result } as Outcome<CallName>;
    const { lastTid } = result as Calls["sync"]["result"];
    if (lastTid < this.#ports.packBound()) return { ok: false, error: PACKED } as Outcome<CallName>;
    this.#floors.set(worker, lastTid);
    return { ok: true, result } as Outcome<CallName>;
  }

  /** A worker looks at a snapshot; false: that would be below the bound of a pack. */
  #looks(worker: Worker, { name, request }: { readonly name: CallName; readonly request: unknown }): boolean {
    if (name !== "load" && name !== "loadMany") return true;
    const { at } = request as Calls["load"]["request"];
    const floor = this.#floors.get(worker);
    if (floor !== undefined && at >= floor) return true;
    if (at < this.#ports.packBound()) return false;
    this.#floors.set(worker, at);
    return true;
  }

  *#resolve(resolver: Resolver | undefined, conflicts: Conflicts): Worker {
    const { call, round } = conflicts;
    const resolutions = resolver && (yield* resolver(conflicts));
    this.#ports.call({ type: "resolve", call, round, resolutions });
  }

  /** A program loses its patience with a few of its calls. */
  #cancelSome(call: number, name: CallName): void {
    const { random, world } = this.#ports;
    if (!this.isImpatient || !CANCELLED.includes(name) || !random.chance(CANCEL_SHARE)) return;
    world.after(random.between(0, CANCEL_MS_MAX), () => {
      if (this.#calls.has(call)) this.#ports.call({ type: "cancel", call });
    });
  }

  #resume(worker: Worker, value: unknown): void {
    if (this.#isOver) return;
    const { done, value: wish } = worker.next(value);
    if (done) {
      this.#running -= 1;
      this.#floors.delete(worker);
      return;
    }
    if (wish.wish === "wait") {
      this.#ports.world.after(wish.ms, () => this.#resume(worker, undefined));
      return;
    }
    if (!this.#looks(worker, wish)) {
      return this.#ports.world.after(0, () => this.#resume(worker, { ok: false, error: PACKED }));
    }
    const number = this.#begin(wish, {
      ended: (outcome) => this.#resume(worker, outcome),
      opens: wish.name === "sync" ? worker : undefined,
      resolver: wish.resolver,
    });
    this.#cancelSome(number, wish.name);
  }

  #begin(
    { name, request, withinMs }: { name: CallName; request: unknown; withinMs: number },
    waiting: Waiting,
  ): number {
    const number = this.#nextCall++;
    this.#calls.set(number, waiting);
    this.#ports.call({ type: "call", call: number, name, request, withinMs } as ClientCall);
    return number;
  }
}
