/**
 * Who needs a row of `data`. It belongs to one row, or to several of one object that share it through links: of final ones
 * the database is asked, those of transactions that aren't final are counted here.
 */
import type { Oid } from "../core/ids.ts";
import { Column } from "./postgres_store.ts";
import type { Statements, Value } from "./postgres_store.ts";

/** Data of an object. */
export interface DataKey {
  readonly oid: Oid;
  readonly id: bigint;
}

const DELETE_DATA = `DELETE FROM data d USING unnest($1::int8[], $2::int8[]) AS gone (oid, id)
  WHERE d.id = gone.id AND NOT EXISTS (SELECT 1 FROM obj o WHERE o.oid = gone.oid AND o.data_id = gone.id)`;
const DELETE_PARTS = `DELETE FROM part p USING unnest($1::int8[]) AS gone (id)
  WHERE p.data_id = gone.id AND NOT EXISTS (SELECT 1 FROM data d WHERE d.id = gone.id)`;

/** Ids of data, and which of them transactions that aren't final share. Used within a round. */
export class DataIds {
  #nextId: bigint;
  #shared = new Map<bigint, number>();

  constructor(nextId: bigint) {
    this.#nextId = nextId;
  }

  /** An id that no data has. */
  newId(): bigint {
    return this.#nextId++;
  }

  /** A row of a transaction that isn't final shares the data of a final one. */
  share(id: bigint): void {
    this.#shared.set(id, (this.#shared.get(id) ?? 0) + 1);
  }

  /** It doesn't any more: it is final, or gone. */
  unshare(id: bigint): void {
    const left = this.#shared.get(id)! - 1;
    if (left > 0) this.#shared.set(id, left);
    else this.#shared.delete(id);
  }

  /** Rows that had the data are gone: what nobody else needs goes, with its parts. */
  release(statements: Statements, keys: readonly DataKey[]): void {
    const gone = keys.filter(({ id }) => !this.#shared.has(id));
    if (gone.length === 0) return;
    const ids = new Column("int8", gone.map(({ id }) => id));
    statements.run(DELETE_DATA, new Column("int8", gone.map(({ oid }) => oid)), ids);
    statements.run(DELETE_PARTS, ids);
  }

  /** Deletes final rows of one condition on `obj`, and the data that nobody else needs. */
  async deleteRevisions(statements: Statements, condition: string, ...values: Value[]): Promise<void> {
    const rows = await statements.all<{ oid: Oid; data_id: bigint | null }>(
      `DELETE FROM obj WHERE ${condition} RETURNING oid, data_id`,
      ...values,
    );
    this.release(
      statements,
      rows.flatMap(({ oid, data_id }) => (data_id === null ? [] : [{ oid, id: data_id }])),
    );
  }
}
