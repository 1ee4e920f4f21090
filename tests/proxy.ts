/** A TCP proxy that does to a connection what networks do: holds bytes back, resets, goes silent. Never by itself. */
import { connect, createServer, type Server, type Socket } from "node:net";
import { parseAddress } from "../adapters/tcp.ts";

/** Where bytes go: from who connected to the target, or back. */
export type Direction = "toTarget" | "toClient";

const directions: readonly Direction[] = ["toTarget", "toClient"];

/** What came from one side and goes to the other, in order. */
type Item = { readonly bytes: Uint8Array } | "end" | "reset";

/** One direction of one connection. */
class Pipe {
  readonly direction: Direction;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #isHeld: () => boolean;
  readonly #onHeld: () => void;
  readonly #waiting: Item[] = [];
  #swallows = false;

  constructor(direction: Direction, from: Socket, to: Socket, isHeld: () => boolean, onHeld: () => void) {
    this.direction = direction;
    this.#from = from;
    this.#to = to;
    this.#isHeld = isHeld;
    this.#onHeld = onHeld;
    from.on("data", (bytes) => this.#take({ bytes }));
    from.on("end", () => this.#take("end"));
    from.on("error", () => this.#take("reset"));
    to.on("drain", () => from.resume());
  }

  get heldBytes(): number {
    return this.#waiting.reduce((sum, item) => sum + (typeof item === "string" ? 0 : item.bytes.length), 0);
  }

  /** Nothing that comes from now on arrives, an end as little as bytes. */
  swallow(): void {
    this.#swallows = true;
    this.#waiting.length = 0;
  }

  release(): void {
    for (const item of this.#waiting.splice(0)) this.#pass(item);
  }

  #take(item: Item): void {
    if (this.#swallows) return;
    if (!this.#isHeld()) return this.#pass(item);
    this.#waiting.push(item);
    this.#onHeld();
  }

  #pass(item: Item): void {
    if (this.#to.destroyed) return;
    if (item === "end") this.#to.end();
    else if (item === "reset") this.#to.resetAndDestroy();
    else if (!this.#to.write(item.bytes)) this.#from.pause();
  }
}

/**
 * Stands between a client and `target`: whoever connects to `address` is connected to it.
 *
 * @example
 * ```ts ignore
 * const proxy = await TcpProxy.start(storageAddress);
 * proxy.hold("toClient"); // requests go through, answers wait
 * await proxy.held("toClient", 1);
 * proxy.release();
 * await proxy.close();
 * ```
 */
export class TcpProxy {
  readonly #target: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #pipes = new Set<Pipe>();
  readonly #held = new Set<Direction>();
  #watchers: (() => void)[] = [];
  #silent = false;
  #address = "";

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  /** Listens on a free loopback port. */
  static async start(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((listening, failed) => {
      proxy.#server.on("error", failed);
      proxy.#server.listen(0, "127.0.0.1", listening);
    });
    const found = proxy.#server.address();
    if (found !== null && typeof found === "object") proxy.#address = `${found.address}:${found.port}`;
    return proxy;
  }

  /** Where to connect instead of the target. */
  get address(): string {
    return this.#address;
  }

  /** From now on bytes and ends wait here, unnoticed by who sends them; both ways unless one is named. */
  hold(direction?: Direction): void {
    for (const one of direction === undefined ? directions : [direction]) this.#held.add(one);
  }

  /** Passes on what waits, in order, and what comes; new connections pass again after `blackhole`. */
  release(direction?: Direction): void {
    this.#silent = false;
    for (const one of direction === undefined ? directions : [direction]) {
      this.#held.delete(one);
      for (const pipe of this.#pipes) if (pipe.direction === one) pipe.release();
    }
  }

  /** Resets all connections, towards both sides; what waits is lost. New ones pass. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /**
   * A cable is pulled: nothing arrives any more, in either direction, and neither side is told, not even of the other
   * one's end. Connections that are made until `release` are taken and go nowhere; those of before stay dead.
   */
  blackhole(): void {
    this.#silent = true;
    for (const pipe of this.#pipes) pipe.swallow();
  }

  /** Fulfilled once `bytes` wait in that direction, in all connections together. */
  held(direction: Direction, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      const watch = () => {
        let sum = 0;
        for (const pipe of this.#pipes) if (pipe.direction === direction) sum += pipe.heldBytes;
        if (sum < bytes) return;
        this.#watchers = this.#watchers.filter((other) => other !== watch);
        resolve();
      };
      this.#watchers.push(watch);
      watch();
    });
  }

  /** Ends everything. */
  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.reset();
    await closed;
  }

  #accept(client: Socket): void {
    this.#keep(client);
    if (this.#silent) {
      client.resume();
      return;
    }
    const target = connect({ ...parseAddress(this.#target), allowHalfOpen: true, noDelay: true });
    this.#keep(target);
    const pipes = [this.#pipe("toTarget", client, target), this.#pipe("toClient", target, client)];
    let open = 2;
    for (const socket of [client, target]) {
      socket.on("close", () => {
        if (--open > 0) return;
        for (const pipe of pipes) this.#pipes.delete(pipe);
      });
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    // A reset is an item of its pipe; here it only mustn't end the test.
    socket.on("error", () => this.#sockets.delete(socket));
    socket.on("close", () => this.#sockets.delete(socket));
  }

  #pipe(direction: Direction, from: Socket, to: Socket): Pipe {
    const onHeld = () => this.#watchers.forEach((watch) => watch());
    const pipe = new Pipe(direction, from, to, () => this.#held.has(direction), onHeld);
    this.#pipes.add(pipe);
    return pipe;
  }
}
