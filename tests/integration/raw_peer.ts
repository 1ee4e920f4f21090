/** A peer that says what it likes: bytes go out as they are, what comes back is decoded. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { parseAddress } from "../../adapters/tcp.ts";
import { decodePacket, Deframer, encodeAsk, encodeHello, framesOf } from "../../core/codec.ts";
import type { Packet } from "../../core/codec.ts";
import { MAGIC, PROTOCOL_VERSION_MAX, PROTOCOL_VERSION_MIN } from "../../core/messages.ts";
import type { AskName, Body, Hello, WireError } from "../../core/messages.ts";
import { within } from "./kit.ts";

/** A hello as a client says it, but for what `fields` say. */
export function helloWith(fields: Partial<Hello>): Hello {
  return {
    magic: MAGIC,
    versionMin: PROTOCOL_VERSION_MIN,
    versionMax: PROTOCOL_VERSION_MAX,
    clusterId: "",
    cluster: "shop",
    role: "client",
    name: "raw",
    diskId: "",
    address: "",
    epoch: 0,
    session: 0,
    patienceMs: 1_000,
    capabilities: [],
    tableDigest: new Uint8Array(),
    ...fields,
  };
}

/** Bytes of a hello, as the first frame. */
export function helloFrame(fields: Partial<Hello> = {}): Uint8Array {
  return framesOf(encodeHello(helloWith(fields)), 0, "tell")[0]!;
}

/** Bytes of a request. */
export function askFrame<N extends AskName>(id: number, name: N, body: Body<N>): Uint8Array {
  return framesOf(encodeAsk(id, name, body, 30_000), id, "ask")[0]!;
}

/** A frame around any bytes. */
export function frameOf(payload: Uint8Array, length: number = payload.length): Uint8Array {
  const frame = new Uint8Array(4 + payload.length);
  new DataView(frame.buffer).setUint32(0, length);
  frame.set(payload, 4);
  return frame;
}

/** One connection. */
export class RawPeer {
  readonly #socket: Socket;
  readonly #deframer = new Deframer();
  readonly #packets: Packet[] = [];
  readonly #closed: Promise<unknown>;
  #isClosed = false;
  #heard: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#deframer.widen();
    socket.on("data", (bytes: Uint8Array) => this.#take(new Uint8Array(bytes)));
    // a reset is one of the ways in which a node ends a connection: "close" follows
    socket.on("error", () => this.#heard());
    this.#closed = once(socket, "close").then(() => {
      this.#isClosed = true;
      this.#heard();
    });
  }

  static async connect(address: string): Promise<RawPeer> {
    const socket = connect({ ...parseAddress(address), noDelay: true });
    await within(`a connection to ${address}`, once(socket, "connect"));
    return new RawPeer(socket);
  }

  /** Sends bytes; doesn't wait until they are taken. */
  send(...parts: readonly Uint8Array[]): this {
    for (const bytes of parts) if (!this.#socket.destroyed) this.#socket.write(bytes);
    return this;
  }

  /** Says that it sends no more. */
  end(): this {
    this.#socket.end();
    return this;
  }

  /** Reads nothing any more. */
  stopReading(): this {
    this.#socket.pause();
    return this;
  }

  readOn(): this {
    this.#socket.resume();
    return this;
  }

  /** Ends the connection from this side. */
  async leave(): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }

  /** The first packet that `wanted` takes; fails when the connection ends before. */
  packet<P extends Packet>(wanted: (packet: Packet) => packet is P): Promise<P> {
    return within("a packet", this.#packet(wanted));
  }

  async #packet<P extends Packet>(wanted: (packet: Packet) => packet is P): Promise<P> {
    for (;;) {
      const found = this.#packets.find(wanted);
      if (found !== undefined) return found;
      if (this.#isClosed) {
        throw new Error(`the connection has ended; it said ${this.#packets.length} packets`);
      }
      await new Promise<void>((heard) => this.#heard = heard);
    }
  }

  /** Waits until the node has ended the connection; gives the reason that it told. */
  async refused(): Promise<WireError | undefined> {
    await within("the end of the connection", this.#closed);
    const last = this.#packets.at(-1);
    return last?.kind === "error" && last.id === 0 ? last.error : undefined;
  }

  /** Messages received so far. */
  get packets(): readonly Packet[] {
    return this.#packets;
  }

  #take(bytes: Uint8Array): void {
    this.#deframer.push(bytes);
    for (let frame = this.#deframer.next(); frame !== undefined; frame = this.#deframer.next()) {
      this.#packets.push(decodePacket(frame));
    }
    this.#heard();
  }
}

/** Whether a packet is a notification of some kind. */
export function isTell<N extends string>(name: N) {
  return (packet: Packet): packet is Extract<Packet, { kind: "tell" }> & { message: { name: N } } =>
    packet.kind === "tell" && packet.message.name === name;
}

/** Whether a packet answers a request, one way or another. */
export function repliesTo(id: number) {
  return (packet: Packet): packet is Extract<Packet, { kind: "answer" | "error" }> =>
    (packet.kind === "answer" || packet.kind === "error") && packet.id === id;
}
