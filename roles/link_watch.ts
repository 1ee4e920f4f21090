/** What becomes of a connection that is silent, stuck or slow to say who it is. */
import { Deadlines } from "../core/deadlines.ts";
import { CONNECT_TIMEOUT_MS, HELLO_TIMEOUT_MS, KEEPALIVE_MISSED_MAX, PATIENCE_MS } from "../core/limits.ts";
import type { PeerTimes } from "../core/machine.ts";
import type { WireError } from "../core/messages.ts";
import type { Ear } from "./ear.ts";
import type { Link, Question } from "./link.ts";

/**
 * What a connection deserves whose time has come: `end` says why first, `drop` doesn't; `patience` of a peer that we keep waiting is
 * over; `gone` is one whose end was waited for; `ask`: is it still there?
 */
export type Overdue =
  | { readonly is: "end" | "drop"; readonly error: WireError }
  | { readonly is: "patience" | "gone" | "ask" | "nothing" };

/** Looks at a connection whose deadline has come. */
function overdue<C>(link: Link<C>, times: PeerTimes, nowMs: number): Overdue {
  switch (link.phase) {
    case "connecting": {
      const message = `Cannot connect to ${link.target ?? "the peer"}: no answer in time`;
      return { is: "drop", error: { code: "timedOut", message } };
    }
    case "greeting": {
      const message = "Cannot wait longer: the other side doesn't say who it is";
      return { is: link.incoming ? "end" : "drop", error: { code: "timedOut", message } };
    }
    case "waiting":
      return { is: link.incoming ? "patience" : "nothing" };
    case "closing":
      return { is: "gone" };
    case "open":
      return silent(link, times, nowMs);
  }
}

function silent<C>(link: Link<C>, times: PeerTimes, nowMs: number): Overdue {
  const { writeTimeoutMs } = times;
  if (link.blockedMs !== undefined && nowMs >= link.blockedMs + writeTimeoutMs) {
    const message = `Dropped the peer: it reads nothing for ${writeTimeoutMs} ms`;
    return { is: "drop", error: { code: "lost", message } };
  }
  if (nowMs < link.heardMs + pauseOf(link, times) * (link.missed + 1)) return { is: "nothing" };
  if (link.missed < KEEPALIVE_MISSED_MAX) return { is: "ask" };
  const message = `Lost the peer: silent for ${nowMs - link.heardMs} ms and ${link.missed} heartbeats`;
  return { is: "drop", error: { code: "lost", message } };
}

/** Silence after which a peer is asked whether it is there. */
function pauseOf<C>({ closely }: Link<C>, { keepaliveMs, primaryKeepaliveMs }: PeerTimes): number {
  return closely ? primaryKeepaliveMs : keepaliveMs;
}

/** When each connection, question and ear is looked at next. */
export class Watches<C> {
  readonly #deadlines = new Deadlines<Link<C> | Question<C> | Ear>();
  #times: PeerTimes;

  constructor(times: PeerTimes) {
    this.#times = times;
  }

  /** Other times count from now on, for all connections: none is lost by that alone, it is asked first. */
  retime(links: Iterable<Link<C>>, times: PeerTimes, nowMs: number): void {
    this.#times = times;
    for (const link of links) {
      link.heardMs = Math.max(link.heardMs, nowMs - pauseOf(link, times) * (link.missed + 1));
      this.open(link);
    }
  }

  /** Looks again when something can have changed: an open one has been silent, or hasn't read, for too long. */
  open(link: Link<C>): void {
    if (link.phase !== "open") return;
    const silentMs = Math.max(link.heardMs, 0) + this.pauseMs(link) * (link.missed + 1);
    const { blockedMs } = link;
    const { writeTimeoutMs } = this.#times;
    this.at(link, blockedMs === undefined ? silentMs : Math.min(silentMs, blockedMs + writeTimeoutMs));
  }

  /** A connection is being made: it must come, and the other side say who it is. */
  connecting(link: Link<C>, nowMs: number): void {
    this.at(link, nowMs + Math.min(CONNECT_TIMEOUT_MS + HELLO_TIMEOUT_MS, 2 * this.pauseMs(link)));
  }

  /** The other side must say who it is. */
  greeting(link: Link<C>, nowMs: number): void {
    const pauseMs = link.incoming ? Infinity : 2 * this.pauseMs(link);
    this.at(link, nowMs + Math.min(HELLO_TIMEOUT_MS, pauseMs));
  }

  /** It waits to be let in, for as long as it has said. */
  waiting(link: Link<C>, patienceMs: number, nowMs: number): void {
    if (link.incoming) this.at(link, nowMs + Math.min(patienceMs, PATIENCE_MS));
  }

  /** It takes its last words. */
  closing(link: Link<C>, nowMs: number): void {
    this.at(link, nowMs + this.#times.writeTimeoutMs);
  }

  /** What a connection deserves whose time has come. */
  verdict(link: Link<C>, nowMs: number): Overdue {
    return overdue(link, this.#times, nowMs);
  }

  /** Silence after which the other side is asked whether it is there. */
  pauseMs(link: Link<C>): number {
    return pauseOf(link, this.#times);
  }

  at(watched: Link<C> | Question<C> | Ear, atMs: number): void {
    this.#deadlines.set(watched, atMs);
  }

  delete(watched: Link<C> | Question<C> | Ear): void {
    this.#deadlines.delete(watched);
  }

  take(nowMs: number): (Link<C> | Question<C> | Ear)[] {
    return this.#deadlines.take(nowMs);
  }

  next(): number | undefined {
    return this.#deadlines.next();
  }
}
