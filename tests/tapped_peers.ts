/** Peers on real sockets, and everything that goes over them, frame by frame, in the order in which it goes. */
import { decodePacket, Deframer } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import type { PeerEvent } from "../core/machine.ts";
import type { Hello, Role } from "../core/messages.ts";
import type { Transport, TransportEvent } from "../core/ports.ts";
import { Peers } from "../roles/peer.ts";
import type { PeerEffect } from "../roles/peer.ts";

/** A test that waits for longer has failed; nothing is ever expected to take time. */
const PATIENCE_MS = 60_000;

/** A frame that was handed to the socket (`out`) or came from it (`in`): `ask ping`, `chunk`, `last chunk`. */
export interface Passed {
  readonly way: "in" | "out";
  readonly what: string;
  /** With its length field. */
  readonly bytes: number;
}

/** One end of one connection: accepts whoever says who it is. */
export class Side {
  readonly peers: Peers<string>;
  readonly log: Passed[] = [];
  /** What this side does about what it hears; it has done it before anything else happens. */
  react: (event: PeerEvent<string>) => readonly PeerEffect<string>[] = () => [];
  nowMs = 1_000;
  conn: Conn | undefined;
  readonly #transport: Transport;
  readonly #deframers = { in: new Deframer(), out: new Deframer() };
  #watchers: (() => void)[] = [];

  constructor(transport: Transport, hello: Hello, serves: readonly Role[]) {
    this.#transport = transport;
    const tapped: Transport = {
      onEvent: (sink) => transport.onEvent(sink),
      listen: (address) => transport.listen(address),
      connect: (address) => transport.connect(address),
      write: (conn, bytes) => {
        this.#note("out", bytes);
        return transport.write(conn, bytes);
      },
      setReading: (conn, on) => transport.setReading(conn, on),
      close: (conn) => transport.close(conn),
      destroy: (conn) => transport.destroy(conn),
      shutdown: () => transport.shutdown(),
    };
    for (const deframer of Object.values(this.#deframers)) deframer.widen();
    this.peers = new Peers<string>(tapped, { hello, serves });
    transport.onEvent((event) => this.#take(event));
  }

  /** Does it, and sends what follows from it. */
  do(...effects: readonly PeerEffect<string>[]): void {
    const heard = effects.flatMap((effect) => this.peers.perform(effect, this.nowMs));
    this.#hear(heard);
  }

  /** Lets time go by for this side alone. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.#hear(this.peers.tick(this.nowMs));
  }

  /** Goes on reading its socket, or stops. */
  read(on: boolean): void {
    this.#transport.setReading(this.conn!, on);
  }

  /** The place of a frame in the log, -1: it hasn't passed. */
  find(way: Passed["way"], what: string): number {
    return this.log.findIndex((passed) => passed.way === way && passed.what === what);
  }

  /** Bytes of chunks that passed one way, up to a place in the log. */
  chunkBytes(way: Passed["way"], upTo: number): number {
    return this.log.slice(0, upTo).reduce(
      (sum, passed) => sum + (passed.way === way && passed.what.endsWith("chunk") ? passed.bytes : 0),
      0,
    );
  }

  /** Fulfilled when `holds()` after something that happened here. */
  until(what: string, holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const alarm = setTimeout(() => {
        const last = this.log.slice(-10).map((passed) => `${passed.way} ${passed.what}`).join(", ");
        reject(new Error(`never came: ${what}; at last: ${last}`));
      }, PATIENCE_MS);
      const watch = (): void => {
        if (!holds()) return;
        clearTimeout(alarm);
        this.#watchers = this.#watchers.filter((other) => other !== watch);
        resolve();
      };
      this.#watchers.push(watch);
      watch();
    });
  }

  #take(event: TransportEvent): void {
    if (event.type === "bytes") this.#note("in", event.bytes);
    this.#hear(this.peers.receive(event, this.nowMs));
  }

  #hear(events: readonly PeerEvent<string>[]): void {
    for (const event of events) {
      if (event.type === "identified") this.conn = event.conn;
      const effects = event.type === "identified"
        ? [{ do: "accept", conn: event.conn } as const]
        : this.react(event);
      for (const effect of effects) this.#hear(this.peers.perform(effect, this.nowMs));
    }
    this.peers.send(this.nowMs);
    for (const watch of this.#watchers) watch();
  }

  #note(way: Passed["way"], bytes: Uint8Array): void {
    const deframer = this.#deframers[way];
    deframer.push(bytes);
    for (let frame = deframer.next(); frame !== undefined; frame = deframer.next()) {
      this.log.push({ way, what: nameOf(frame), bytes: frame.length + 4 });
    }
  }
}

function nameOf(frame: Uint8Array): string {
  const packet = decodePacket(frame);
  switch (packet.kind) {
    case "chunk":
      return packet.last ? "last chunk" : "chunk";
    case "hello":
    case "error":
      return packet.kind;
    default:
      return `${packet.kind} ${packet.message.name}`;
  }
}
