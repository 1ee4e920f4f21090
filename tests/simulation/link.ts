/**
 * A connection of the simulated network. It keeps its order, as TCP does; what it may do is be late, arrive in pieces,
 * end in the middle, or go silent.
 */
import type { Conn } from "../../core/ids.ts";
import type { TransportEvent } from "../../core/ports.ts";
import type { SimRandom } from "./random.ts";
import type { Owner, World } from "./world.ts";

/** What an end needs of its transport. */
export interface EndHome {
  readonly node: string;
  readonly owner: Owner;
  takeConn(): Conn;
  emit(event: TransportEvent): void;
  forget(conn: Conn): void;
}

/** What a connection needs of its network. */
export interface LinkHome {
  readonly world: World;
  readonly lossRate: number;
  forget(link: Link): void;
}

/** How a connection usually behaves; each gets its own numbers. */
const DELAY_MS_MIN = 0.05;
const DELAY_MS_MAX = 4;
const WINDOW_BYTES_MIN = 2_000;
const WINDOW_BYTES_MAX = 400_000;

/** What travels towards one end. */
export interface Flight {
  atMs: number;
  /** Undefined: the connection ends here. */
  readonly bytes: Uint8Array | undefined;
}

/** One end of a connection. */
export class End {
  readonly conn: Conn;
  readonly transport: EndHome;
  readonly link: Link;
  /** `opening` until the other side has taken it; `over` once `closed` is due or said. */
  state: "opening" | "open" | "over" = "opening";
  reading = true;
  flights: Flight[] = [];
  /** Bytes on their way to this end. */
  bytes = 0;
  /** Nothing arrives here before. */
  heldUntilMs = 0;
  lastAtMs = 0;
  /** Its last write was answered with "no more". */
  full = false;
  #pumpMs = Infinity;

  constructor(conn: Conn, transport: EndHome, link: Link) {
    this.conn = conn;
    this.transport = transport;
    this.link = link;
  }

  /** Looks at what has arrived, when it has. */
  pump(world: World, atMs: number): void {
    if (atMs >= this.#pumpMs) return;
    this.#pumpMs = atMs;
    world.at(atMs, () => {
      if (this.#pumpMs !== atMs) return;
      this.#pumpMs = Infinity;
      this.link.arrive(this);
    }, this.transport.owner);
  }
}

/** A connection between two transports. */
export class Link {
  readonly ends: [End, End];
  readonly #network: LinkHome;
  readonly #random: SimRandom;
  readonly #delayMs: number;
  readonly #windowBytes: number;
  /** Nothing arrives any more, and nobody is told. */
  silent = false;
  /** One end's machine has forgotten the connection: who writes learns of it. */
  forgotten = false;

  /** `conn` is the number that the caller knows already. */
  constructor(network: LinkHome, random: SimRandom, from: EndHome, conn: Conn, to: EndHome) {
    this.#network = network;
    this.#random = random;
    this.#delayMs = random.between(DELAY_MS_MIN, DELAY_MS_MAX);
    this.#windowBytes = random.int(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
    this.ends = [new End(conn, from, this), new End(to.takeConn(), to, this)];
  }

  /** Whether something could still be said over it. */
  get alive(): boolean {
    return !this.silent && this.ends.some((end) => end.state === "open");
  }

  /** Bytes that travel in either direction. */
  get bytes(): number {
    return this.ends[0].bytes + this.ends[1].bytes;
  }

  other(end: End): End {
    return this.ends[0] === end ? this.ends[1] : this.ends[0];
  }

  /** A moment after which something sent now arrives. */
  #arrivalMs(to: End): number {
    const world = this.#network.world;
    const delayMs = this.#delayMs * this.#random.between(0.5, 1.5);
    to.lastAtMs = Math.max(to.lastAtMs, world.nowMs + delayMs, to.heldUntilMs);
    return to.lastAtMs;
  }

  /** Nothing holds it any more: what was late comes now. */
  hurry(): void {
    const { world } = this.#network;
    for (const end of this.ends) {
      end.heldUntilMs = 0;
      end.lastAtMs = world.nowMs;
      for (const flight of end.flights) flight.atMs = Math.min(flight.atMs, world.nowMs + this.#delayMs);
      if (end.flights.length > 0) end.pump(world, end.flights[0]!.atMs);
    }
  }

  send(from: End, bytes: Uint8Array | undefined): boolean {
    const to = this.other(from);
    const { world } = this.#network;
    if (this.forgotten) {
      world.after(this.#delayMs, () => this.finish(from, "reset by the other side"), from.transport.owner);
      return true;
    }
    if (this.silent && bytes === undefined) return true;
    if (this.#network.lossRate > 0 && bytes !== undefined && this.#random.chance(this.#network.lossRate)) {
      return true;
    }
    if (bytes !== undefined && bytes.length > 1 && this.#random.chance(0.1)) {
      const cut = this.#random.int(1, bytes.length - 1);
      to.flights.push({ atMs: this.#arrivalMs(to), bytes: bytes.subarray(0, cut) });
      to.flights.push({ atMs: this.#arrivalMs(to), bytes: bytes.subarray(cut) });
    } else to.flights.push({ atMs: this.#arrivalMs(to), bytes });
    to.bytes += bytes?.length ?? 0;
    to.pump(world, to.flights[0]!.atMs);
    from.full = to.bytes > this.#windowBytes;
    return !from.full;
  }

  /** Hands over what has arrived at an end. */
  arrive(end: End): void {
    const { world } = this.#network;
    if (this.silent || end.state === "over") return;
    if (end.heldUntilMs > world.nowMs) return end.pump(world, end.heldUntilMs);
    while (end.flights.length > 0 && end.reading) {
      const [flight] = end.flights;
      if (flight!.atMs > world.nowMs) return end.pump(world, flight!.atMs);
      end.flights.shift();
      if (flight!.bytes === undefined) {
        this.finish(end, "ended by the other side");
        world.after(
          this.#delayMs,
          () => this.finish(this.other(end), "ended"),
          this.other(end).transport.owner,
        );
        return;
      }
      end.bytes -= flight!.bytes.length;
      world.noteBytes(flight!.bytes);
      end.transport.emit({ type: "bytes", conn: end.conn, bytes: flight!.bytes });
      this.#drain(this.other(end), end);
    }
  }

  #drain(writer: End, reader: End): void {
    if (!writer.full || reader.bytes > this.#windowBytes / 2) return;
    writer.full = false;
    this.#network.world.after(this.#delayMs, () => {
      if (writer.state === "open") writer.transport.emit({ type: "drained", conn: writer.conn });
    }, writer.transport.owner);
  }

  /** Says `closed` at an end, once; what hadn't been handed over is lost. */
  finish(end: End, reason: string): void {
    if (end.state === "over") return;
    end.state = "over";
    end.flights = [];
    end.transport.emit({ type: "closed", conn: end.conn, reason });
    end.transport.forget(end.conn);
    this.#network.forget(this);
  }

  /** One end is gone without a word: the other may still get some of what was sent, then hears of it. */
  abandon(end: End): void {
    const heard = end.state === "open";
    end.state = "over";
    end.flights = [];
    this.#network.forget(this);
    const other = this.other(end);
    if (other.state === "over" || this.silent || !heard) return;
    this.#cut(other);
    const atMs = this.#arrivalMs(other);
    other.flights.push({ atMs, bytes: undefined });
    other.pump(this.#network.world, other.flights[0]!.atMs);
  }

  /** Both ends are told that it is over, by nobody's wish. */
  reset(): void {
    const { world } = this.#network;
    for (const end of this.ends) {
      if (end.state === "over") continue;
      this.#cut(end);
      end.flights.push({ atMs: this.#arrivalMs(end), bytes: undefined });
      end.pump(world, end.flights[0]!.atMs);
    }
  }

  /** Loses what is on its way to an end, from some byte on. */
  #cut(end: End): void {
    if (end.flights.length === 0 || this.#random.chance(0.3)) return;
    const kept = this.#random.int(0, end.flights.length - 1);
    const torn = end.flights[kept]!.bytes;
    const dropped = end.flights.splice(kept);
    for (const { bytes } of dropped) end.bytes -= bytes?.length ?? 0;
    if (torn === undefined || torn.length < 2) return;
    const part = torn.subarray(0, this.#random.int(0, torn.length - 1));
    end.flights.push({ atMs: dropped[0]!.atMs, bytes: part });
    end.bytes += part.length;
  }
}
