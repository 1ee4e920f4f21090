/** What becomes of a connection that is silent, stuck or slow to say who it is. */
import { KEEPALIVE_MISSED_MAX, WRITE_TIMEOUT_MS } from "../core/limits.ts";
import type { WireError } from "../core/messages.ts";
import type { Link } from "./link.ts";

/**
 * What a connection deserves whose time has come: `end` says why first, `drop` doesn't; `patience` of a peer that we keep waiting is
 * over; `gone` is one whose end was waited for; `ask`: is it still there?
 */
export type Overdue =
  | { readonly is: "end" | "drop"; readonly error: WireError }
  | { readonly is: "patience" | "gone" | "ask" | "nothing" };

/** Looks at a connection whose deadline has come. */
export function overdue<C>(link: Link<C>, nowMs: number): Overdue {
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
      return silent(link, nowMs);
  }
}

function silent<C>(link: Link<C>, nowMs: number): Overdue {
  if (link.blockedMs !== undefined && nowMs >= link.blockedMs + WRITE_TIMEOUT_MS) {
    const message = `Dropped the peer: it reads nothing for ${WRITE_TIMEOUT_MS} ms`;
    return { is: "drop", error: { code: "lost", message } };
  }
  if (nowMs < link.heardMs + link.keepaliveMs * (link.missed + 1)) return { is: "nothing" };
  if (link.missed < KEEPALIVE_MISSED_MAX) return { is: "ask" };
  const message = `Lost the peer: silent for ${nowMs - link.heardMs} ms and ${link.missed} heartbeats`;
  return { is: "drop", error: { code: "lost", message } };
}

/** When to look at an open connection next: its silence, or how long it hasn't read. */
export function lookAt<C>(link: Link<C>): number {
  const silentMs = Math.max(link.heardMs, 0) + link.keepaliveMs * (link.missed + 1);
  return link.blockedMs === undefined ? silentMs : Math.min(silentMs, link.blockedMs + WRITE_TIMEOUT_MS);
}
