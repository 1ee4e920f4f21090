/** Databases on a PostgreSQL server for the suites: a schema each. */
import process from "node:process";
import postgres from "postgres";
import { createPostgres, openPostgres } from "../adapters/postgres.ts";
import type { Database, DatabaseIdentity } from "../core/ports.ts";
import type { DatabaseKit } from "./conformance/database_kit.ts";

/** Some 10 s: before a statement that should hang ends by itself. */
const LOOKS_MAX = 500;

let made = 0;

/** A name that no other schema of this run has. */
export function newSchema(): string {
  return `t${process.pid}_${++made}`;
}

/** A place for a database on a server. A crash cuts its connections, as the end of its process does. */
export function postgresKit(
  url: string,
  identity: DatabaseIdentity,
  wrap: (database: Database) => Database = (same) => same,
): DatabaseKit & { readonly schema: string } {
  const schema = newSchema();
  const uri = `${url}?schema=${schema}`;
  const opened: Database[] = [];
  let isMade = false;
  const end = async (): Promise<void> => {
    for (const database of opened.splice(0)) await database.close();
  };
  return {
    schema,
    open: async () => {
      if (!isMade) await createPostgres(uri, identity);
      isMade = true;
      const database = await openPostgres(uri);
      opened.push(database);
      return wrap(database);
    },
    crash: async () => {
      await cutConnections(url, schema);
      await end();
    },
    end: async () => {
      await end();
      await withServer(url, async (sql) => void await sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`));
    },
  };
}

/** Runs something as the server's own user. */
export async function withServer<T>(url: string, body: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await body(sql);
  } finally {
    await sql.end();
  }
}

/** Ends the connections of the process that has a schema open, and waits until they are gone. */
export async function cutConnections(url: string, schema: string): Promise<void> {
  await withServer(url, async (sql) => {
    const name = `neo ${schema}`;
    await sql`SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = ${name}`;
  });
}

/** Waits until so many connections to a schema are at a statement; undefined: until there is none. */
export async function asked(
  url: string,
  schema: string,
  statement: string | undefined,
  connections = 1,
): Promise<void> {
  await withServer(url, async (sql) => {
    for (let look = 0; look < LOOKS_MAX; look++) {
      const rows = await sql`SELECT query FROM pg_stat_activity WHERE application_name = ${`neo ${schema}`}`;
      const at = rows.filter(({ query }) => query === statement).length;
      if (statement === undefined ? rows.length === 0 : at >= connections) return;
      await sql`SELECT pg_sleep(0.02)`;
    }
    throw new Error(`${schema} isn't at ${statement ?? "its end"}`);
  });
}
