/**
 * Who needs a row of `data`. Nearly all belong to one row, and go with it; those that several rows share, through links,
 * are counted in `shared`. A row is final (`obj`) or of a transaction that isn't (`tobj`).
 */
import { invariant } from "../core/errors.ts";
import type { SqliteFile } from "./sqlite_file.ts";
import { DATA_SHARE } from "./sqlite_schema.ts";

/** Ids of data, and how many rows have them. Used within `SqliteFile.apply`. */
export class DataRows {
  readonly #file: SqliteFile;
  #nextId: bigint;

  constructor(file: SqliteFile) {
    this.#file = file;
    file.run("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)");
    const last = file.get<{ id: bigint | null }>("SELECT max(id) AS id FROM data");
    this.#nextId = (last?.id ?? 0n) + 1n;
  }

  /** An id that no data has. */
  newId(): bigint {
    return this.#nextId++;
  }

  /** One row more has the data. */
  share(id: bigint): void {
    this.#file.run(DATA_SHARE, id);
  }

  /** So many rows less have the data; without any it goes, and its parts with it. */
  release(id: bigint, rows: bigint = 1n): void {
    const shared = this.#file.get<{ rows: bigint }>("SELECT rows FROM shared WHERE data_id = ?", id);
    const left = (shared?.rows ?? 1n) - rows;
    invariant(left >= 0n, "data has as many rows as were counted");
    if (shared !== undefined && left < 2n) this.#file.run("DELETE FROM shared WHERE data_id = ?", id);
    if (left >= 2n) this.#file.run("UPDATE shared SET rows = ? WHERE data_id = ?", left, id);
    if (left === 0n) this.#file.run("DELETE FROM data WHERE id = ?", id);
  }

  /** Deletes final rows of one condition on `obj`, and the data that nobody else has. */
  deleteRevisions(condition: string, ...values: (bigint | number)[]): void {
    const shared = this.#file.all<{ data_id: bigint; rows: bigint }>(
      `SELECT data_id, count(*) AS rows FROM obj WHERE ${condition} AND data_id IN (SELECT data_id FROM shared)
        GROUP BY data_id`,
      ...values,
    );
    // rows go before their data, whose length counts when they go
    this.#file.run(
      `INSERT INTO temp.gone SELECT data_id FROM obj
        WHERE ${condition} AND data_id IS NOT NULL AND data_id NOT IN (SELECT data_id FROM shared)`,
      ...values,
    );
    this.#file.run(`DELETE FROM obj WHERE ${condition}`, ...values);
    this.#file.run("DELETE FROM data WHERE id IN (SELECT id FROM temp.gone)");
    this.#file.run("DELETE FROM temp.gone");
    for (const { data_id, rows } of shared) this.release(data_id, rows);
  }
}
