/**
 * What a storage's database costs on SQLite and on PostgreSQL, beside what a bare write and a bare question cost on the same disk
 * and server in the same run. No cluster: rounds and reads of one database, one after another.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgres } from "../../adapters/postgres.ts";
import { createDatabase, openDatabase } from "../../adapters/sqlite.ts";
import { monoMs } from "../../cli/wait.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import { commit, Driver, IDENTITY } from "../conformance/database_kit.ts";
import { postgresKit, withServer } from "../postgres_kit.ts";
import { postgresServer } from "../postgres_server.ts";
import type { FailoverOptions, PartReport, Skipped } from "./failover.ts";
import { measureFloor, median, ROW_BYTES } from "./floor.ts";

/** What is measured for each run that was asked for. */
const TIMES_A_RUN = 30;
/** The first of them aren't counted. */
const WARM_UP = 20;
/** Objects of a large transaction. */
const OBJECTS = 100;

/** Median times in ms. */
interface Costs {
  /** A durable transaction of one object. */
  readonly one: number;
  /** A durable transaction of `OBJECTS`. */
  readonly many: number;
  /** An object's newest revision. */
  readonly load: number;
}

/** A database that is written and read; tids only grow. */
class Measured {
  readonly #driver: Driver;
  readonly #times: number;
  #tid = 0;

  constructor(driver: Driver, times: number) {
    this.#driver = driver;
    this.#times = times;
  }

  async costs(): Promise<Costs & { readonly all: readonly number[] }> {
    const all = await this.#each(() => this.#save(1));
    const many = await this.#each(() => this.#save(OBJECTS));
    let oid = 0;
    const load = await this.#each(() => this.#driver.load(1 + oid++ % OBJECTS));
    return { all, one: median(all), many: median(many), load: median(load) };
  }

  /** A large transaction's median time, by itself. */
  async many(): Promise<number> {
    return median(await this.#each(() => this.#save(OBJECTS)));
  }

  async #save(objects: number): Promise<void> {
    await this.#driver.save(...transaction(++this.#tid, objects));
  }

  async #each(task: () => Promise<unknown>): Promise<number[]> {
    const ms: number[] = [];
    for (let at = 0; at < this.#times + WARM_UP; at++) {
      const beganMs = monoMs();
      await task();
      ms.push(monoMs() - beganMs);
    }
    return ms.slice(WARM_UP);
  }
}

/** Everything of one transaction as one round. */
function transaction(tid: number, objects: number): DatabaseWrite[] {
  const text = String(tid).padStart(ROW_BYTES, "x");
  return commit(tid, Array.from({ length: objects }, (_, at) => [at + 1, text] as const));
}

/** SQLite beside PostgreSQL, beside what each of them needs at least. */
export async function databasesCompared(options: FailoverOptions): Promise<PartReport | Skipped> {
  const name = "a storage's database: SQLite and PostgreSQL";
  const found = await postgresServer();
  if ("reason" in found) return { name, skipped: found.reason };
  const { server } = found;
  const kit = postgresKit(server.url, IDENTITY);
  const times = options.runs * TIMES_A_RUN;
  try {
    options.signal.throwIfAborted();
    options.say(`${name}: ${server.version}`);
    const [least, bare] = [await measureFloor(), await bareCosts(server.url, times)];
    const sqlite = await sqliteCosts(times);
    options.signal.throwIfAborted();
    const uri = `${server.url}?schema=${kit.schema}`;
    await (await kit.open()).close();
    const database = await openPostgres(uri);
    const measured = new Measured(new Driver(database), times);
    const postgres = await measured.costs();
    const counting = async (state: "ENABLE" | "DISABLE"): Promise<number> => {
      await withServer(
        server.url,
        async (sql) => void await sql.unsafe(`ALTER TABLE ${kit.schema}.obj ${state} TRIGGER USER`),
      );
      return await measured.many();
    };
    const [uncounted, counted] = [await counting("DISABLE"), await counting("ENABLE")];
    await database.close();
    return {
      name,
      what: "PostgreSQL: a durable transaction of one object",
      ms: postgres.all,
      boundMs: undefined,
      facts: [
        server.version,
        `floor: SQLite's bare durable row ${shown(least.commitMs)}; PostgreSQL's ${
          shown(bare.row)
        }, SELECT 1 ${shown(bare.question)}`,
        compared("1 object, durable", sqlite.one, postgres.one),
        compared(`${OBJECTS} objects, durable`, sqlite.many, postgres.many),
        compared("load", sqlite.load, postgres.load),
        `PostgreSQL, ${OBJECTS} objects: ${shown(uncounted)} uncounted, ${shown(counted)} with sizes counted`,
      ],
      breaches: [],
    };
  } finally {
    await kit.end();
    await server.end();
  }
}

async function sqliteCosts(times: number): Promise<Costs> {
  const folder = mkdtempSync(join(tmpdir(), "neo-databases-"));
  try {
    const file = join(folder, "storage.sqlite");
    createDatabase(file, IDENTITY);
    const database = openDatabase(file);
    const costs = await new Measured(new Driver(database), times).costs();
    await database.close();
    return costs;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The least that anything costs on that server: one row that is on its disk, one question. */
async function bareCosts(
  url: string,
  times: number,
): Promise<{ readonly row: number; readonly question: number }> {
  return await withServer(url, async (sql) => {
    const row: number[] = [];
    const question: number[] = [];
    await sql`CREATE TABLE IF NOT EXISTS neo_floor (data bytea)`;
    try {
      for (let at = 0; at < times; at++) {
        let beganMs = monoMs();
        await sql`INSERT INTO neo_floor (data) VALUES (${new Uint8Array(ROW_BYTES)})`;
        row.push(monoMs() - beganMs);
        beganMs = monoMs();
        await sql`SELECT 1`;
        question.push(monoMs() - beganMs);
      }
    } finally {
      await sql`DROP TABLE neo_floor`;
    }
    return { row: median(row.slice(WARM_UP)), question: median(question.slice(WARM_UP)) };
  });
}

function shown(ms: number): string {
  return `${ms.toFixed(2)} ms`;
}

function compared(what: string, sqlite: number, postgres: number): string {
  return `${what}: SQLite ${shown(sqlite)}, PostgreSQL ${shown(postgres)}, ${
    (postgres / sqlite).toFixed(1)
  } times`;
}
