/** The transport of one process in the simulated network. */
import type { Conn } from "../../core/ids.ts";
import type { Transport, TransportEvent } from "../../core/ports.ts";
import type { End } from "./link.ts";
import type { SimNetwork } from "./network.ts";
import type { Owner } from "./world.ts";

/** What a process does at the border to its transport and disk; may throw to die there. */
export type Border = <T>(what: "apply" | "read" | "write" | "connect", run: () => T) => T;

/** What a transport tells the process that it belongs to. */
export interface TransportHooks {
  readonly border: Border;
  /** The host has shut it down. */
  readonly ended: () => void;
}

/** The transport of one process. */
export class SimTransport implements Transport {
  readonly node: string;
  readonly owner: Owner;
  readonly #network: SimNetwork;
  readonly #hooks: TransportHooks;
  readonly #ends = new Map<Conn, End>();
  readonly #waiting = new Set<Conn>(); // outgoing, not there yet
  #sink: (event: TransportEvent) => void = () => {};
  #nextConn = 1;
  #over = false;

  constructor(network: SimNetwork, node: string, owner: Owner, hooks: TransportHooks) {
    this.#network = network;
    this.node = node;
    this.owner = owner;
    this.#hooks = hooks;
  }

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  /** `listen` without a promise. */
  bind(address: string): void {
    this.#network.listen(address, this);
  }

  listen(address: string): Promise<string> {
    this.bind(address);
    return Promise.resolve(address);
  }

  connect(address: string): Conn {
    return this.#hooks.border("connect", () => {
      const conn = this.#network.connect(this, address);
      this.#waiting.add(conn);
      return conn;
    });
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    return this.#hooks.border("write", () => {
      const end = this.#ends.get(conn);
      if (end === undefined || end.state !== "open") return true;
      return end.link.send(end, bytes);
    });
  }

  setReading(conn: Conn, on: boolean): void {
    const end = this.#ends.get(conn);
    if (end === undefined) return;
    end.reading = on;
    if (on && end.flights.length > 0) end.pump(this.#network.world, this.#network.world.nowMs);
  }

  close(conn: Conn): void {
    const end = this.#ends.get(conn);
    if (end === undefined || end.state !== "open") return this.#drop(conn);
    end.link.send(end, undefined);
  }

  destroy(conn: Conn): void {
    this.#drop(conn);
  }

  shutdown(): Promise<void> {
    this.#hooks.ended();
    this.end("closed");
    return Promise.resolve();
  }

  /**
   * The process ends. `closed`: it says so; `killed`: the system does, some of what was sent may be lost; `dark`: the
   * machine is off, nobody hears anything.
   */
  end(how: "closed" | "killed" | "dark"): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink = () => {};
    this.#waiting.clear();
    this.#network.unlisten(this, how === "dark");
    for (const end of this.#ends.values()) {
      if (how === "dark") end.link.silent = true;
      if (how === "closed" && end.state === "open") end.link.send(end, undefined);
      else end.link.abandon(end);
      end.state = "over";
    }
  }

  /** The machine is on again: what was connected to it before learns that at its next write. */
  wake(): void {
    for (const end of this.#ends.values()) {
      if (end.link.silent) end.link.forgotten = true;
    }
  }

  takeConn(): Conn {
    return this.#nextConn++ as Conn;
  }

  expects(conn: Conn): boolean {
    return this.#waiting.has(conn);
  }

  adopt(end: End): void {
    this.#waiting.delete(end.conn);
    this.#ends.set(end.conn, end);
  }

  forget(conn: Conn): void {
    this.#waiting.delete(conn);
    this.#ends.delete(conn);
  }

  emit(event: TransportEvent): void {
    if (!this.#over) this.#sink(event);
  }

  /** Ends a connection from this side, now. */
  #drop(conn: Conn): void {
    const end = this.#ends.get(conn);
    const isWaiting = this.#waiting.delete(conn);
    if (end === undefined && !isWaiting) return;
    if (end !== undefined) {
      if (end.state !== "open") return;
      end.link.abandon(end);
    }
    this.#network.world.after(0, () => {
      this.#ends.delete(conn);
      this.emit({ type: "closed", conn, reason: "destroyed" });
    }, this.owner);
  }
}
