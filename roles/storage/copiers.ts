/**
 * Storages that copy from us. Who does has been fenced in the same epoch as we have: what one of us has truncated, the
 * other has too. A new fence ends them all.
 */
import type { Conn } from "../../core/ids.ts";
import type { Hello, WireError } from "../../core/messages.ts";
import type { Site } from "./site.ts";

/** Connections of other storages. */
export class Copiers {
  #site: Site;
  #conns = new Set<Conn>();

  constructor(site: Site) {
    this.#site = site;
  }

  has(conn: Conn): boolean {
    return this.#conns.has(conn);
  }

  /** A storage has come. */
  identified(conn: Conn, { name, epoch }: Hello): void {
    if (epoch === this.#site.epoch) {
      this.#conns.add(conn);
      return this.#site.emit({ do: "accept", conn });
    }
    const message = `Cannot let ${name} copy: it is in epoch ${epoch}, this storage in ${this.#site.epoch}`;
    this.#site.emit({ do: "reject", conn, error: { code: "staleEpoch", message } });
  }

  disconnected(conn: Conn): void {
    this.#conns.delete(conn);
  }

  /** Operation ends here. */
  end(): void {
    const error: WireError = {
      code: "lost",
      message: "Cannot go on with this copy: this storage was fenced anew",
    };
    for (const conn of this.#conns) this.#site.emit({ do: "reject", conn, error });
    this.#conns.clear();
  }
}
