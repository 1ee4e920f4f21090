/**
 * `Transport` over TCP, on `node:net`.
 *
 * A connection ends in an orderly way when both sides have said that they send no more. So `close` flushes, says so,
 * throws away what still comes, and waits for the other side's word: closing a socket that holds unread bytes would
 * reset it, and the peer could lose the last thing that it was told. That wait is bounded.
 *
 * @module
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Conn } from "../core/ids.ts";
import { CONNECT_TIMEOUT_MS, SOCKET_BYTES_MAX, WRITE_TIMEOUT_MS } from "../core/limits.ts";
import type { Transport, TransportEvent } from "../core/ports.ts";
import { moved } from "./collector.ts";
import { type Later, later as systemLater } from "./system.ts";

/** Where to connect or listen. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<v6>[0-9a-f:.]+(?:%[\w.-]+)?)\]|(?<name>[\w.-]+)):(?<port>\d{1,5})$/i;
const PORT_MAX = 65_535;

/**
 * Reads `host:port` or `[v6]:port`.
 *
 * @throws RangeError when it is neither, or the port isn't within 0 to 65535
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseAddress } from "./tcp.ts";
 * assert.deepEqual(parseAddress("[::1]:9100"), { host: "::1", port: 9100 });
 * assert.throws(() => parseAddress("::1:9100"), RangeError);
 * ```
 */
export function parseAddress(address: string): TcpAddress {
  const { v6, name, port } = ADDRESS.exec(address)?.groups ?? {};
  const host = v6 ?? name;
  if (host !== undefined && Number(port) <= PORT_MAX) return { host, port: Number(port) };
  const quoted = JSON.stringify(address);
  throw new RangeError(`Cannot use ${quoted} as an address: it isn't "host:port" or "[v6]:port"; correct it`);
}

/** Writes what `parseAddress()` reads. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function reasonOf(error: Error & { readonly code?: string }): string {
  // The error of several addresses that were tried has no text of its own.
  return error.message || (error.code ?? error.name);
}

/** The highest number of a connection so far; numbers are for the process, whatever transport it has. */
let lastConn = 0;

function nextConn(): Conn {
  return ++lastConn as Conn;
}

/** One socket, and what it owes its owner. */
class TcpConnection {
  readonly conn: Conn;
  readonly #socket: Socket;
  readonly #emit: (event: TransportEvent) => void;
  readonly #later: Later;
  #stage: "connecting" | "open" | "ending";
  /** Why it ends: the first cause is the one that is told. */
  #reason: string | undefined;
  #owesDrained = false;
  #cancelTimer: () => void = () => {};

  constructor(conn: Conn, socket: Socket, emit: (event: TransportEvent) => void, later: Later) {
    this.conn = conn;
    this.#socket = socket;
    this.#emit = emit;
    this.#later = later;
    this.#stage = socket.connecting ? "connecting" : "open";
    if (socket.connecting) {
      this.#endAfter(CONNECT_TIMEOUT_MS, `no connection was made within ${CONNECT_TIMEOUT_MS} ms`);
    }
    socket.on("connect", () => this.#connected());
    socket.on("data", (data) => this.#received(data));
    socket.on("drain", () => this.#drained());
    socket.on("end", () => this.#end("the peer ended the connection"));
    socket.on("error", (error) => this.#reason ??= reasonOf(error));
    socket.on("close", () => this.#closed());
  }

  write(bytes: Uint8Array): boolean {
    if (this.#stage === "ending") return true;
    this.#socket.write(bytes);
    moved(bytes.length, 1); // its message became a frame
    // Far above the socket's own mark, so that it will emit "drain".
    if (this.#socket.writableLength > SOCKET_BYTES_MAX) this.#owesDrained = true;
    return !this.#owesDrained;
  }

  setReading(on: boolean): void {
    if (this.#stage === "ending") return;
    if (on) this.#socket.resume();
    else this.#socket.pause();
  }

  close(): void {
    this.#end("it was closed here");
  }

  destroy(reason: string): void {
    this.#stage = "ending";
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  /** Ends it unless it is about to end: then what is queued still leaves. */
  shutdown(): void {
    if (this.#stage !== "ending") this.destroy("this node ends");
  }

  #connected(): void {
    if (this.#stage !== "connecting") return;
    this.#cancelTimer();
    this.#stage = "open";
    this.#emit({ type: "connected", conn: this.conn });
  }

  #received(data: Uint8Array): void {
    if (this.#stage === "ending") return;
    // Not node's Buffer, whose slice() shares memory.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#emit({ type: "bytes", conn: this.conn, bytes });
    moved(bytes.length);
  }

  #drained(): void {
    if (!this.#owesDrained || this.#stage === "ending") return;
    this.#owesDrained = false;
    this.#emit({ type: "drained", conn: this.conn });
  }

  #end(reason: string): void {
    if (this.#stage === "ending") return;
    this.#stage = "ending";
    this.#reason ??= reason;
    this.#endAfter(WRITE_TIMEOUT_MS, reason);
    this.#socket.end();
    this.#socket.resume();
  }

  #endAfter(ms: number, reason: string): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#later(ms, () => this.destroy(reason));
  }

  #closed(): void {
    this.#cancelTimer();
    this.#stage = "ending";
    this.#emit({ type: "closed", conn: this.conn, reason: this.#reason ?? "the connection ended" });
  }
}

/**
 * Connections by TCP, without the delay that gathers small packets. Addresses are `host:port` and `[v6]:port`.
 *
 * - After `close` or `destroy` only `closed` follows, and calls for a connection that is closed do nothing.
 * - Bytes handed to `write` belong to the transport: they mustn't change any more.
 * - Port 0 stands for a free port; `listen` fulfils its promise with the real one.
 * - `shutdown` lets connections flush that were closed before it, and ends all others at once.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { TcpTransport } from "./tcp.ts";
 * const transport = new TcpTransport();
 * const ended = new Promise<void>((resolve) => {
 *   transport.onEvent((event) => {
 *     if (event.type === "connected") transport.close(event.conn);
 *     else if (event.type === "closed") resolve();
 *   });
 * });
 * const address = await transport.listen("127.0.0.1:0");
 * assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
 * transport.connect(address);
 * await ended;
 * await transport.shutdown();
 * ```
 */
export class TcpTransport implements Transport {
  readonly #later: Later;
  readonly #connections = new Map<Conn, TcpConnection>();
  /** Servers, from the moment that they begin to listen. */
  readonly #servers = new Map<Server, Promise<void>>();
  #sink: (event: TransportEvent) => void = () => {};
  #over: Promise<void> | undefined;
  #lastClosed: () => void = () => {};

  /** @param options `later`: the timer for `CONNECT_TIMEOUT_MS` and `WRITE_TIMEOUT_MS` */
  constructor(options: { readonly later?: Later } = {}) {
    this.#later = options.later ?? systemLater;
  }

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  /** @throws RangeError for what is no address; Error when the system doesn't give it, or after `shutdown` */
  async listen(address: string): Promise<string> {
    const { host, port } = parseAddress(address);
    if (this.#over !== undefined) throw new Error(`Cannot listen on ${address}: the transport is shut down`);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    const listening = new Promise<void>((resolve, reject) => {
      // Stays for later errors: those of one connection that couldn't be accepted, which its peer learns.
      server.on("error", reject);
      server.listen({ host, port }, resolve);
    });
    this.#servers.set(server, listening);
    try {
      await listening;
    } catch (error) {
      this.#servers.delete(server);
      const why = error instanceof Error ? reasonOf(error) : String(error);
      throw new Error(`Cannot listen on ${address}: ${why}; free it or name another`, { cause: error });
    }
    const found = server.address();
    return found === null || typeof found === "string" ? address : formatAddress(found.address, found.port);
  }

  connect(address: string): Conn {
    const conn = nextConn();
    try {
      if (this.#over !== undefined) throw new Error("this node ends");
      const { host, port } = parseAddress(address);
      this.#add(conn, connect({ host, port, allowHalfOpen: true, noDelay: true }));
    } catch (error) {
      const reason = error instanceof Error ? reasonOf(error) : String(error);
      queueMicrotask(() => this.#sink({ type: "closed", conn, reason }));
    }
    return conn;
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    return this.#connections.get(conn)?.write(bytes) ?? true;
  }

  setReading(conn: Conn, on: boolean): void {
    this.#connections.get(conn)?.setReading(on);
  }

  close(conn: Conn): void {
    this.#connections.get(conn)?.close();
  }

  destroy(conn: Conn): void {
    this.#connections.get(conn)?.destroy("it was destroyed here");
  }

  shutdown(): Promise<void> {
    this.#over ??= this.#shutdown();
    return this.#over;
  }

  async #shutdown(): Promise<void> {
    // A server that is about to listen can't be closed yet.
    await Promise.allSettled(this.#servers.values());
    const closed = [...this.#servers.keys()].map((server) => new Promise((done) => server.close(done)));
    for (const connection of this.#connections.values()) connection.shutdown();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => this.#lastClosed = resolve);
    await Promise.all(closed);
  }

  #accept(socket: Socket): void {
    const conn = nextConn();
    // The peer may have gone already, and its address with it.
    const remote = formatAddress(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0);
    this.#add(conn, socket);
    this.#sink({ type: "accepted", conn, remote });
    if (this.#over !== undefined) this.destroy(conn);
  }

  #add(conn: Conn, socket: Socket): void {
    const connection = new TcpConnection(conn, socket, (event) => this.#report(event), this.#later);
    this.#connections.set(conn, connection);
  }

  #report(event: TransportEvent): void {
    if (event.type === "closed") this.#connections.delete(event.conn);
    this.#sink(event);
    if (this.#connections.size === 0) this.#lastClosed();
  }
}
