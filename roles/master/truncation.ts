/**
 * Truncation: an operator has everything behind a tid deleted, everywhere (N7).
 *
 * The decision is an entry of the log, numbered, and operation ends with it: a recovery begins behind it, so that no tid is
 * given in between. At its fence each storage does what it lacks, before anything else, also one that comes back after
 * years. The tids of what is gone are given to nobody else.
 */
import { hexOf } from "../../core/ids.ts";
import { answer } from "../../core/machine.ts";
import type { AskMessage } from "../../core/messages.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Packing } from "./packing.ts";
import type { Asker, Site } from "./site.ts";

/** Serves the operator's question. */
export class Truncation {
  #site: Site;
  #isImporting: () => boolean;
  #packing: Pick<Packing, "bound">;
  #recover: () => void;

  constructor(parts: {
    site: Site;
    isImporting: () => boolean;
    packing: Pick<Packing, "bound">;
    /** Operation ends, and a recovery begins. */
    recover: () => void;
  }) {
    this.#site = parts.site;
    this.#isImporting = parts.isImporting;
    this.#packing = parts.packing;
    this.#recover = parts.recover;
  }

  /** Decides; false: it is asked for something else. */
  ask(asker: Asker, message: AskMessage): boolean {
    if (message.name !== "truncate") return false;
    const { phase, lastTid, tidMark, metadata } = this.#site;
    const { tid } = message.body;
    const { bound: packBound } = this.#packing;
    const why = phase !== "running"
      ? `the cluster is ${phase}; wait until it runs`
      : this.#isImporting()
      ? "an import is under way; wait until it ends"
      : tid < packBound
      ? `history is packed up to ${hexOf(packBound)}, and what was before can't be had back`
      : tid >= lastTid
      ? `nothing is behind that: the last tid is ${hexOf(lastTid)}, of ${
        new Date(dateOfTid(lastTid)).toISOString()
      }`
      : undefined;
    if (why !== undefined) {
      const text = `Cannot truncate to tid ${hexOf(tid)}: ${why}`;
      this.#site.refuse(asker, { code: "denied", message: text });
      return true;
    }
    const number = metadata.truncations + 1;
    this.#site.log("recovery", "warning", "Truncating: what is behind this tid is deleted everywhere", {
      number,
      tid: hexOf(tid),
      lastTid: hexOf(lastTid),
    });
    this.#site.propose({ type: "truncated", number, tid, last: tidMark }, () => {
      this.#site.emit(answer(asker, "truncate", { number, lastTid }));
    });
    this.#recover();
    return true;
  }
}
