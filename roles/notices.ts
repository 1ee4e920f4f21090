/** What an operator gets to read of peers that are refused or dropped: each cause now and then, however often it happens. */
import { NOTICE_CAUSES_MAX, NOTICE_MS } from "../core/limits.ts";
import type { WireError } from "../core/messages.ts";

/** Takes a line for the log. */
export type NoticeLog = (text: string, facts: { readonly [name: string]: unknown }) => void;

/** Causes and when they were last said. */
export class Notices {
  #log: NoticeLog;
  #said = new Map<string, { atMs: number; since: number }>();

  constructor(log: NoticeLog) {
    this.#log = log;
  }

  /** A peer is refused or dropped. */
  take(error: WireError, remote: string, nowMs: number): void {
    const cause = this.#causeOf(error, nowMs);
    const said = this.#said.get(cause);
    if (said && nowMs < said.atMs + NOTICE_MS) {
      said.since += 1;
      return;
    }
    const more = said && said.since > 0 ? { more: said.since } : {};
    this.#said.set(cause, { atMs: nowMs, since: 0 });
    this.#log(`Ended a connection: ${error.message}`, { code: error.code, remote, ...more });
  }

  /** Who isn't trusted is told of one by one, as long as they aren't too many. */
  #causeOf({ code, message }: WireError, nowMs: number): string {
    if (code !== "untrusted" || this.#said.has(message)) return code === "untrusted" ? message : code;
    for (const [cause, { atMs }] of this.#said) if (nowMs >= atMs + NOTICE_MS) this.#said.delete(cause);
    return this.#said.size < NOTICE_CAUSES_MAX ? message : code;
  }
}
