/** The world of a host or of its peers, moved by the test alone: a transport and a clock. */
import type { Packet } from "../core/codec.ts";
import { decodePacket, Deframer, encodeHello, framesOf, Joiner } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import type { Now } from "../core/machine.ts";
import type { Hello } from "../core/messages.ts";
import type { Clock, Transport, TransportEvent } from "../core/ports.ts";
import { encodePacket } from "./samples.ts";

/** The bytes of packets, as they stand in a stream. */
export function bytesOfPackets(...packets: readonly Packet[]): Uint8Array {
  const frames = packets.flatMap((packet) => {
    if (packet.kind === "hello") return framesOf(encodeHello(packet.hello), 0, "tell");
    if (packet.kind === "chunk") throw new TypeError("Cannot put a chunk in a stream: its message makes it");
    return framesOf(encodePacket(packet), packet.kind === "tell" ? 0 : packet.id, packet.kind);
  });
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

/** The bytes of a first frame. */
export function helloBytes(hello: Hello): Uint8Array {
  return bytesOfPackets({ kind: "hello", hello });
}

/** A transport whose other ends are the test. */
export class FakeTransport implements Transport {
  /** What was called, but for writes: `connect a:1 as 1`, `close 1`, `destroy 1`, `pause 1`, `resume 1`. */
  readonly calls: string[] = [];
  /** Sockets that take nothing more after their next write. */
  readonly full = new Set<Conn>();
  readonly #written = new Map<Conn, Uint8Array[]>();
  readonly #decoders = new Map<Conn, { deframer: Deframer; joiner: Joiner }>();
  #sink: (event: TransportEvent) => void = () => {};
  #conns = 0;
  isShut = false;

  onEvent(sink: (event: TransportEvent) => void): void {
    this.#sink = sink;
  }

  /** Reports what happens in the world. */
  report(event: TransportEvent): void {
    this.#sink(event);
  }

  /** A number for a connection that comes in. */
  conn(): Conn {
    return ++this.#conns as Conn;
  }

  listen(address: string): Promise<string> {
    return Promise.resolve(address);
  }

  connect(address: string): Conn {
    const conn = this.conn();
    this.calls.push(`connect ${address} as ${conn}`);
    return conn;
  }

  write(conn: Conn, bytes: Uint8Array): boolean {
    const written = this.#written.get(conn) ?? [];
    this.#written.set(conn, [...written, bytes]);
    return !this.full.has(conn);
  }

  setReading(conn: Conn, on: boolean): void {
    this.calls.push(`${on ? "resume" : "pause"} ${conn}`);
  }

  close(conn: Conn): void {
    this.calls.push(`close ${conn}`);
  }

  destroy(conn: Conn): void {
    this.calls.push(`destroy ${conn}`);
  }

  shutdown(): Promise<void> {
    this.isShut = true;
    return Promise.resolve();
  }

  /** Writes to a connection since the last look. */
  takeWrites(conn: Conn): Uint8Array[] {
    const written = this.#written.get(conn) ?? [];
    this.#written.delete(conn);
    return written;
  }

  /** What was written to a connection since the last look, as its other end reads it. */
  takePackets(conn: Conn): Packet[] {
    return this.#packets(conn, this.takeWrites(conn));
  }

  #packets(conn: Conn, writes: readonly Uint8Array[]): Packet[] {
    const known = this.#decoders.get(conn);
    const { deframer, joiner } = known ?? { deframer: new Deframer(), joiner: new Joiner() };
    if (known === undefined) deframer.widen();
    this.#decoders.set(conn, { deframer, joiner });
    for (const bytes of writes) deframer.push(bytes);
    const packets: Packet[] = [];
    for (let frame = deframer.next(); frame !== undefined; frame = deframer.next()) {
      const packet = decodePacket(frame);
      if (packet.kind !== "chunk") packets.push(packet);
      else {
        const whole = joiner.push(packet.stream, packet.last, packet.bytes);
        if (whole !== undefined) packets.push(decodePacket(whole));
      }
    }
    return packets;
  }
}

/** A clock that the test winds. */
export class FakeClock implements Clock {
  monoMs = 1_000;
  wallMs = 1_700_000_000_000;
  /** When its user wants to be woken. */
  wakeMs: number | undefined;
  /** How often it was woken by time. */
  wakes = 0;
  #wake: () => void = () => {};
  #tasks: (() => void)[] = [];

  now(): Now {
    return { monoMs: this.monoMs, wallMs: this.wallMs };
  }

  wakeAt(monoMs: number | undefined, wake: () => void): void {
    this.wakeMs = monoMs;
    this.#wake = wake;
  }

  soon(task: () => void): void {
    this.#tasks.push(task);
  }

  /** Whether a task waits. */
  get isBusy(): boolean {
    return this.#tasks.length > 0;
  }

  /** Runs the tasks that wait, and those that they ask for. */
  run(): void {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) task();
  }

  /** Lets time go by; wakes its user once, if it wanted that by then. */
  pass(ms: number): void {
    this.monoMs += ms;
    this.wallMs += ms;
    if (this.wakeMs !== undefined && this.wakeMs <= this.monoMs) {
      this.wakeMs = undefined;
      this.wakes += 1;
      this.#wake();
    }
    this.run();
  }
}
