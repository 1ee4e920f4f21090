/**
 * Remembers what a node has said and heard last, by connection, so that it can be looked at when something went wrong. From the outside of
 * its machine, as `meter.ts`; names of messages only, never their content.
 */
import type { Conn } from "../core/ids.ts";
import { RECORDED_CONNECTIONS_MAX, RECORDED_MESSAGES } from "../core/limits.ts";
import type { Effect } from "../core/machine.ts";

/** What a recorder looks at of an event. */
export interface RecordedEvent {
  readonly type: string;
  readonly conn?: Conn;
  readonly id?: number;
  readonly hello?: { readonly role: string; readonly name: string };
  readonly message?: { readonly name: string };
  readonly name?: string;
  readonly error?: { readonly code: string };
}

interface Entry {
  readonly atMs: number;
  readonly way: string;
  readonly what: string;
  readonly id: number | undefined;
}

/** One connection. */
interface Ring {
  peer: string;
  entries: Entry[];
  next: number;
}

/** Logs what goes by, as far as somebody wants to read it. */
export interface Trace {
  wants(module: "connections" | "messages"): boolean;
  say(
    module: "connections" | "messages",
    text: string,
    facts: { readonly [name: string]: unknown },
  ): void;
}

/** The last messages of each connection. */
export class Recorder {
  readonly #rings = new Map<Conn, Ring>();
  readonly #trace: Trace | undefined;

  constructor(trace?: Trace) {
    this.#trace = trace;
  }

  /** An event goes into the machine. */
  event({ type, conn, id, hello, message, name, error }: RecordedEvent, atMs: number): void {
    if (conn === undefined) return;
    if (hello) this.#ring(conn).peer = `${hello.role} ${hello.name}`.trimEnd();
    const what = message?.name ?? name ?? hello?.role ?? "";
    if (hello || type === "lost") {
      const text = hello ? "A peer has come" : "A peer has gone";
      this.#say("connections", text, { conn, ...(error && { code: error.code }) });
    }
    this.#note(conn, { atMs, way: type, what: error ? `${what} ${error.code}`.trimStart() : what, id });
  }

  /** The machine wants something done. */
  effect(effect: Effect, atMs: number): void {
    switch (effect.do) {
      case "ask":
        return this.#note(effect.conn, { atMs, way: "ask", what: effect.message.name, id: undefined });
      case "answer":
        return this.#note(effect.conn, { atMs, way: "answer", what: effect.message.name, id: effect.id });
      case "refuse":
        return this.#note(effect.conn, { atMs, way: "refuse", what: effect.error.code, id: effect.id });
      case "tell":
        for (const conn of effect.conns) {
          this.#note(conn, { atMs, way: "tell", what: effect.message.name, id: undefined });
        }
        return;
      case "reject":
      case "close":
        return this.#note(effect.conn, { atMs, way: effect.do, what: effect.error.code, id: undefined });
      default:
        return;
    }
  }

  /** Who it talked with, oldest connection first, and what was said: `0.012 asked store 7` is 12 ms ago, request 7. */
  report(
    nowMs: number,
  ): { readonly conn: Conn; readonly peer: string; readonly messages: readonly string[] }[] {
    return [...this.#rings].map(([conn, { peer, entries, next }]) => {
      const ordered = [...entries.slice(next), ...entries.slice(0, next)];
      const messages = ordered.map(({ atMs, way, what, id }) =>
        [((nowMs - atMs) / 1_000).toFixed(3), way, what, id ?? ""].join(" ").trimEnd()
      );
      return { conn, peer, messages };
    });
  }

  #note(conn: Conn, entry: Entry): void {
    const ring = this.#ring(conn);
    const { way, what, id } = entry;
    if (this.#trace) {
      this.#say("messages", `${way} ${what}`.trimEnd(), { conn, ...(id === undefined ? {} : { id }) });
    }
    if (ring.entries.length < RECORDED_MESSAGES) ring.entries.push(entry);
    else {
      ring.entries[ring.next] = entry;
      ring.next = (ring.next + 1) % RECORDED_MESSAGES;
    }
  }

  #say(module: "connections" | "messages", text: string, facts: { readonly conn: Conn }): void {
    const { conn, ...more } = facts;
    if (this.#trace?.wants(module)) {
      this.#trace.say(module, text, { peer: this.#ring(conn).peer, conn, ...more });
    }
  }

  /** Of a new connection; the oldest one is forgotten when there are too many. */
  #ring(conn: Conn): Ring {
    let ring = this.#rings.get(conn);
    if (ring) return ring;
    if (this.#rings.size >= RECORDED_CONNECTIONS_MAX) this.#rings.delete(this.#rings.keys().next().value!);
    ring = { peer: "", entries: [], next: 0 };
    this.#rings.set(conn, ring);
    return ring;
  }
}
