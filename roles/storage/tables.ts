/**
 * The partition table as a storage takes it: whole at a fence, by differences afterwards, each saved before it is served.
 *
 * With a table go: the resume points of cells that are out of date by it (`progress.ts`), the unlocked writes of cells that
 * were created anew, outdated or discarded (void), and what a cell took without a lock before it became readable (it
 * keeps newcomers waiting; the primary is told `settled` when none of it is left).
 */
import { sameBytes } from "../../core/bytes.ts";
import type { Conn, Partition } from "../../core/ids.ts";
import { REQUEST_TIMEOUT_MS } from "../../core/limits.ts";
import { ask, tell } from "../../core/machine.ts";
import type { Body, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { PartitionTable, ReadonlyTable } from "../../core/partition_table.ts";
import type { Progress } from "./progress.ts";
import type { Site } from "./site.ts";
import type { Transactions } from "./transactions.ts";

/** The newest table, and what follows from it. */
export class Tables {
  #site: Site;
  #progress: Progress;
  #transactions: Transactions;
  #taken: () => void;
  #unsettled = new Map<Partition, number>(); // since, of cells that became readable with lockless writes left

  constructor(parts: {
    site: Site;
    progress: Progress;
    transactions: Transactions;
    /** A newer table is there: what waited for it may go on. */
    taken: () => void;
  }) {
    this.#site = parts.site;
    this.#progress = parts.progress;
    this.#transactions = parts.transactions;
    this.#taken = parts.taken;
  }

  /** Why a primary with this epoch and table isn't obeyed. */
  refusal(epoch: number, table: PartitionTable): WireError | undefined {
    const own = this.#site.table;
    if (epoch < this.#site.epoch) {
      const message = `Cannot obey epoch ${epoch}: this storage has seen epoch ${this.#site.epoch}`;
      return { code: "staleEpoch", message };
    }
    if (own && isOlder(table, own)) {
      const versions =
        `${table.generation}.${table.version}, this storage has ${own.generation}.${own.version}`;
      return { code: "staleTable", message: `Cannot obey this primary: it has table ${versions}` };
    }
    if (own && isSameVersion(table, own) && !sameBytes(this.#digestOf(table), this.#digestOf(own))) {
      const version = `${own.generation}.${own.version}`;
      const message = `Cannot obey this primary: its table ${version} isn't the one seen here`;
      return { code: "staleTable", message };
    }
    return undefined;
  }

  /** Takes a difference; one that doesn't fit makes us ask for the whole table. */
  change(body: Body<"tableChange">, primary: Conn): void {
    const table = this.#site.table;
    const askWhole = (): void =>
      this.#site.emit(
        ask(primary, "askTable", {}, { context: { of: "table" }, withinMs: REQUEST_TIMEOUT_MS }),
      );
    if (!table || table.generation !== body.generation || table.version !== body.base) return askWhole();
    const next = table.changed(body.version, body.cells);
    if (!sameBytes(this.#digestOf(next), body.digest)) return askWhole();
    this.take(next);
  }

  /** Takes a newer table. */
  take(table: PartitionTable): void {
    const old = this.#site.table;
    if (old && isSameVersion(old, table)) return;
    const { index } = this.#site;
    this.#site.table = table;
    this.#site.save({ op: "image", image: table.toImage() }, { durable: true });
    this.#progress.take(old, table, index);
    for (const { partition, cell } of old?.cellsOf(index) ?? []) {
      const now = this.#site.cell(partition);
      if (now?.since !== cell.since) {
        this.#unsettled.delete(partition);
        this.#transactions.forget(partition);
      } else if (isReadable(now) && !isReadable(cell)) {
        this.#transactions.opened(partition);
        this.#unsettled.set(partition, now.since);
      }
    }
    this.#taken();
  }

  /** Tells the primary which cells have no write left that was taken without a lock. */
  settle(primary: Conn | undefined): void {
    for (const [partition, since] of this.#unsettled) {
      if (primary === undefined || this.#transactions.hasLockless(partition)) continue;
      this.#unsettled.delete(partition);
      this.#site.emit(tell(primary, "settled", { epoch: this.#site.epoch, partition, since }));
    }
  }

  #digestOf(table: PartitionTable): Uint8Array {
    return table.digest(this.#site.digest);
  }
}

function isSameVersion(a: ReadonlyTable, b: ReadonlyTable): boolean {
  return a.generation === b.generation && a.version === b.version;
}

function isOlder(a: ReadonlyTable, b: ReadonlyTable): boolean {
  return a.generation < b.generation || (a.generation === b.generation && a.version < b.version);
}
