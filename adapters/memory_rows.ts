/** The final rows of a storage's database as plain values: lists that are replaced and never changed. */
import type { Oid, Partition, Tid, Ttid } from "../core/ids.ts";
import { MAX_TID, partitionOf, ZERO_TID } from "../core/ids.ts";
import type { TransactionInfo } from "../core/messages.ts";
import type { RevisionKey, RowPlace, StoredData, StoredRevision } from "../core/ports.ts";

/** The parts of a value; none for one that is kept as a whole. */
export interface InParts {
  readonly parts: readonly StoredData[];
}
/** A final revision of an object. */
export type Revision = Omit<StoredRevision, "next"> & InParts;
/** A row of a partition: of one tid the transaction comes first, then its revisions by oid. */
export type Row =
  | { readonly tid: Tid; readonly oid: null; readonly info: TransactionInfo }
  | { readonly tid: Tid; readonly oid: Oid; readonly revision: Revision };

/** Final rows. One under a tid that is there already replaces it. */
export class FinalRows {
  readonly #partitions: number;
  /** Revisions of each object, by tid. */
  #objects = new Map<Oid, readonly Revision[]>();
  /** Transactions of each home partition, by tid. */
  #transactions = new Map<Partition, readonly TransactionInfo[]>();

  constructor(partitions: number) {
    this.#partitions = partitions;
  }

  copy(): FinalRows {
    const copy = new FinalRows(this.#partitions);
    copy.#objects = new Map(this.#objects);
    copy.#transactions = new Map(this.#transactions);
    return copy;
  }

  partitionOf(oid: Oid): Partition {
    return partitionOf(oid, this.#partitions);
  }

  revisions(oid: Oid): readonly Revision[] {
    return this.#objects.get(oid) ?? [];
  }

  revision({ oid, tid }: RevisionKey): Revision | undefined {
    return this.revisions(oid).find((revision) => revision.tid === tid);
  }

  /** Bytes of all revisions, and of the newest of each object. */
  size(): { readonly bytes: number; readonly live: number } {
    const all = [...this.#objects.values()];
    const sum = (some: readonly Revision[]): number => some.reduce((bytes, one) => bytes + bytesOf(one), 0);
    return { bytes: sum(all.flat()), live: sum(all.flatMap((revisions) => revisions.at(-1) ?? [])) };
  }

  transactions(partition: Partition): readonly TransactionInfo[] {
    return this.#transactions.get(partition) ?? [];
  }

  /** The tid of a final transaction. */
  fate(ttid: Ttid): Tid | undefined {
    return [...this.#transactions.values()].flat().find((info) => info.ttid === ttid)?.tid;
  }

  /** Ids that transactions had before they were final. */
  ttids(): Ttid[] {
    return [...this.#transactions.values()].flatMap((all) => all.map(({ ttid }) => ttid));
  }

  /** Home partitions and their newest transactions. */
  lastTids(): { partition: Partition; tid: Tid }[] {
    return [...this.#transactions.keys()].sort((a, b) => a - b).flatMap((partition) => {
      const last = this.transactions(partition).at(-1);
      return last === undefined ? [] : [{ partition, tid: last.tid }];
    });
  }

  oids(): Oid[] {
    return [...this.#objects.keys()];
  }

  /** Revisions in the order of oid and tid, behind one of them. */
  behind({ oid, tid }: RevisionKey, count: number): RevisionKey[] {
    return this.oids()
      .filter((other) => other >= oid)
      .sort((a, b) => (a < b ? -1 : 1))
      .flatMap((other) => this.revisions(other).map((revision) => ({ oid: other, tid: revision.tid })))
      .filter((key) => key.oid > oid || key.tid > tid)
      .slice(0, count);
  }

  /** Partitions that have rows. */
  stocked(): Partition[] {
    const ofObjects = this.oids().map((oid) => this.partitionOf(oid));
    return [...new Set([...this.#transactions.keys(), ...ofObjects])].sort((a, b) => a - b);
  }

  /** The newest tid of each partition's rows. */
  newest(): { partition: Partition; tid: Tid }[] {
    const newest = new Map(this.lastTids().map(({ partition, tid }) => [partition, tid]));
    for (const oid of this.oids()) {
      const [partition, tid] = [this.partitionOf(oid), this.revisions(oid).at(-1)?.tid ?? ZERO_TID];
      if (tid > (newest.get(partition) ?? ZERO_TID)) newest.set(partition, tid);
    }
    return [...newest].sort(([a], [b]) => a - b).map(([partition, tid]) => ({ partition, tid }));
  }

  /** Rows of a partition in their order, behind a place; with a bound as a pack leaves them. */
  rows(partition: Partition, after: RowPlace, upTo: Tid, bound: Tid = ZERO_TID): Row[] {
    const transactions = this.transactions(partition).map((info): Row => ({
      tid: info.tid,
      oid: null,
      info,
    }));
    const revisions = this.oids()
      .filter((oid) => this.partitionOf(oid) === partition)
      .flatMap((oid) => {
        const all = this.revisions(oid);
        const left = all.filter((_, at) => (all[at + 1]?.tid ?? MAX_TID) > bound);
        return left.map((revision): Row => ({ tid: revision.tid, oid, revision }));
      });
    return [...transactions, ...revisions]
      .filter((row) => row.tid <= upTo && isBehind(row, after))
      .sort((
        a,
        b,
      ) => (a.tid === b.tid ? ((a.oid ?? -1n) < (b.oid ?? -1n) ? -1 : 1) : a.tid < b.tid ? -1 : 1));
  }

  addTransaction(partition: Partition, info: TransactionInfo): void {
    this.#transactions.set(partition, inserted(this.transactions(partition), info));
  }

  addRevision(oid: Oid, revision: Revision): void {
    this.#objects.set(oid, inserted(this.revisions(oid), revision));
  }

  removeTransaction(partition: Partition, tid: Tid): void {
    const left = this.transactions(partition).filter((info) => info.tid !== tid);
    if (left.length > 0) this.#transactions.set(partition, left);
    else this.#transactions.delete(partition);
  }

  removeRevision({ oid, tid }: RevisionKey): void {
    const left = this.revisions(oid).filter((revision) => revision.tid !== tid);
    if (left.length > 0) this.#objects.set(oid, left);
    else this.#objects.delete(oid);
  }

  remove(partition: Partition, rows: readonly Row[]): void {
    for (const row of rows) {
      if (row.oid === null) this.removeTransaction(partition, row.tid);
      else this.removeRevision(row);
    }
  }
}

/** Rows by tid with one more, which mostly is the last. */
function inserted<R extends { readonly tid: Tid }>(rows: readonly R[], row: R): readonly R[] {
  const place = rows.findLastIndex(({ tid }) => tid <= row.tid);
  return rows[place]?.tid === row.tid ? rows.with(place, row) : rows.toSpliced(place + 1, 0, row);
}

function isBehind(row: Row, { tid, oid }: RowPlace): boolean {
  if (row.tid !== tid) return row.tid > tid;
  return oid !== null && row.oid !== null && row.oid > oid;
}

function bytesOf({ stored, parts }: Revision): number {
  return stored === null ? 0 : parts.reduce((bytes, { data }) => bytes + data.length, stored.data.length);
}
