/**
 * Wires that a test holds in its hands: what a node writes waits at the other end until the test lets it move. Each way
 * between two nodes keeps its order; it can be held, lost, or brought in at once.
 */
import type { Conn } from "../../core/ids.ts";
import type { Transport, TransportEvent } from "../../core/ports.ts";

type Item =
  | { readonly is: "open" | "opened" }
  | { readonly is: "bytes"; readonly bytes: Uint8Array }
  | { readonly is: "closed"; readonly reason: string };

/** One end of a connection, and what is on its way to it. */
class End {
  readonly conn: Conn;
  readonly node: string;
  readonly inbox: Item[] = [];
  peer: End | undefined;

  constructor(node: string, conn: number) {
    this.node = node;
    this.conn = conn as Conn;
  }

  get from(): string {
    return this.peer?.node ?? "";
  }
}

/** All wires of a stage. */
export class Wires {
  readonly soon: (task: () => void) => void;
  #ends: End[] = [];
  #held = new Set<string>();
  #barred = new Set<string>();
  #jammed = new Set<string>();
  #full = new Set<End>(); // their owners were told to write no more
  #listeners = new Map<string, string>(); // address to node
  #transports = new Map<string, HandTransport>();
  #conns = 0;

  constructor(soon: (task: () => void) => void) {
    this.soon = soon;
  }

  /** The transport of a node's new process. */
  transport(node: string): HandTransport {
    const transport = new HandTransport(this, node);
    this.#transports.set(node, transport);
    return transport;
  }

  /** A node listens. */
  bind(node: string, address: string): void {
    this.#listeners.set(address, node);
  }

  /** What goes this way waits from here on. */
  hold(from: string, to: string): void {
    this.#held.add(`${from}>${to}`);
  }

  /** It moves again. */
  free(from: string, to: string): void {
    this.#held.delete(`${from}>${to}`);
  }

  /** New connections from one node to another are refused from here on. */
  bar(from: string, to: string): void {
    this.#barred.add(`${from}>${to}`);
  }

  /** New connections are made again. */
  unbar(from: string, to: string): void {
    this.#barred.delete(`${from}>${to}`);
  }

  /** Sockets of this way take one write more each, and then nothing: what else is said waits at its sender. */
  jam(from: string, to: string): void {
    this.#jammed.add(`${from}>${to}`);
  }

  /** Each full socket of this way has room again; while the way is jammed, for one more write. */
  drain(from: string, to: string): void {
    for (const end of this.#full) {
      if (end.node !== from || end.peer?.node !== to) continue;
      this.#full.delete(end);
      this.#transports.get(from)?.take(end, { is: "drained" });
    }
  }

  /** Sockets of this way take everything again. */
  unjam(from: string, to: string): void {
    this.#jammed.delete(`${from}>${to}`);
    this.drain(from, to);
  }

  /** For transports: whether a socket takes more, now that it has been written to. */
  hasRoom(end: End): boolean {
    if (!this.#jammed.has(`${end.node}>${end.peer?.node}`)) return true;
    this.#full.add(end);
    return false;
  }

  /** How much waits on a way. */
  waiting(from: string, to: string): number {
    return this.#on(from, to).reduce((sum, end) => sum + end.inbox.length, 0);
  }

  /** Brings in what waits on a way, before anything else moves. */
  deliver(from: string, to: string): void {
    for (const end of this.#on(from, to)) while (end.inbox.length > 0) this.#move(end);
  }

  /** What is on its way is lost: its sender, or the line, ends next. */
  lose(from: string, to: string): void {
    for (const end of this.#on(from, to)) end.inbox.length = 0;
  }

  /** The connections between two nodes break: what is on its way is lost, then both see the end. */
  cut(a: string, b: string): void {
    for (const end of [...this.#on(a, b), ...this.#on(b, a)]) {
      end.inbox.splice(0, end.inbox.length, { is: "closed", reason: "the line broke" });
    }
    this.free(a, b);
    this.free(b, a);
  }

  /** A process is gone: what it wrote still arrives, then its peers see the end. */
  end(node: string): void {
    this.#transports.get(node)?.leave();
    this.#transports.delete(node);
    for (const [address, owner] of this.#listeners) if (owner === node) this.#listeners.delete(address);
    this.#ends = this.#ends.filter((end) => end.node !== node);
  }

  /** Moves one thing, if one may move. */
  step(): boolean {
    const end = this.#ends.find(({ inbox, from, node }) =>
      inbox.length > 0 && !this.#held.has(`${from}>${node}`)
    );
    if (end) this.#move(end);
    return end !== undefined;
  }

  /** Begins a connection; gives the dialer's end. */
  connect(from: string, address: string): End {
    this.#conns += 2;
    const near = new End(from, this.#conns);
    const listener = this.#listeners.get(address);
    const isThere = listener !== undefined && !this.#barred.has(`${from}>${listener}`);
    const far = new End(isThere ? listener : `nobody at ${address}`, this.#conns + 1);
    near.peer = far;
    far.peer = near;
    far.inbox.push({ is: "open" });
    this.#ends.push(near, far);
    return near;
  }

  #on(from: string, to: string): End[] {
    return this.#ends.filter((end) => end.from === from && end.node === to);
  }

  #move(end: End): void {
    const item = end.inbox.shift();
    const transport = this.#transports.get(end.node);
    if (item?.is === "closed") this.#ends = this.#ends.filter((other) => other !== end);
    if (item === undefined) return;
    if (item.is !== "open") return transport?.take(end, item);
    if (transport) {
      transport.adopt(end);
      end.peer?.inbox.push({ is: "opened" });
    } else end.peer?.inbox.push({ is: "closed", reason: `nobody listens: ${end.node}` });
  }
}

/** One process's side of its wires. */
export class HandTransport implements Transport {
  #wires: Wires;
  #node: string;
  #ends = new Map<Conn, End>();
  #sink: (event: TransportEvent) => void = () => {};

  constructor(wires: Wires, node: string) {
    this.#wires = wires;
    this.#node = node;
  }

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  listen(address: string): Promise<string> {
    this.#wires.bind(this.#node, address);
    return Promise.resolve(address);
  }

  connect(address: string): Conn {
    const end = this.#wires.connect(this.#node, address);
    this.#ends.set(end.conn, end);
    return end.conn;
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    const end = this.#ends.get(conn);
    end?.peer?.inbox.push({ is: "bytes", bytes: bytes.slice() });
    return end === undefined || this.#wires.hasRoom(end);
  }

  /** Nothing comes that isn't moved by hand. */
  setReading(): void {
    return;
  }

  close(conn: Conn): void {
    const end = this.#ends.get(conn);
    if (end === undefined) return;
    this.#ends.delete(conn);
    end.peer?.inbox.push({ is: "closed", reason: "the peer closed it" });
    this.#wires.soon(() => this.#sink({ type: "closed", conn, reason: "closed here" }));
  }

  destroy(conn: Conn): void {
    this.close(conn);
  }

  shutdown(): Promise<void> {
    this.leave();
    return Promise.resolve();
  }

  /** For the wires: somebody connects. */
  adopt(end: End): void {
    this.#ends.set(end.conn, end);
    this.#sink({ type: "accepted", conn: end.conn, remote: end.from });
  }

  /** For the wires: something arrives. */
  take({ conn }: End, item: Exclude<Item, { is: "open" | "opened" }> | { readonly is: string }): void {
    if (!this.#ends.has(conn)) return;
    if ("bytes" in item) this.#sink({ type: "bytes", conn, bytes: item.bytes });
    else if ("reason" in item) {
      this.#ends.delete(conn);
      this.#sink({ type: "closed", conn, reason: item.reason });
    } else this.#sink({ type: item.is === "drained" ? "drained" : "connected", conn });
  }

  /** All ends are left without a word; the peers see it behind what was written. */
  leave(): void {
    for (const conn of [...this.#ends.keys()]) this.close(conn);
  }
}
