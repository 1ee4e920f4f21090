/**
 * `Transport` without a network: nodes of one process, over queues. It keeps the promises of `tcp.ts`, so that a
 * cluster in one process meets the same conditions as one on many machines.
 *
 * What happens depends only on the calls, and on the order in which `soon` runs its tasks.
 *
 * @module
 */
import type { Conn } from "../core/ids.ts";
import type { Transport, TransportEvent } from "../core/ports.ts";
import { End } from "./memory_connection.ts";
import { type Later, later as systemLater } from "./system.ts";

/** What the transports of one network share. */
class Hub {
  readonly later: Later;
  readonly listeners = new Map<string, MemoryTransport>();
  readonly #soon: (task: () => void) => void;
  #tasks: (() => void)[] = [];
  #lastConn = 0;
  #lastPort = 0;

  constructor(soon: (task: () => void) => void, later: Later) {
    this.#soon = soon;
    this.later = later;
  }

  nextConn(): Conn {
    return ++this.#lastConn as Conn;
  }

  nextPort(): number {
    return ++this.#lastPort;
  }

  /** Runs a task in a later turn, behind those that were posted before. */
  post(task: () => void): void {
    this.#tasks.push(task);
    if (this.#tasks.length === 1) this.#soon(() => this.#turn());
  }

  #turn(): void {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
  }
}

class MemoryTransport implements Transport {
  readonly #hub: Hub;
  readonly #ends = new Map<Conn, End>();
  #sink: (event: TransportEvent) => void = () => {};
  #over: Promise<void> | undefined;
  #lastClosed: () => void = () => {};

  constructor(hub: Hub) {
    this.#hub = hub;
  }

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  listen(address: string): Promise<string> {
    const refuse = (why: string) => Promise.reject(new Error(`Cannot listen on ${address}: ${why}`));
    if (this.#over !== undefined) return refuse("the transport is shut down");
    const real = address.replace(/:0$/, () => `:${this.#hub.nextPort()}`);
    if (this.#hub.listeners.has(real)) return refuse("it is in use; free it or name another");
    this.#hub.listeners.set(real, this);
    return Promise.resolve(real);
  }

  connect(address: string): Conn {
    const end = this.#open();
    if (this.#over !== undefined) end.destroy("this node ends");
    this.#hub.post(() => {
      if (end.isClosed) return;
      const listener = this.#hub.listeners.get(address);
      if (listener === undefined) return end.destroy(`nobody listens on ${address}`);
      listener.#accept(end);
      if (end.isOpen) this.#sink({ type: "connected", conn: end.conn });
    });
    return end.conn;
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    return this.#ends.get(conn)?.write(bytes) ?? true;
  }

  setReading(conn: Conn, on: boolean): void {
    this.#ends.get(conn)?.setReading(on);
  }

  close(conn: Conn): void {
    this.#ends.get(conn)?.end("it was closed here");
  }

  destroy(conn: Conn): void {
    this.#ends.get(conn)?.destroy("it was destroyed here");
  }

  shutdown(): Promise<void> {
    this.#over ??= this.#shutdown();
    return this.#over;
  }

  async #shutdown(): Promise<void> {
    for (const [address, listener] of this.#hub.listeners) {
      if (listener === this) this.#hub.listeners.delete(address);
    }
    for (const end of this.#ends.values()) end.shutdown();
    if (this.#ends.size > 0) await new Promise<void>((resolve) => this.#lastClosed = resolve);
  }

  /** Gives `caller` its other side. */
  #accept(caller: End): void {
    const end = this.#open();
    this.#sink({ type: "accepted", conn: end.conn, remote: `memory:${caller.conn}` });
    end.join(caller);
    caller.join(end);
  }

  #open(): End {
    const end = new End({
      conn: this.#hub.nextConn(),
      emit: (event) => this.#report(event),
      post: (task) => this.#hub.post(task),
      later: this.#hub.later,
    });
    this.#ends.set(end.conn, end);
    return end;
  }

  #report(event: TransportEvent): void {
    if (event.type === "closed") this.#ends.delete(event.conn);
    this.#sink(event);
    if (this.#ends.size === 0) this.#lastClosed();
  }
}

/**
 * A network within this process. Each node takes one transport; an address is any text, and `:0` at its end stands
 * for a free port. Numbers of connections are unique in the network.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { MemoryNetwork } from "./memory_transport.ts";
 * import { SystemClock } from "./system.ts";
 * const clock = new SystemClock();
 * const network = new MemoryNetwork({ soon: (task) => clock.soon(task) });
 * const server = network.transport();
 * const client = network.transport();
 * const heard = new Promise<Uint8Array>((resolve) => {
 *   server.onEvent((event) => event.type === "bytes" && resolve(event.bytes));
 * });
 * const conn = client.connect(await server.listen("s1:0"));
 * client.write(conn, Uint8Array.of(1, 2, 3));
 * assert.deepEqual(await heard, Uint8Array.of(1, 2, 3));
 * await Promise.all([client.shutdown(), server.shutdown()]);
 * ```
 */
export class MemoryNetwork {
  readonly #hub: Hub;

  /** @param options `soon` runs tasks after the current call, in order; `later` is the timer of `close` */
  constructor(options: { readonly soon: (task: () => void) => void; readonly later?: Later }) {
    this.#hub = new Hub(options.soon, options.later ?? systemLater);
  }

  /** The transport of one more node. */
  transport(): Transport {
    return new MemoryTransport(this.#hub);
  }
}
