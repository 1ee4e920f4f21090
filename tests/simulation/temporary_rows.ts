/** Which transactions a storage's disk holds something of that isn't final, by what is written to it. */
import type { Oid, Ttid } from "../../core/ids.ts";
import type { DatabaseWrite } from "../../core/ports.ts";

/** Rows of one transaction: objects and parts, or a vote. */
interface Rows {
  readonly objects: Set<Oid>;
  isVoted: boolean;
}

/** Follows the writes of a process. A metadata store has none of these. */
export class TemporaryRows {
  readonly #all = new Map<Ttid, Rows>();

  /** Transactions that have rows. */
  get size(): number {
    return this.#all.size;
  }

  /** A process finds what was voted before. */
  open(state: unknown): void {
    this.#all.clear();
    const { held = [] } = state as { readonly held?: readonly { readonly ttid: Ttid }[] };
    for (const { ttid } of held) this.#all.set(ttid, { objects: new Set(), isVoted: true });
  }

  apply(writes: readonly unknown[]): void {
    for (const write of writes as readonly DatabaseWrite[]) this.#apply(write);
  }

  #apply(write: DatabaseWrite): void {
    switch (write.op) {
      case "part":
      case "store":
        this.#rows(write.ttid).objects.add(write.oid);
        return;
      case "vote":
        this.#rows(write.ttid).isVoted = true;
        return;
      case "unvote":
        this.#rows(write.ttid).isVoted = false;
        return this.#dropIfEmpty(write.ttid);
      case "unstore":
        this.#all.get(write.ttid)?.objects.delete(write.oid);
        return this.#dropIfEmpty(write.ttid);
      case "unlock":
      case "abort":
        this.#all.delete(write.ttid);
        return;
    }
  }

  #rows(ttid: Ttid): Rows {
    const known = this.#all.get(ttid);
    if (known !== undefined) return known;
    const rows: Rows = { objects: new Set(), isVoted: false };
    this.#all.set(ttid, rows);
    return rows;
  }

  #dropIfEmpty(ttid: Ttid): void {
    const rows = this.#all.get(ttid);
    if (rows?.objects.size === 0 && !rows.isVoted) this.#all.delete(ttid);
  }
}
