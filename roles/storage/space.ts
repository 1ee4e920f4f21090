/** How much the disk still takes: below `storage.reserveBytes` first stores are refused, and the primary is told. */
import type { Conn } from "../../core/ids.ts";
import { tell } from "../../core/machine.ts";
import type { Site } from "./site.ts";

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
      low ? "error" : "info",
      low ? "Disk space is short: stores are refused" : "Disk space is enough again",
      { freeBytes },
    );
    this.tell(primary);
  }

  /** Tells a primary how it is. */
  tell(primary: Conn | undefined): void {
    if (primary === undefined) return;
    const { low, freeBytes } = this.#site;
    this.#site.emit(tell(primary, "space", { low, freeBytes }));
  }
}
