/** Connections within this process: two sides and their queues, with windows and orderly ends as sockets have. */
import type { Conn } from "../core/ids.ts";
import {
  MEMORY_READ_BYTES_MAX,
  MEMORY_WINDOW_BYTES,
  SOCKET_BYTES_MAX,
  WRITE_TIMEOUT_MS,
} from "../core/limits.ts";
import type { TransportEvent } from "../core/ports.ts";
import type { Later } from "./system.ts";

/** What a side needs from its network and its owner. */
export interface EndContext {
  readonly conn: Conn;
  /** Takes the side's events; called from posted tasks only. */
  readonly emit: (event: TransportEvent) => void;
  /** Runs a task in a later turn, behind those that were posted before. */
  readonly post: (task: () => void) => void;
  readonly later: Later;
}

/** Bytes in order. */
class ByteQueue {
  readonly #chunks: Uint8Array[] = [];
  length = 0;

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.length += bytes.length;
  }

  /** The first bytes, `max` at most. */
  take(max: number): Uint8Array {
    const first = this.#chunks.shift() ?? new Uint8Array();
    if (first.length > max) this.#chunks.unshift(first.subarray(max));
    const taken = first.subarray(0, max);
    this.length -= taken.length;
    return taken;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.length = 0;
  }
}

/** One side of a connection. */
export class End {
  readonly conn: Conn;
  readonly #context: EndContext;
  #peer: End | undefined;
  #stage: "connecting" | "open" | "ending" | "closed" = "connecting";
  /** Why it ends: the first cause is the one that is told. */
  #reason: string | undefined;
  #reading = true;
  #owesDrained = false;
  readonly #output = new ByteQueue();
  readonly #input = new ByteQueue();
  /** Nothing will follow what is in the queue. */
  #outputEnded = false;
  #inputEnded = false;
  #cancelTimer: () => void = () => {};

  constructor(context: EndContext) {
    this.conn = context.conn;
    this.#context = context;
  }

  get isClosed(): boolean {
    return this.#stage === "closed";
  }

  /** `join` has happened, and nothing was ended since. */
  get isOpen(): boolean {
    return this.#stage === "open";
  }

  /** This side hears the other; what was written before leaves now. */
  join(peer: End): void {
    this.#peer = peer;
    if (this.#stage === "connecting") this.#stage = "open";
    this.#pump();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#stage === "ending" || this.#stage === "closed") return true;
    // A copy: the writer's memory isn't the reader's.
    this.#output.push(new Uint8Array(bytes));
    this.#pump();
    if (this.#output.length > SOCKET_BYTES_MAX) this.#owesDrained = true;
    return !this.#owesDrained;
  }

  setReading(on: boolean): void {
    if (this.#stage === "ending") return;
    this.#reading = on;
    if (on) this.#context.post(() => this.#deliver());
  }

  /** Flushes, throws away what still comes, and closes when the peer has ended too. */
  end(reason: string): void {
    if (this.#stage === "ending" || this.#stage === "closed") return;
    this.#stage = "ending";
    this.#reason ??= reason;
    this.#outputEnded = true;
    this.#reading = true;
    this.#cancelTimer = this.#context.later(WRITE_TIMEOUT_MS, () => this.destroy(reason));
    this.#pump();
    this.#context.post(() => this.#deliver());
  }

  destroy(reason: string): void {
    if (this.#stage === "closed") return;
    this.#stage = "closed";
    const why = this.#reason ?? reason;
    this.#cancelTimer();
    this.#input.clear();
    this.#output.clear();
    this.#outputEnded = true;
    this.#pump();
    if (this.#peer !== undefined) this.#peer.#pump();
    this.#context.post(() => this.#context.emit({ type: "closed", conn: this.conn, reason: why }));
  }

  /** Ends it unless it is about to end: then what is queued still leaves. */
  shutdown(): void {
    if (this.#stage !== "ending") this.destroy("this node ends");
  }

  /** Moves output into the peer's input as far as its window reaches; a peer that is gone takes everything. */
  #pump(): void {
    const peer = this.#peer;
    if (peer === undefined) return;
    if (peer.isClosed) this.#output.clear();
    while (this.#output.length > 0 && peer.#input.length < MEMORY_WINDOW_BYTES) {
      const room = Math.min(MEMORY_WINDOW_BYTES - peer.#input.length, MEMORY_READ_BYTES_MAX);
      peer.#input.push(this.#output.take(room));
      this.#context.post(() => peer.#deliver());
    }
    if (this.#output.length > 0) return;
    if (this.#owesDrained) this.#context.post(() => this.#drained());
    if (!this.#outputEnded || peer.#inputEnded) return;
    peer.#inputEnded = true;
    // Either may have waited for just this.
    this.#context.post(() => peer.#deliver());
    this.#context.post(() => this.#deliver());
  }

  #drained(): void {
    if (!this.#owesDrained || !this.isOpen || this.#output.length > 0) return;
    this.#owesDrained = false;
    this.#context.emit({ type: "drained", conn: this.conn });
  }

  /** Gives the owner what has come, in order; what it asks for meanwhile counts at once. */
  #deliver(): void {
    while (this.#reading && this.#input.length > 0) {
      const bytes = this.#input.take(MEMORY_READ_BYTES_MAX);
      if (this.#peer !== undefined) this.#peer.#pump();
      if (this.isOpen) this.#context.emit({ type: "bytes", conn: this.conn, bytes });
    }
    if (!this.#reading || !this.#inputEnded || this.isClosed) return;
    this.end("the peer ended the connection");
    if (this.#peer !== undefined && this.#peer.#inputEnded) this.destroy("both sides ended it");
  }
}
