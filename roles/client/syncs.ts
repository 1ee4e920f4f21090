/**
 * What the newest tid is. One question to the primary is for all that wait: begins of one moment cost one message. A lost primary only
 * costs time.
 */
import type { Tid } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import type { Answer, WireError } from "../../core/messages.ts";
import type { Site } from "./site.ts";

/** Calls that wait, known by their numbers. */
interface Waiting {
  isOpen(call: number): boolean;
  settle(call: number, result: { readonly lastTid: Tid; readonly ageMs: number }): void;
  /** The primary is lost, or (`timedOut`) doesn't answer: the call begins again. */
  again(call: number, isLost: boolean): void;
}

/** Questions for the newest tid. */
export class Syncs {
  #site: Site;
  #calls: Waiting;
  #asked: readonly number[] = []; // calls that the question under way answers
  #next: number[] = []; // calls that came behind it: what they must see may be younger than its answer

  constructor(site: Site, calls: Waiting) {
    this.#site = site;
    this.#calls = calls;
  }

  /** A call wants to know. */
  begin(call: number): void {
    this.#next.push(call);
    if (this.#asked.length === 0) this.#ask();
  }

  /** The primary says; everything up to that tid came before it on the same connection. */
  answered({ lastTid, wallMs }: Answer<"sync">): void {
    this.#site.clockMs = wallMs - this.#site.now.monoMs;
    for (const call of this.#asked) {
      if (this.#calls.isOpen(call)) this.#calls.settle(call, { lastTid, ageMs: wallMs });
    }
    this.#asked = [];
    if (this.#site.primary !== undefined) this.#ask();
  }

  /** It is asked again, or the next one is. */
  failed({ code }: WireError): void {
    const waiting = [...this.#asked, ...this.#next];
    this.#asked = [];
    this.#next = [];
    for (const call of waiting) if (this.#calls.isOpen(call)) this.#calls.again(call, code !== "timedOut");
  }

  #ask(): void {
    this.#asked = this.#next.filter((call) => this.#calls.isOpen(call));
    this.#next = [];
    if (this.#asked.length === 0) return;
    const options = { context: { of: "sync" } as const, withinMs: REQUEST_TIMEOUT_MS };
    this.#site.ask(this.#site.primary!, "sync", {}, options);
  }
}
