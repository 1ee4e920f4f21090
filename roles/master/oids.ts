/** Oids for clients: granted below a mark that is held, so that none is granted twice. */
import { ID_MAX } from "../../core/ids.ts";
import type { Conn, Oid } from "../../core/ids.ts";
import { OID_BLOCK } from "../../core/limits.ts";
import { answer } from "../../core/machine.ts";
import type { Asker, Site } from "./site.ts";

/** Who waits for oids. */
export class OidGrants {
  #site: Site;
  #waiting: { readonly asker: Asker; readonly count: number }[] = [];

  constructor(site: Site) {
    this.#site = site;
  }

  /** A client wants that many; it gets a block's worth at most. */
  want(asker: Asker, count: number): void {
    this.#waiting.push({ asker, count: Math.min(Math.max(count, 1), OID_BLOCK) });
    this.#grant();
  }

  /** A client is gone. */
  disconnected(conn: Conn): void {
    this.#waiting = this.#waiting.filter(({ asker }) => asker.conn !== conn);
  }

  /** Operation ends. */
  clear(): void {
    this.#waiting = [];
  }

  #grant(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const { asker, count } = first;
      const end = this.#site.nextOid + BigInt(count) - 1n;
      if (end > ID_MAX) {
        this.#waiting.shift();
        this.#site.refuse(asker, { code: "tooLarge", message: `Cannot grant ${count} oids: none are left` });
        continue;
      }
      if (end > this.#site.metadata.oidMark) {
        const oid = this.#site.oidMarkFor(end);
        return this.#site.propose({ type: "oidMark", oid }, () => this.#grant());
      }
      this.#waiting.shift();
      this.#site.emit(answer(asker, "newOids", { first: this.#site.nextOid, count }));
      this.#site.nextOid = (end + 1n) as Oid;
    }
  }
}
