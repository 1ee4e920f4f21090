/**
 * One SQLite file that this process owns: opened exclusively, written in transactions that are flushed or lazy. The
 * log of SQLite (WAL) is one file: flushing it for one transaction flushes all that were committed before.
 */
import { closeSync, openSync, rmSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { invariant } from "../core/errors.ts";
import {
  LAZY_FLUSH_MS,
  SQLITE_CACHE_BYTES,
  SQLITE_CHECKPOINT_PAGES,
  SQLITE_LOG_BYTES_MAX,
} from "../core/limits.ts";
import { failureOf, openFailureOf } from "./sqlite_errors.ts";
import { type Parameter, Statements } from "./sqlite_statements.ts";
import { StoreOpenError } from "./store_errors.ts";
import type { Later } from "./system.ts";

/** What a file is made of. */
export interface FileKind {
  /** SQLite's `application_id`: tells a storage's file from a master's, and both from anything else. */
  readonly applicationId: number;
  /** Statements that make its tables; `meta` is made for every kind. */
  readonly tables: readonly string[];
  readonly schemaVersion: number;
  /** Brings a file of an older version one version further; the key is the version before. */
  readonly upgrades: { readonly [version: number]: (file: SqliteFile) => void };
}

/** Settings of an open file. */
export interface FileOptions {
  /**
   * Runs `task` after `ms`, once: how lazy rounds reach the disk when no durable round follows. What `task` throws is a
   * failed save. Without it, lazy rounds wait for the next durable one or the end.
   */
  readonly later?: Later;
  /** In place of `SQLITE_CACHE_BYTES`. */
  readonly cacheBytes?: number;
}

/** How a file of ours is used; a foreign one isn't touched. */
const SETTINGS = [
  "journal_mode = WAL",
  "synchronous = FULL",
  "fullfsync = ON",
  "temp_store = MEMORY",
  "trusted_schema = OFF",
  `wal_autocheckpoint = ${SQLITE_CHECKPOINT_PAGES}`,
  `journal_size_limit = ${SQLITE_LOG_BYTES_MAX}`,
];

/** Changes a row for certain: SQLite writes, and so flushes, no page that stays the same. */
const TOUCH = "UPDATE meta SET value = value + 1 WHERE name = 'flushes'";
const META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT";

/** The file and its one connection. */
export class SqliteFile {
  readonly path: string;
  readonly #connection: DatabaseSync;
  readonly #statements: Statements;
  readonly #later: FileOptions["later"];
  readonly #cacheBytes: number;
  #synchronous: "FULL" | "NORMAL" = "FULL";
  #unflushed = false;
  #cancelFlush: (() => void) | undefined;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;

  private constructor(path: string, options: FileOptions) {
    this.path = path;
    this.#later = options.later;
    this.#cacheBytes = options.cacheBytes ?? SQLITE_CACHE_BYTES;
    this.#connection = new DatabaseSync(path);
    this.#statements = new Statements(this.#connection);
  }

  /**
   * Makes a file with its tables; `fill` writes the first rows. All of it is on disk when this returns.
   *
   * @throws StoreOpenError when something stands at `path`, or the system refuses
   */
  static create(path: string, kind: FileKind, fill: (file: SqliteFile) => void): void {
    reserve(path);
    try {
      const file = new SqliteFile(path, {});
      try {
        file.#set("locking_mode = EXCLUSIVE", `application_id = ${kind.applicationId}`, ...SETTINGS);
        file.apply(() => {
          for (const statement of [META, ...kind.tables]) file.#connection.exec(statement);
          file.setMeta("schema", kind.schemaVersion);
          file.setMeta("flushes", 0);
          fill(file);
        }, true);
      } finally {
        file.close();
      }
    } catch (error) {
      for (const suffix of ["", "-wal", "-journal"]) rmSync(path + suffix, { force: true });
      throw new StoreOpenError("create", path, "unreadable", { cause: error });
    }
  }

  /**
   * Opens a file and keeps every other process out until `close()`.
   *
   * @throws StoreOpenError with the reason
   */
  static open(path: string, kind: FileKind, options: FileOptions): SqliteFile {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) {
      throw new StoreOpenError("open", path, "missing");
    }
    try {
      const file = new SqliteFile(path, options);
      file.orClose(() => file.#begin(kind));
      return file;
    } catch (error) {
      throw openFailureOf(path, error);
    }
  }

  /** Does what begins the use of the file, and lets go of it when that fails. */
  orClose<T>(begin: () => T): T {
    try {
      return begin();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Runs a statement that changes rows; within `apply` only. */
  run(sql: string, ...values: Parameter[]): void {
    this.#statements.run(sql, ...values);
  }

  /** Inserts rows, many with one statement; within `apply` only. */
  insertAll(table: string, columns: readonly string[], rows: readonly (readonly Parameter[])[]): void {
    this.#statements.insertAll(table, columns, rows);
  }

  /** Inserts rows in place of those that have their keys; within `apply` only. */
  replaceAll(table: string, columns: readonly string[], rows: readonly (readonly Parameter[])[]): void {
    this.#statements.insertAll(table, columns, rows, true);
  }

  /** The first row that a statement gives, by the names of its columns; whole numbers are bigint. */
  get<R>(sql: string, ...values: Parameter[]): R | undefined {
    this.#check();
    return this.#reading(() => this.#statements.prepared(sql).get(...values)) as R | undefined;
  }

  /** All rows of a statement. */
  all<R>(sql: string, ...values: Parameter[]): R[] {
    this.#check();
    return this.#reading(() => this.#statements.prepared(sql).all(...values)) as R[];
  }

  /** Hands the rows of a statement to `take`, one by one. */
  each<R>(sql: string, values: readonly Parameter[], take: (row: R) => void): void {
    this.eachWhile<R>(sql, values, (row) => (take(row), true));
  }

  /** Hands rows to `take` until it says false. */
  eachWhile<R>(sql: string, values: readonly Parameter[], take: (row: R) => boolean): void {
    this.#check();
    this.#reading(() => {
      for (const row of this.#statements.prepared(sql).iterate(...values)) {
        if (!take(row as R)) break;
      }
    });
  }

  /** A named value of the file, null if it has none. Whole numbers are bigint. */
  meta(name: string): unknown {
    return this.get<{ value: unknown }>("SELECT value FROM meta WHERE name = ?", name)?.value ?? null;
  }

  setMeta(name: string, value: Parameter): void {
    this.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", name, value);
  }

  /**
   * Does all that `change` runs in one transaction, or none of it. With `durable` it and all before it are on disk when
   * this returns.
   *
   * @throws StoreFailedError, or what `change` threw; then and from then on
   */
  apply(change: () => void, durable: boolean): void {
    this.#check();
    const { changes, added } = this.#statements;
    try {
      this.#setSynchronous(durable ? "FULL" : "NORMAL");
      this.#statements.prepared("BEGIN").run();
      change();
      // SQLite flushes when it writes a page. If this round may write none, earlier lazy ones need one.
      if (durable && this.#unflushed && this.#statements.added === added) this.run(TOUCH);
      this.#statements.prepared("COMMIT").run();
    } catch (error) {
      const failure = failureOf("write", this.path, error);
      this.#failure = { error: failure };
      this.#cancelFlush?.();
      throw failure;
    }
    if (durable) this.#unflushed = false;
    else if (this.#statements.changes > changes) this.#flushLater();
  }

  /** Bytes that the file's disk can still take. */
  freeBytes(): number {
    this.#check();
    const { bavail, bsize } = statfsSync(dirname(this.path));
    return bavail * bsize;
  }

  /** Bytes of the file, and of its pages that are free for what is written next. */
  pages(): { readonly fileBytes: number; readonly reusableBytes: number } {
    const [size, count, free] = ["page_size", "page_count", "freelist_count"].map((name) =>
      Number(this.#pragma(name))
    );
    return { fileBytes: count! * size!, reusableBytes: free! * size! };
  }

  /** Flushes what is lazy and lets others open the file. After a failure nothing is flushed, and this doesn't throw. */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#unflushed && this.#failure === undefined) this.apply(() => {}, true);
    } finally {
      this.#closed = true;
      this.#cancelFlush?.();
      this.#connection.close();
    }
  }

  #begin(kind: FileKind): void {
    // Before anything is read: a connection that has read a log as one of many stays one of many.
    this.#set("locking_mode = EXCLUSIVE");
    if (this.#pragma("application_id") !== BigInt(kind.applicationId)) {
      throw new StoreOpenError("open", this.path, "foreign");
    }
    this.#set(...SETTINGS, `cache_size = -${Math.ceil(this.#cacheBytes / 1_024)}`);
    this.#upgrade(kind);
    // A log that a failed flush left behind isn't trusted any further: its pages go to the main file now.
    this.#pragma("wal_checkpoint(TRUNCATE)");
    this.apply(() => this.run(TOUCH), true); // shows at once that the disk takes writes
  }

  #set(...settings: string[]): void {
    for (const setting of settings) this.#connection.prepare(`PRAGMA ${setting}`).get();
  }

  #pragma(name: string): unknown {
    return this.#statements.prepared(`PRAGMA ${name}`).get()?.[name];
  }

  #upgrade(kind: FileKind): void {
    let version = Number(this.meta("schema"));
    while (version < kind.schemaVersion) {
      const step = kind.upgrades[version];
      if (step === undefined) throw new StoreOpenError("open", this.path, "older");
      const next = version + 1;
      this.apply(() => {
        step(this);
        this.setMeta("schema", next);
      }, true);
      version = next;
    }
    if (version > kind.schemaVersion) throw new StoreOpenError("open", this.path, "newer");
  }

  /** Pragmas work while they are prepared: a statement that is used again would do nothing. */
  #setSynchronous(level: "FULL" | "NORMAL"): void {
    if (this.#synchronous === level) return;
    this.#connection.exec(`PRAGMA synchronous = ${level}`);
    this.#synchronous = level;
  }

  #flushLater(): void {
    this.#unflushed = true;
    this.#cancelFlush ??= this.#later?.(LAZY_FLUSH_MS, () => {
      this.#cancelFlush = undefined;
      if (this.#unflushed) this.apply(() => {}, true);
    });
  }

  #reading<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw failureOf("read", this.path, error);
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    invariant(!this.#closed, "a store isn't used after its end");
  }
}

/** Takes the name, so that of two that make the same file one is refused. */
function reserve(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === "EEXIST";
    throw new StoreOpenError("create", path, exists ? "exists" : "unreadable", { cause: error });
  }
}
