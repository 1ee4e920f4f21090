/** How much the disk still takes: below `storage.reserveBytes` first stores are refused, and the primary is told. */
import type { Conn } from "../../core/ids.ts";
import { GROWTH_DAYS } from "../../core/limits.ts";
import { answer, tell } from "../../core/machine.ts";
import type { Now } from "../../core/machine.ts";
import type { DatabaseAnswers } from "../../core/ports.ts";
import type { Asker, Site } from "./site.ts";

const DAY_MS = 24 * 3_600_000;

/** Watches the room that is left. */
export class Space {
  #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  /** So much is left now. */
  is(freeBytes: number, primary: Conn | undefined): void {
    this.#site.freeBytes = freeBytes;
    const low = freeBytes < this.#site.settings.number("storage.reserveBytes");
    if (low === this.#site.low) return;
    this.#site.low = low;
    this.#site.log(
      "storage",
      low ? "error" : "info",
      low ? "Disk space is short: stores are refused" : "Disk space is enough again",
      { freeBytes },
    );
    this.tell(primary);
  }

  /** Answers how large everything is. */
  answer(
    asker: Asker,
    { bytes, live, days, fileBytes, reusableBytes }: DatabaseAnswers["size"],
    now: Now,
  ): void {
    const today = Math.floor(now.wallMs / DAY_MS);
    const first = days.find(({ day }) => day < today && day >= today - GROWTH_DAYS);
    const before = first === undefined ? null : { bytes: first.bytes, days: today - first.day };
    const freeBytes = Number.isFinite(this.#site.freeBytes) ? this.#site.freeBytes : null;
    const size = { bytes, live, before, fileBytes, reusableBytes, freeBytes };
    this.#site.emit(answer(asker, "askSize", { size }));
  }

  /** Tells a primary how it is. */
  tell(primary: Conn | undefined): void {
    if (primary === undefined) return;
    const { low, freeBytes } = this.#site;
    this.#site.emit(tell(primary, "space", { low, freeBytes }));
  }
}
