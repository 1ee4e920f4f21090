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
import type { Proof } from "../core/identity.ts";
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

/** Where the other side of a socket is; it may have gone already, and its address with it. */
export function remoteOf(socket: Socket): string {
  return formatAddress(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0);
}

/** What an error of the system says. */
export function reasonOf(error: Error & { readonly code?: string }): string {
  // The error of several addresses that were tried has no text of its own.
  return error.message || (error.code ?? error.name);
}

/** Who takes what comes to a server. */
export interface Arrivals {
  /** A socket is ready. */
  taken(socket: Socket, remote: string, proof?: Proof): void;
  /** One couldn't be made ready: what stood in the way. */
  failed(remote: string, reason: string): void;
}

/** What makes sockets: plain ones, unless told; those of `tls.ts` prove who is at the other end. */
export interface Sockets {
  /** A server that doesn't listen yet. */
  serve(arrivals: Arrivals): Server;
  /** Begins a connection. */
  connect(to: TcpAddress): Socket;
  /** What an outgoing socket emits when it is ready. */
  readonly ready: "connect" | "secureConnect";
  /** Holds back what comes, or lets it come. */
  setReading(socket: Socket, on: boolean): void;
  /** Who is at the other end of an outgoing socket that is ready. */
  proofOf(socket: Socket): Proof | undefined;
  /** Why a socket failed; and whether that will be so as long as nobody changes the configuration. */
  explain(error: Error): { readonly reason: string; readonly untrusted: boolean };
  /** Ends sockets that aren't ready yet. */
  end(): void;
}

const plain: Sockets = {
  serve: ({ taken }) =>
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => taken(socket, remoteOf(socket))),
  connect: ({ host, port }) => connect({ host, port, allowHalfOpen: true, noDelay: true }),
  ready: "connect",
  setReading: (socket, on) => void (on ? socket.resume() : socket.pause()),
  proofOf: () => undefined,
  explain: (error) => ({ reason: reasonOf(error), untrusted: false }),
  end: () => {},
};

/** The highest number of a connection so far; numbers are for the process, whatever transport it has. */
let lastConn = 0;

function nextConn(): Conn {
  return ++lastConn as Conn;
}

/** One socket, and what it owes its owner. */
class TcpConnection {
  readonly conn: Conn;
  readonly #socket: Socket;
  readonly #sockets: Sockets;
  readonly #emit: (event: TransportEvent) => void;
  readonly #later: Later;
  #stage: "connecting" | "open" | "ending";
  /** Why it ends: the first cause is the one that is told. */
  #reason: string | undefined;
  #untrusted = false;
  #owesDrained = false;
  #isReading = true;
  /** What came although reading was to stop: pieces, and the end behind them. */
  #held: Uint8Array[] = [];
  #heldEnd = false;
  #cancelTimer: () => void = () => {};

  constructor(
    start: { readonly conn: Conn; readonly socket: Socket; readonly stage: "connecting" | "open" },
    emit: (event: TransportEvent) => void,
    { sockets, later }: { readonly sockets: Sockets; readonly later: Later },
  ) {
    const { conn, socket, stage } = start;
    this.conn = conn;
    this.#socket = socket;
    this.#sockets = sockets;
    this.#emit = emit;
    this.#later = later;
    this.#stage = stage;
    if (stage === "connecting") {
      this.#endAfter(CONNECT_TIMEOUT_MS, `no connection was made within ${CONNECT_TIMEOUT_MS} ms`);
      socket.on(sockets.ready, () => this.#connected());
    }
    socket.on("data", (data) => this.#received(data));
    socket.on("drain", () => this.#drained());
    socket.on("end", () => this.#ended());
    socket.on("error", (error) => this.#failed(error));
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
    this.#isReading = on;
    this.#sockets.setReading(this.#socket, on);
    if (on && (this.#held.length > 0 || this.#heldEnd)) queueMicrotask(() => this.#release());
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
    const proof = this.#sockets.proofOf(this.#socket);
    this.#emit({ type: "connected", conn: this.conn, ...(proof && { proof }) });
  }

  #failed(error: Error): void {
    if (this.#reason !== undefined) return;
    const { reason, untrusted } = this.#sockets.explain(error);
    this.#reason = reason;
    this.#untrusted = untrusted;
    this.#socket.destroy(); // one whose certificate can't be used doesn't do so by itself
  }

  #received(data: Uint8Array): void {
    if (this.#stage === "ending") return;
    // Not node's Buffer, whose slice() shares memory.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    if (!this.#isReading || this.#held.length > 0) return void this.#held.push(bytes);
    this.#emit({ type: "bytes", conn: this.conn, bytes });
    moved(bytes.length);
  }

  /** Gives what was held back, for as long as it is wanted. */
  #release(): void {
    while (this.#isReading && this.#stage !== "ending" && this.#held.length > 0) {
      const bytes = this.#held.shift()!;
      this.#emit({ type: "bytes", conn: this.conn, bytes });
      moved(bytes.length);
    }
    if (this.#heldEnd && this.#isReading) this.#ended();
  }

  #ended(): void {
    this.#heldEnd = !this.#isReading || this.#held.length > 0;
    if (!this.#heldEnd) this.#end("the peer ended the connection");
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
    this.#sockets.setReading(this.#socket, true);
  }

  #endAfter(ms: number, reason: string): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#later(ms, () => this.destroy(reason));
  }

  #closed(): void {
    this.#cancelTimer();
    this.#stage = "ending";
    const untrusted = this.#untrusted ? { untrusted: true } as const : {};
    this.#emit({
      type: "closed",
      conn: this.conn,
      reason: this.#reason ?? "the connection ended",
      ...untrusted,
    });
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
  readonly #sockets: Sockets;
  readonly #connections = new Map<Conn, TcpConnection>();
  /** Servers, from the moment that they begin to listen. */
  readonly #servers = new Map<Server, Promise<void>>();
  #sink: (event: TransportEvent) => void = () => {};
  #over: Promise<void> | undefined;
  #lastClosed: () => void = () => {};

  /** @param options `later`: the timer for `CONNECT_TIMEOUT_MS` and `WRITE_TIMEOUT_MS`; `sockets`: other ones than plain */
  constructor(options: { readonly later?: Later; readonly sockets?: Sockets } = {}) {
    this.#later = options.later ?? systemLater;
    this.#sockets = options.sockets ?? plain;
  }

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  /** @throws RangeError for what is no address; Error when the system doesn't give it, or after `shutdown` */
  async listen(address: string): Promise<string> {
    const { host, port } = parseAddress(address);
    if (this.#over !== undefined) throw new Error(`Cannot listen on ${address}: the transport is shut down`);
    const server = this.#sockets.serve({
      taken: (socket, remote, proof) => this.#accept(socket, remote, proof),
      failed: (remote, reason) => this.#refuse(remote, reason),
    });
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
      this.#add(conn, this.#sockets.connect(parseAddress(address)), "connecting");
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
    this.#sockets.end();
    for (const connection of this.#connections.values()) connection.shutdown();
    if (this.#connections.size > 0) await new Promise<void>((resolve) => this.#lastClosed = resolve);
    await Promise.all(closed);
  }

  #accept(socket: Socket, remote: string, proof?: Proof): void {
    const conn = nextConn();
    this.#add(conn, socket, "open");
    this.#sink({ type: "accepted", conn, remote, ...(proof && { proof }) });
    if (this.#over !== undefined) this.destroy(conn);
  }

  /** Whoever looks at connections hears of this one, too. */
  #refuse(remote: string, reason: string): void {
    const conn = nextConn();
    this.#sink({ type: "accepted", conn, remote, proof: { refusal: reason } });
    this.#sink({ type: "closed", conn, reason, untrusted: true });
  }

  #add(conn: Conn, socket: Socket, stage: "connecting" | "open"): void {
    const ports = { sockets: this.#sockets, later: this.#later };
    const connection = new TcpConnection({ conn, socket, stage }, (event) => this.#report(event), ports);
    this.#connections.set(conn, connection);
  }

  #report(event: TransportEvent): void {
    if (event.type === "closed") this.#connections.delete(event.conn);
    this.#sink(event);
    if (this.#connections.size === 0) this.#lastClosed();
  }
}
