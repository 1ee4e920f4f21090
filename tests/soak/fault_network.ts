/**
 * The network of a cluster of real processes, in one place: before each node stands a proxy, which learns from the first
 * frame of a connection who has made it. So single links can be cut, both ways or one way, slowed down, or reset.
 *
 * What a cut holds back waits, as it does in TCP, and arrives when the cut is healed; more than a socket's buffers hold is
 * left with who sends it. Bytes of one direction keep their order. Where a first frame names nobody, the name is empty.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { SystemClock } from "../../adapters/system.ts";
import { parseAddress } from "../../adapters/tcp.ts";
import { decodePacket } from "../../core/codec.ts";
import { MalformedError } from "../../core/errors.ts";
import { Deframer } from "../../core/frames.ts";
import type { Random } from "../../core/ports.ts";

/** Every node, in a rule. */
export const ANYBODY = "*";
/** What one direction of a held connection takes before its sender has to wait: a socket's buffers on both sides. */
const HELD_BYTES_MAX = 1024 * 1024;

/** What came from one side and goes to the other, in order. */
interface Item {
  readonly what: Uint8Array | "end" | "reset";
  readonly dueMs: number;
}

/** What a pipe asks its network. */
interface Rules {
  isHeld(): boolean;
  /** When what comes now may arrive, in ms. */
  dueMs(): number;
}

/** One direction of one connection. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: Rules;
  readonly #clock = new SystemClock();
  #waiting: Item[] = [];
  #bytes = 0;
  #blocked = false;

  constructor(from: Socket, to: Socket, rules: Rules, onBytes: (bytes: Uint8Array) => void) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    from.on("data", (bytes: Uint8Array) => {
      onBytes(bytes);
      this.#take(bytes);
    });
    from.on("end", () => this.#take("end"));
    from.on("error", () => this.#take("reset"));
    to.on("drain", () => {
      this.#blocked = false;
      this.pass();
    });
    to.on("close", () => this.#clock.wakeAt(undefined, () => {}));
  }

  /** Passes on what may arrive now. */
  pass(): void {
    const nowMs = this.#clock.now().monoMs;
    while (!this.#blocked && !this.#to.destroyed && !this.#rules.isHeld()) {
      const item = this.#waiting[0];
      if (item === undefined) break;
      if (item.dueMs > nowMs) {
        this.#clock.wakeAt(item.dueMs, () => this.pass());
        break;
      }
      this.#waiting.shift();
      this.#give(item.what);
    }
    if (this.#bytes < HELD_BYTES_MAX && !this.#blocked) this.#from.resume();
  }

  #take(what: Item["what"]): void {
    if (this.#to.destroyed) return;
    const lastMs = this.#waiting.at(-1)?.dueMs ?? 0;
    this.#waiting.push({ what, dueMs: Math.max(lastMs, this.#rules.dueMs()) });
    if (typeof what !== "string") this.#bytes += what.length;
    this.pass();
    if (this.#bytes >= HELD_BYTES_MAX) this.#from.pause();
  }

  #give(what: Item["what"]): void {
    if (what === "end") this.#to.end();
    else if (what === "reset") this.#to.resetAndDestroy();
    else {
      this.#bytes -= what.length;
      if (this.#to.write(what)) return;
      this.#blocked = true;
      this.#from.pause();
    }
  }
}

/** A connection through a proxy. */
class Link {
  /** Who has made it; undefined until its first frame is whole. */
  from: string | undefined;
  readonly to: string;
  readonly #sockets: readonly [Socket, Socket];
  readonly #pipes: readonly Pipe[];
  readonly #hello = new Deframer();

  constructor(to: string, sockets: readonly [Socket, Socket], network: FaultNetwork) {
    const [client, target] = sockets;
    this.to = to;
    this.#sockets = sockets;
    const rules = (way: (from: string) => readonly [string, string]): Rules => ({
      isHeld: () => this.from === undefined || network.isHeld(...way(this.from)),
      dueMs: () => network.dueMs(this.from ?? "", to),
    });
    for (const socket of [client, target]) {
      for (const event of ["end", "error"]) socket.on(event, () => this.#name(""));
    }
    this.#pipes = [
      new Pipe(client, target, rules((from) => [from, to]), (bytes) => {
        this.#look(bytes);
        network.count(this.from ?? "", to, bytes.length);
      }),
      new Pipe(target, client, rules((from) => [to, from]), (bytes) => {
        network.count(to, this.from ?? "", bytes.length);
      }),
    ];
  }

  pass(): void {
    for (const pipe of this.#pipes) pipe.pass();
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Looks for the name in the first frame. */
  #look(bytes: Uint8Array): void {
    if (this.from !== undefined) return;
    try {
      this.#hello.push(new Uint8Array(bytes));
      const frame = this.#hello.next();
      if (frame === undefined) return;
      const packet = decodePacket(frame);
      this.#name(packet.kind === "hello" ? packet.hello.name : "");
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#name("");
    }
  }

  /** Who it is, once that is known, or never will be. */
  #name(name: string): void {
    if (this.from !== undefined) return;
    this.from = name;
    this.pass();
  }
}

/** Names of both sides of a direction. */
type Way = readonly [from: string, to: string];

/**
 * The proxies of a cluster, and what is wrong with the network now.
 *
 * @example
 * ```ts ignore
 * const network = new FaultNetwork(random);
 * const address = await network.stand("s1", { target: "127.0.0.1:9301", at: "127.0.0.1:9101" });
 * const heal = network.cut(["m1", "s1"], ["s1", "m1"]); // both ways
 * heal();
 * await network.close();
 * ```
 */
export class FaultNetwork {
  readonly #random: Random;
  readonly #clock = new SystemClock();
  readonly #servers = new Set<Server>();
  readonly #links = new Set<Link>();
  readonly #cuts = new Set<readonly Way[]>();
  readonly #slow = new Map<string, number>();
  readonly #bytes = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /**
   * Stands before a node.
   *
   * @param where `at`: the address at which others reach the node, port 0 for a free one; `target`: where it listens
   * @returns the address
   */
  async stand(name: string, where: { readonly at: string; readonly target: string }): Promise<string> {
    const target = parseAddress(where.target);
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
      const socket = connect({ ...target, allowHalfOpen: true, noDelay: true });
      const link = new Link(name, [client, socket], this);
      this.#links.add(link);
      let open = 2;
      for (const one of [client, socket]) one.on("close", () => --open > 0 || this.#links.delete(link));
    });
    const { host, port } = parseAddress(where.at);
    await new Promise<void>((listening, failed) => {
      server.on("error", failed);
      server.listen(port, host, listening);
    });
    this.#servers.add(server);
    const found = server.address();
    return found !== null && typeof found === "object" ? `${host}:${found.port}` : where.at;
  }

  /** Nothing passes in these directions until the function that it gives is called. `ANYBODY` stands for all. */
  cut(...ways: readonly Way[]): () => void {
    this.#cuts.add(ways);
    return () => {
      this.#cuts.delete(ways);
      this.#pass();
    };
  }

  /** Everything from and to a node takes up to `msMax` longer, until the function that it gives is called. */
  slow(name: string, msMax: number): () => void {
    this.#slow.set(name, msMax);
    return () => void this.#slow.delete(name);
  }

  /** Heals all. */
  heal(): void {
    this.#cuts.clear();
    this.#slow.clear();
    this.#pass();
  }

  /**
   * Resets one connection from or to a node, chosen by chance.
   *
   * @returns both of its ends; undefined when there is none
   */
  resetOne(name: string): Way | undefined {
    const links = [...this.#links].filter((link) => link.from === name || link.to === name);
    const link = links[Math.floor(this.#random.next() * links.length)];
    link?.reset();
    return link && [link.from ?? "", link.to];
  }

  /** Who has a connection to a node, a name for each. */
  connectedTo(name: string): string[] {
    return [...this.#links].flatMap((link) => (link.to === name ? [link.from ?? ""] : []));
  }

  /** Bytes that came from one node for another since the beginning. */
  bytes(from: string, to: string): number {
    return this.#bytes.get(`${from} ${to}`) ?? 0;
  }

  /** Counts bytes that have come. */
  count(from: string, to: string, bytes: number): void {
    this.#bytes.set(`${from} ${to}`, this.bytes(from, to) + bytes);
  }

  /** Whether nothing passes in a direction. */
  isHeld(from: string, to: string): boolean {
    const covers = (rule: string, name: string) => rule === ANYBODY || rule === name;
    for (const ways of this.#cuts) {
      if (ways.some((way) => covers(way[0], from) && covers(way[1], to))) return true;
    }
    return false;
  }

  /** When what is sent now may arrive, in ms. */
  dueMs(one: string, other: string): number {
    const msMax = Math.max(this.#slow.get(one) ?? 0, this.#slow.get(other) ?? 0);
    return msMax === 0 ? 0 : this.#clock.now().monoMs + msMax * this.#random.next();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    const closed = [...this.#servers].map((server) => new Promise((done) => server.close(done)));
    for (const link of this.#links) link.reset();
    await Promise.all(closed);
  }

  #pass(): void {
    for (const link of this.#links) link.pass();
  }
}
