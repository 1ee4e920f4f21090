/**
 * Truncations, as a storage does them (N7): those that its database lacks, in order, at the fence and before anything else. What
 * the primary then hears of it, what others copy from it, and what is read comes behind that, in the same round.
 */
import { hexOf } from "../../core/ids.ts";
import type { Conn } from "../../core/ids.ts";
import type { Body, Cut } from "../../core/messages.ts";
import type { Progress } from "./progress.ts";
import type { Scrubber } from "./scrubber.ts";
import type { Site } from "./site.ts";
import type { Transactions } from "./transactions.ts";

/** What knows tids that may be no more. */
interface Known {
  readonly transactions: Transactions;
  readonly progress: Progress;
  readonly scrubber: Scrubber;
}

/** Does truncations. */
export class Cuts {
  #site: Site;
  #done: number;
  #known: Known;
  #told: { readonly conn: Conn; readonly epoch: number; readonly cuts: readonly Cut[] } | undefined;

  /** @param done number of the last one that was done */
  constructor(site: Site, done: number, known: Known) {
    this.#site = site;
    this.#done = done;
    this.#known = known;
  }

  /** A primary that is going to fence us says which there were. */
  told(conn: Conn, { epoch, cuts }: Body<"truncated">): void {
    this.#told = { conn, epoch, cuts };
  }

  /** It has fenced us. */
  fenced(conn: Conn, epoch: number): void {
    const told = this.#told;
    this.#told = undefined;
    if (told?.conn !== conn || told.epoch !== epoch) return;
    const lacking = told.cuts.filter(({ number }) => number > this.#done).sort((a, b) => a.number - b.number);
    for (const cut of lacking) this.#do(cut);
  }

  #do({ number, tid: upTo }: Cut): void {
    this.#site.log("recovery", "warning", "Truncating: what is behind this tid is deleted", {
      number,
      tid: hexOf(upTo),
    });
    const { transactions, progress, scrubber } = this.#known;
    transactions.drop(({ tid }) => tid !== undefined && tid > upTo);
    progress.truncate(upTo);
    scrubber.truncate(upTo);
    this.#site.save({ op: "truncate", number, tid: upTo }, { durable: true });
    this.#done = number;
  }
}
