/**
 * A schema of a PostgreSQL server that this process owns: written by one connection, which holds an advisory lock for as
 * long as it lives, and read by others.
 *
 * A round is one transaction, whose statements are sent without waiting for one another. `synchronous_commit` is on for
 * durable rounds and off for lazy ones; a commit that waits flushes all that were committed before it. An error, or the loss of
 * the writing connection, ends the use of the store: whether a commit was done is then known only when it is opened anew.
 * So does a server that answers nothing any more; what it does for us is then ended by another connection, if that gets through.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import postgres from "postgres";
import type { ReservedSql, Sql } from "postgres";
import { invariant } from "../core/errors.ts";
import {
  LAZY_FLUSH_MS,
  POSTGRES_ANSWER_TIMEOUT_MS,
  POSTGRES_CONNECT_TIMEOUT_MS,
  POSTGRES_READERS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
  POSTGRES_UNANSWERED_MAX,
} from "../core/limits.ts";
import { postgresFailure, postgresOpenFailure } from "./postgres_errors.ts";
import {
  POSTGRES_SCHEMA_VERSION,
  POSTGRES_SETTINGS,
  POSTGRES_TABLES,
  POSTGRES_VERSION_2,
} from "./postgres_schema.ts";
import type { PostgresPlace } from "./postgres_uri.ts";
import { StoreFailedError, StoreOpenError } from "./store_errors.ts";
import type { Later } from "./system.ts";

/** Many values of one column, as one parameter. */
export class Column {
  readonly type: number;
  readonly values: readonly unknown[];

  constructor(type: keyof typeof ARRAYS, values: readonly unknown[]) {
    this.type = ARRAYS[type];
    this.values = values;
  }
}

/** What a statement's parameter may be; texts of users go as bytes. */
export type Value = bigint | number | boolean | string | Uint8Array | null | Column;

/** Settings of an open store. */
export interface PostgresOptions {
  /** Runs `task` after `ms`, once: how lazy rounds reach the disk when no durable round follows, and how a server is given up. */
  readonly later?: Later;
  /** The password, if the URI has none: from a file, never from a command line. */
  readonly password?: string;
  /** Connections that only read, in place of `POSTGRES_READERS`. */
  readonly readers?: number;
  /** In place of `POSTGRES_STATEMENT_TIMEOUT_MS`. */
  readonly statementTimeoutMs?: number;
}

type Client = Sql<{ bigint: bigint; bytea: Uint8Array }>;

/** Types of PostgreSQL for columns of many rows: 4 bytes, 8 bytes, flags, bytes. */
const ARRAYS = { int4: 1007, int8: 1016, bool: 1000, bytea: 1001 } as const;

/** Statements on one connection; those of a round don't wait for one another. */
export interface Statements {
  /** Runs a statement whose rows nobody needs. */
  run(sql: string, ...values: Value[]): void;
  /** The rows of a statement; whole numbers of 8 bytes are bigint. */
  all<R>(sql: string, ...values: Value[]): Promise<R[]>;
}

/** The schema and its connections. */
export class PostgresStore {
  readonly place: PostgresPlace;
  readonly #client: Client;
  readonly #readers: Client;
  readonly #later: Later | undefined;
  #writer!: ReservedSql<{ bigint: bigint; bytea: Uint8Array }>;
  #isSynchronous = true;
  #unflushed = false;
  #cancelFlush: (() => void) | undefined;
  #tail: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #interrupt: (error: unknown) => void = () => {};
  #cancelWatch: (() => void) | undefined;
  #hasAnswered = false;
  #writerPid = 0;
  #closing = false;

  private constructor(place: PostgresPlace, options: PostgresOptions) {
    this.place = place;
    this.#later = options.later;
    const lost = (): void => this.#lost("the connection to the server was lost");
    this.#client = clientOf(place, options, { max: 1, onclose: lost }, {});
    const readOnly = { default_transaction_read_only: "on" };
    this.#readers = clientOf(place, options, { max: options.readers ?? POSTGRES_READERS }, readOnly);
  }

  /**
   * Makes the schema with its tables; `meta` are its first named values. All of it is on disk when this is done.
   *
   * @throws StoreOpenError when such a schema is there, or the server refuses
   */
  static async create(
    place: PostgresPlace,
    meta: { readonly [name: string]: Uint8Array },
    options: PostgresOptions = {},
  ): Promise<void> {
    const client = clientOf(place, options, { max: 1 }, {});
    try {
      await client.begin(async (tx) => {
        const [there] = await tx.unsafe("SELECT 1 FROM pg_namespace WHERE nspname = $1", [place.schema]);
        if (there) throw new StoreOpenError("create", place.shown, "exists");
        await tx.unsafe(`CREATE SCHEMA ${place.schema}`);
        for (const statement of [...POSTGRES_TABLES, ...POSTGRES_SETTINGS]) await tx.unsafe(statement);
        const all = { ...meta, schema: numberBytes(POSTGRES_SCHEMA_VERSION), flushes: numberBytes(0) };
        for (const [name, value] of Object.entries(all)) {
          await tx.unsafe("INSERT INTO meta (name, value) VALUES ($1, $2)", [name, value]);
        }
      });
    } catch (error) {
      throw postgresOpenFailure("create", place.shown, error);
    } finally {
      await client.end();
    }
  }

  /** Takes a schema away with all that is in it; throws as `create`. */
  static async drop(place: PostgresPlace, options: PostgresOptions = {}): Promise<void> {
    const client = clientOf(place, options, { max: 1 }, {});
    try {
      await client.unsafe(`DROP SCHEMA IF EXISTS ${place.schema} CASCADE`);
    } catch (error) {
      throw postgresOpenFailure("open", place.shown, error);
    } finally {
      await client.end();
    }
  }

  /** Gives a schema another name; throws as `create`. */
  static async rename(place: PostgresPlace, to: string, options: PostgresOptions = {}): Promise<void> {
    const client = clientOf(place, options, { max: 1 }, {});
    try {
      await client.unsafe(`ALTER SCHEMA ${place.schema} RENAME TO ${to}`);
    } catch (error) {
      throw postgresOpenFailure("open", place.shown, error);
    } finally {
      await client.end();
    }
  }

  /** Whether the server failed or went, so that this store takes no more calls. */
  get lost(): boolean {
    return this.#failure?.error instanceof StoreFailedError;
  }

  /**
   * Opens a schema and keeps every other process out until `close()`.
   *
   * @throws StoreOpenError with the reason
   */
  static async open(place: PostgresPlace, options: PostgresOptions = {}): Promise<PostgresStore> {
    const store = new PostgresStore(place, options);
    try {
      await store.#guarded(() => store.#begin());
      await store.apply(() => {}, true); // shows at once that the server takes writes
      return store;
    } catch (error) {
      await store.close();
      throw postgresOpenFailure("open", place.shown, error);
    }
  }

  /**
   * Does all that `change` runs in one transaction, or none of it. With `durable` it and all before it are on disk when
   * this is done. Rounds are done one after another.
   *
   * @throws StoreFailedError, or what `change` threw; then and from then on
   */
  apply(change: (statements: Statements) => void | Promise<void>, durable: boolean): Promise<void> {
    const done = this.#tail.then(() => this.#apply(change, durable));
    this.#tail = done.catch(() => undefined); // whoever waits for `done` hears of it
    return done;
  }

  /** Reads with one statement. */
  async all<R>(sql: string, ...values: Value[]): Promise<R[]> {
    return await this.#reading(() => query(this.#readers, sql, values)) as R[];
  }

  /** Reads with several statements, all of which see the same state. */
  async look<T>(read: (statements: Pick<Statements, "all">) => Promise<T>): Promise<T> {
    return await this.#reading(() =>
      this.#readers.begin(
        "isolation level repeatable read",
        (tx) =>
          read({
            all: async <R>(sql: string, ...values: Value[]) => await query(tx, sql, values) as unknown as R[],
          }),
      )
    ) as T;
  }

  /** Flushes what is lazy and lets others open the schema. After a failure nothing is flushed, and this doesn't throw. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#cancelFlush?.();
    try {
      if (this.#unflushed && this.#failure === undefined) await this.apply(() => {}, true);
    } finally {
      this.#closing = true;
      this.#writer?.release();
      await Promise.all([this.#client.end({ timeout: 1 }), this.#readers.end({ timeout: 1 })]);
    }
  }

  async #begin(): Promise<void> {
    const { shown, schema } = this.place;
    this.#writer = await this.#client.reserve();
    const locked = await this.#writer.unsafe(
      "SELECT pg_backend_pid() AS pid, pg_try_advisory_lock($1) AS done",
      [lockKey(schema)],
    );
    this.#writerPid = locked[0]?.["pid"];
    const [there] = await this.#writer.unsafe("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]);
    if (!there) throw new StoreOpenError("open", shown, "missing");
    if (!locked[0]?.["done"]) throw new StoreOpenError("open", shown, "inUse");
    const [meta] = await this.#writer.unsafe("SELECT to_regclass($1) IS NOT NULL AS there", [
      `${schema}.meta`,
    ]);
    if (!meta?.["there"]) throw new StoreOpenError("open", shown, "foreign");
    const [found] = await this.#writer.unsafe("SELECT value FROM meta WHERE name = 'schema'");
    const version = Number(new TextDecoder().decode(found?.["value"] ?? new Uint8Array()) || "none");
    if (Number.isNaN(version)) throw new StoreOpenError("open", shown, "foreign");
    if (version > POSTGRES_SCHEMA_VERSION) throw new StoreOpenError("open", shown, "newer");
    if (version < 1) throw new StoreOpenError("open", shown, "older");
    if (version < POSTGRES_SCHEMA_VERSION) await this.#upgrade(version);
  }

  /** All or nothing: the next one who opens it begins again. */
  async #upgrade(from: number): Promise<void> {
    const statements = [
      ...(from < 2 ? POSTGRES_VERSION_2 : []).map((sql) => [sql, []] as const),
      [
        "UPDATE meta SET value = $1 WHERE name = 'schema'",
        [numberBytes(POSTGRES_SCHEMA_VERSION)],
      ] as const,
    ];
    await this.#writer.unsafe("BEGIN");
    for (const [sql, values] of statements) await this.#writer.unsafe(sql, [...values]);
    await this.#writer.unsafe("COMMIT");
  }

  async #apply(change: (statements: Statements) => void | Promise<void>, durable: boolean): Promise<void> {
    this.#check();
    const answered = (): void => void (this.#hasAnswered = true);
    const round = new Round(this.#writer, { check: () => this.#check(), answered });
    try {
      const changes = await this.#guarded(() => this.#send(round, change, durable));
      if (durable) this.#unflushed = false;
      else if (changes > 0) this.#flushLater();
    } catch (error) {
      const failure = postgresFailure("write", this.place.shown, error);
      this.#failure ??= { error: failure };
      this.#cancelFlush?.();
      throw failure;
    }
  }

  /** Gives how many rows the round has changed. */
  async #send(
    round: Round,
    change: (statements: Statements) => void | Promise<void>,
    durable: boolean,
  ): Promise<number> {
    try {
      if (this.#isSynchronous !== durable) {
        round.send(`SET synchronous_commit = ${durable ? "on" : "off"}`, []);
        this.#isSynchronous = durable;
      }
      round.send("BEGIN", []);
      await change(round);
      // A commit of a transaction that has changed nothing flushes nothing.
      if (durable) round.send(TOUCH, []);
      return await round.commit();
    } catch (error) {
      await round.settled();
      throw error;
    }
  }

  /**
   * Uses the writing connection until it is done, the connection is lost or the server is given up: what the client still held
   * back then is never answered. There is one use at a time.
   */
  async #guarded<T>(use: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#interrupt = reject;
    use().then(resolve, reject);
    this.#watch();
    try {
      return await promise;
    } finally {
      this.#interrupt = () => {};
      this.#cancelWatch?.();
    }
  }

  /** Long rounds are no hanging ones: each answer gives the server its time anew, at most twice of it. */
  #watch(): void {
    this.#hasAnswered = false;
    this.#cancelWatch = this.#later?.(POSTGRES_ANSWER_TIMEOUT_MS, () => {
      if (this.#hasAnswered) return this.#watch();
      this.#lost(`the server has answered nothing for ${POSTGRES_ANSWER_TIMEOUT_MS / 1_000} s`);
      // If nobody gets through, the lock stays with the connection that hangs, and whoever opens the store waits for it.
      void query(this.#readers, END_WRITER, [this.#writerPid]).catch(() => undefined);
    });
  }

  #flushLater(): void {
    this.#unflushed = true;
    this.#cancelFlush ??= this.#later?.(LAZY_FLUSH_MS, () => {
      this.#cancelFlush = undefined;
      // a failure is kept, and ends the next use of the store
      if (this.#unflushed && !this.#closing) void this.apply(() => {}, true).catch(() => undefined);
    });
  }

  async #reading(read: () => PromiseLike<unknown>): Promise<unknown> {
    this.#check();
    try {
      return await read();
    } catch (error) {
      const failure = postgresFailure("read", this.place.shown, error);
      if (failure instanceof StoreFailedError) this.#failure ??= { error: failure };
      throw failure;
    }
  }

  /** With the writing connection the lock is gone: another may own the schema by now. */
  #lost(why: string): void {
    if (this.#closing) return;
    const cause = new Error(why);
    const failure = { full: false, errcode: undefined, cause } as const;
    this.#failure ??= { error: new StoreFailedError("write", this.place.shown, failure) };
    this.#cancelFlush?.();
    this.#interrupt(this.#failure.error);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    invariant(!this.#closing, "a store isn't used after its end");
  }
}

/** The statements of one round. */
class Round implements Statements {
  readonly #writer: ReservedSql<{ bigint: bigint; bytea: Uint8Array }>;
  readonly #check: () => void;
  readonly #answered: () => void;
  readonly #sent: Promise<Result>[] = [];

  /** Throws by `check` when the store's use has ended: nothing more is sent then. `answered` hears of each answer. */
  constructor(
    writer: ReservedSql<{ bigint: bigint; bytea: Uint8Array }>,
    { check, answered }: { readonly check: () => void; readonly answered: () => void },
  ) {
    this.#writer = writer;
    this.#check = check;
    this.#answered = answered;
  }

  send(sql: string, values: readonly Value[]): void {
    this.#check();
    const sent = query(this.#writer, sql, values).execute() as unknown as Promise<Result>;
    sent.then(this.#answered, () => undefined); // `commit` hears of a failure, which may be later
    this.#sent.push(sent);
  }

  run(sql: string, ...values: Value[]): void {
    this.send(sql, values);
  }

  async all<R>(sql: string, ...values: Value[]): Promise<R[]> {
    this.#check();
    const rows = await query(this.#writer, sql, values) as unknown as R[];
    this.#answered();
    return rows;
  }

  /** Ends the transaction; gives how many rows it has changed. */
  async commit(): Promise<number> {
    this.send("COMMIT", []);
    const results = await Promise.all(this.#sent);
    // a transaction in which a statement has failed is rolled back without an error
    invariant(results.at(-1)?.command === "COMMIT", "a round is committed as a whole");
    return results.reduce((sum, { count, command }) => sum + (command === "SELECT" ? 0 : count ?? 0), 0);
  }

  /** Everything that was sent has been answered, one way or the other. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#sent);
  }
}

/** What a statement has done. */
interface Result {
  readonly count: number | null;
  readonly command: string;
}

/** A statement with its values bound; each text is prepared once a connection. */
function query(client: Pick<Client, "unsafe" | "array">, sql: string, values: readonly Value[]) {
  const bound = values.map((value) =>
    value instanceof Column ? client.array(value.values as never[], value.type) : value
  );
  return client.unsafe(sql, bound as never[], { prepare: true });
}

/** Ends the connection that writes, and what it is at; that number is another's only if it is another's of this store. */
const END_WRITER = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE pid = $1 AND application_name = current_setting('application_name')`;
const TOUCH =
  "UPDATE meta SET value = (convert_from(value, 'UTF8')::int8 + 1)::text::bytea WHERE name = 'flushes'";

/** A number as a named value. */
export function numberBytes(...values: readonly (number | bigint)[]): Uint8Array {
  return new TextEncoder().encode(values.join(" "));
}

/** Bytes as they are: plain arrays that own their memory. */
const BYTEA = {
  to: 17,
  from: [17],
  serialize: (bytes: Uint8Array): string =>
    `\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex")}`,
  parse: (text: string): Uint8Array => new Uint8Array(Buffer.from(text.slice(2), "hex")),
};

/** An option of the client that its types don't name. */
const PIPELINE = { max_pipeline: POSTGRES_UNANSWERED_MAX };

/** One key a schema: such locks belong to a database of the server. */
function lockKey(schema: string): string {
  return String(createHash("sha256").update(`neo ${schema}`).digest().readBigInt64BE(0));
}

function clientOf(
  { url, schema }: PostgresPlace,
  { password, statementTimeoutMs = POSTGRES_STATEMENT_TIMEOUT_MS }: PostgresOptions,
  more: { readonly max: number; readonly onclose?: () => void },
  settings: { readonly [name: string]: string },
): Client {
  return postgres(url, {
    ...more,
    ...(password === undefined ? {} : { password }),
    types: { bigint: postgres.BigInt, bytea: BYTEA },
    connect_timeout: POSTGRES_CONNECT_TIMEOUT_MS / 1_000,
    ...PIPELINE,
    max_lifetime: null, // the writing connection holds the lock
    onnotice: () => {},
    connection: {
      application_name: `neo ${schema}`,
      search_path: schema,
      statement_timeout: statementTimeoutMs,
      ...settings,
    },
  });
}
