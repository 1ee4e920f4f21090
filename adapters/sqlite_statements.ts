/** Statements of one SQLite connection: each text is prepared once, and values are bound, never part of a text. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { SQLITE_STATEMENT_ROWS_MAX, SQLITE_VARIABLES_MAX } from "../core/limits.ts";

/** What a parameter may be. Texts of users go as bytes: some runtimes cut a text at its first zero character. */
export type Parameter = bigint | number | string | Uint8Array | null;

/** Empty bytes that have an address: Node 22 takes others for null. */
const EMPTY = new Uint8Array(1).subarray(0, 0);

function bound(value: Parameter): Parameter {
  return value instanceof Uint8Array && value.length === 0 ? EMPTY : value;
}

/** Runs statements. What a query gives is typed by its caller, who wrote the names of its columns. */
export class Statements {
  /** Rows that were changed so far; one may have been changed to what it was. */
  changes = 0;
  /** Rows that were added so far: each has changed a page for certain. */
  added = 0;
  readonly #connection: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  readonly #insertions = new Map<string, string>();

  constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }

  /** The statement of a text, ready to run. */
  prepared(sql: string): StatementSync {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.#connection.prepare(sql);
    statement.setReadBigInts(true);
    this.#prepared.set(sql, statement);
    return statement;
  }

  /** Inserts, updates or deletes rows. */
  run(sql: string, ...values: Parameter[]): void {
    this.changes += Number(this.prepared(sql).run(...values.map(bound)).changes);
  }

  /** Inserts rows, many with one statement; `instead`: in place of those that have their keys. */
  insertAll(
    table: string,
    columns: readonly string[],
    rows: readonly (readonly Parameter[])[],
    instead: boolean = false,
  ): void {
    this.added += rows.length;
    let size = SQLITE_STATEMENT_ROWS_MAX;
    for (let done = 0; done < rows.length; done += size) {
      while (size > rows.length - done || size * columns.length > SQLITE_VARIABLES_MAX) size /= 2;
      this.run(
        this.#insertion(instead ? `REPLACE INTO ${table}` : `INSERT INTO ${table}`, columns, size),
        ...rows.slice(done, done + size).flat(),
      );
    }
  }

  #insertion(into: string, columns: readonly string[], rows: number): string {
    const key = `${into} ${rows}`;
    const known = this.#insertions.get(key);
    if (known !== undefined) return known;
    const row = `(${columns.map(() => "?").join(", ")})`;
    const values = new Array(rows).fill(row).join(", ");
    const sql = `${into} (${columns.join(", ")}) VALUES ${values}`;
    this.#insertions.set(key, sql);
    return sql;
  }
}
