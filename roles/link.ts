/** One connection: frames in, lanes of frames out, questions by request id. Decides nothing; `peer.ts` does. */
import {
  decodePacket,
  Deframer,
  encodeAnswer,
  encodeAsk,
  encodeError,
  encodeHello,
  encodeTell,
  framesOf,
  Joiner,
} from "../core/codec.ts";
import type { Packet } from "../core/codec.ts";
import { MalformedError } from "../core/errors.ts";
import type { Proof } from "../core/identity.ts";
import type { Conn } from "../core/ids.ts";
import {
  EARLY_BYTES_MAX,
  QUEUED_BYTES_MAX,
  REQUESTS_IN_FLIGHT_MAX,
  SOCKET_BYTES_MAX,
} from "../core/limits.ts";
import { lanes, messages } from "../core/messages.ts";
import type { Answer, AskName, Body, Hello, Lane, TellName, WireError } from "../core/messages.ts";

/**
 * The life of a connection: `connecting` (outgoing, no socket yet), `greeting` (its first frame is awaited),
 * `waiting` (it said who it is; the machine hasn't accepted it), `open`, `closing` (nothing more is taken).
 */
export type LinkPhase = "connecting" | "greeting" | "waiting" | "open" | "closing";

/** A question that waits for its answer. */
export interface Question<C> {
  readonly link: Link<C>;
  readonly id: number;
  readonly name: AskName;
  readonly context: C;
}

/** A message in its frames, made once for all that receive it. */
export interface Parcel {
  readonly lane: number;
  readonly frames: readonly Uint8Array[];
  readonly bytes: number;
}

/** Cuts an encoded message into frames for its lane. */
export function parcelOf(
  message: Uint8Array,
  to: { lane: Lane; id: number; kind: "ask" | "answer" | "error" | "tell" },
): Parcel {
  const frames = framesOf(message, to.id, to.kind);
  return { lane: lanes[to.lane], frames, bytes: frames.reduce((sum, frame) => sum + frame.length, 0) };
}

/** The first frame. */
export function helloParcel(hello: Hello): Parcel {
  return parcelOf(encodeHello(hello), { lane: "liveness", id: 0, kind: "tell" });
}

/** A request, in its lane. */
export function askParcel<N extends AskName>(id: number, name: N, body: Body<N>, withinMs: number): Parcel {
  return parcelOf(encodeAsk(id, name, body, withinMs), { lane: messages[name].lane, id, kind: "ask" });
}

/** A notification, in its lane. */
export function tellParcel<N extends TellName>(name: N, body: Body<N>): Parcel {
  return parcelOf(encodeTell(name, body), { lane: messages[name].lane, id: 0, kind: "tell" });
}

/** The answer to a request, in its lane. */
export function answerParcel<N extends AskName>(id: number, name: N, body: Answer<N>): Parcel {
  return parcelOf(encodeAnswer(id, name, body), { lane: messages[name].lane, id, kind: "answer" });
}

/** Why a connection ends, behind all that it still brings. */
export function endParcel(error: WireError): Parcel {
  return parcelOf(encodeError(0, error), { lane: "bulk", id: 0, kind: "error" });
}

/** How a peer begins that speaks TLS (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 0x16;

/** A connection's state. */
export class Link<C> {
  readonly conn: Conn;
  readonly incoming: boolean;
  /** What an outgoing connection was made for. */
  readonly target: string | undefined;
  /** Where an incoming connection comes from, or an outgoing one goes to. */
  readonly remote: string;
  /** What the transport knows of the other side. */
  proof: Proof | undefined;
  /** What we say of ourselves there. */
  readonly hello: Hello;
  phase: LinkPhase;
  /** What the peer said of itself. */
  peer: Hello | undefined;
  /** Questions of ours by request id. */
  readonly questions = new Map<number, Question<C>>();
  /** Requests of the peer that have no answer yet, with their names. */
  readonly requests = new Map<number, AskName>();
  heardMs: number;
  /** Whether it is asked sooner than others if it is there: it may be the primary. */
  readonly closely: boolean;
  /** Heartbeats sent since something was heard. */
  missed = 0;
  /** Since when the socket takes nothing, undefined while it does. */
  blockedMs: number | undefined;
  /** Packets of a peer that isn't accepted yet. */
  #early: Packet[] = [];
  #earlyBytes = 0;
  /** The first byte that came. */
  #first: number | undefined;
  #nextId = 1;
  #deframer = new Deframer();
  #joiner = new Joiner();
  #lanes: Uint8Array[][] = [[], [], []];
  #queued = 0;

  constructor(
    start: {
      conn: Conn;
      incoming: boolean;
      target?: string;
      remote: string;
      hello: Hello;
      nowMs: number;
      closely?: boolean;
    },
  ) {
    this.conn = start.conn;
    this.incoming = start.incoming;
    this.target = start.target;
    this.remote = start.remote;
    this.hello = start.hello;
    this.phase = start.incoming ? "greeting" : "connecting";
    this.heardMs = start.nowMs;
    this.closely = start.closely ?? false;
  }

  /** A request id that no open question has. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1;
    return this.questions.has(id) ? this.takeId() : id;
  }

  /** Notes a question that is about to be asked. */
  question(name: AskName, context: C): Question<C> {
    const question = { link: this, id: this.takeId(), name, context };
    this.questions.set(question.id, question);
    return question;
  }

  /** Notes a request of the peer; gives why it can't be taken, if so. Throws `MalformedError` for an id in use. */
  takeRequest(id: number, name: AskName): WireError | undefined {
    if (id === 0 || this.requests.has(id)) {
      throw new MalformedError(`Cannot take request ${id}: the id is in use`);
    }
    if (this.requests.size >= REQUESTS_IN_FLIGHT_MAX) {
      return {
        code: "tooLarge",
        message: `Cannot take more than ${REQUESTS_IN_FLIGHT_MAX} requests at once`,
      };
    }
    this.requests.set(id, name);
    return undefined;
  }

  /** Keeps a packet until the peer is accepted; false: no more should come. */
  holdEarly(packet: Packet, bytes: number): boolean {
    this.#early.push(packet);
    this.#earlyBytes += bytes;
    return this.#earlyBytes <= EARLY_BYTES_MAX;
  }

  /** What was kept, and whether no more was to come. */
  takeEarly(): { readonly packets: readonly Packet[]; readonly wereTooMany: boolean } {
    const taken = { packets: this.#early, wereTooMany: this.#earlyBytes > EARLY_BYTES_MAX };
    this.#early = [];
    this.#earlyBytes = 0;
    return taken;
  }

  /** Lets frames be longer than a hello. */
  widen(): void {
    this.#deframer.widen();
  }

  /** Why it ends when the peer has sent what it mustn't. */
  ruleBroken({ message }: MalformedError): WireError {
    if (this.#first !== TLS_HANDSHAKE) return { code: "malformed", message };
    return {
      code: "untrusted",
      message: "Cannot talk: one side speaks TLS, this one doesn't; see neo.toml of both",
    };
  }

  /** Takes bytes in. */
  receive(bytes: Uint8Array): void {
    this.#first ??= bytes[0];
    this.#deframer.push(bytes);
  }

  /** The next whole packet with the bytes it took, if there is one. Throws `MalformedError`. */
  nextPacket(): { packet: Packet; bytes: number } | undefined {
    for (;;) {
      const frame = this.#deframer.next();
      if (frame === undefined) return undefined;
      const packet = decodePacket(frame);
      if (packet.kind !== "chunk") return { packet, bytes: frame.length };
      const whole = this.#joiner.push(packet.stream, packet.last, packet.bytes);
      if (whole === undefined) continue;
      const joined = decodePacket(whole);
      if (joined.kind === "chunk" || joined.kind === "hello") {
        throw new MalformedError("Cannot take a message in chunks: it is none");
      }
      return { packet: joined, bytes: whole.length };
    }
  }

  /** Queues a message. False: too much waits for this peer. */
  queue(parcel: Parcel): boolean {
    const lane = this.#lanes[parcel.lane]!;
    for (const frame of parcel.frames) lane.push(frame);
    this.#queued += parcel.bytes;
    return this.#queued <= QUEUED_BYTES_MAX;
  }

  /** Whether something waits to be written. */
  get hasOutput(): boolean {
    return this.#queued > 0;
  }

  /** The next bytes to write: frames of the most urgent lane, no more than a socket should take at once. */
  nextWrite(): Uint8Array | undefined {
    const lane = this.#lanes.find((frames) => frames.length > 0);
    if (lane === undefined) return undefined;
    let count = 0;
    let size = 0;
    while (count < lane.length && (count === 0 || size + lane[count]!.length <= SOCKET_BYTES_MAX)) {
      size += lane[count++]!.length;
    }
    const frames = lane.splice(0, count);
    this.#queued -= size;
    if (frames.length === 1) return frames[0]!;
    const bytes = new Uint8Array(size);
    let at = 0;
    for (const frame of frames) {
      bytes.set(frame, at);
      at += frame.length;
    }
    return bytes;
  }
}
