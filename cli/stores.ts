/** Where a storage keeps its data: a SQLite file in its folder, or a schema of a PostgreSQL server. */
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { postgresPlace } from "../adapters/postgres_uri.ts";
import { createDatabase, openDatabase } from "../adapters/sqlite.ts";
import { StoreOpenError } from "../adapters/store_errors.ts";
import { later } from "../adapters/system.ts";
import { POSTGRES_RETRY_MS } from "../core/limits.ts";
import type { Database, DatabaseIdentity } from "../core/ports.ts";
import { Settings } from "../roles/settings.ts";
import type { NodeConfig } from "./config.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import type { RunningNode } from "./hosting.ts";
import { monoMs, pause } from "./wait.ts";

/** What tells of a node's store. */
export type StoreOf = Pick<NodeConfig, "data" | "role" | "database" | "passwordFile">;

/** Where a master, or a storage on SQLite, keeps what it must not lose. */
export function databaseFileOf(node: Pick<NodeConfig, "data" | "role">): string {
  return join(node.data, `${node.role}.sqlite`);
}

/** A storage's store as people see it. */
export function storeNameOf(node: StoreOf): string {
  return node.database ?? databaseFileOf(node);
}

/**
 * Makes the database of a storage. Its folder is made too: its pid file and its log lie there.
 *
 * @throws StoreOpenError when there is one, or the system or the server refuses
 */
export async function createStore(node: StoreOf, identity: DatabaseIdentity): Promise<void> {
  mkdirSync(node.data, { recursive: true });
  if (node.database === undefined) return createDatabase(databaseFileOf(node), identity);
  const { createPostgres } = await import("../adapters/postgres.ts");
  await createPostgres(node.database, identity, passwordOf(node));
}

/**
 * The URI of a node's database on a server: of one without a schema, the node gets its own.
 *
 * @throws CliError (`usage`) with the rule, when it isn't one, or has a password
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { databaseUriOf } from "./stores.ts";
 * assert.equal(databaseUriOf("postgres://neo@db1/shop", "my-shop", "s1"), "postgres://neo@db1/shop?schema=my_shop_s1");
 * ```
 */
export function databaseUriOf(uri: string, cluster: string, name: string): string {
  const own = new URL(URL.canParse(uri) ? uri : "invalid:");
  if (own.password !== "") {
    throw new CliError(
      "usage",
      "Cannot use a database with its password: it would stand in files and lists",
      {
        hint: "leave it away, and name a file: --password-file FILE; or set PGPASSWORD",
      },
    );
  }
  if (!own.searchParams.has("schema")) {
    own.searchParams.set(
      "schema",
      `${cluster}_${name}`.toLowerCase().replace(/[^a-z0-9_]/g, "_").replace(/^(?=\d)/, "_"),
    );
  }
  try {
    postgresPlace(own.protocol === "invalid:" ? uri : own.href);
  } catch (error) {
    throw new CliError("usage", error instanceof Error ? error.message : String(error), { cause: error });
  }
  return own.href;
}

/** Makes the database of a storage unless there is one; gives whether it was made. */
export async function provideStore(node: StoreOf, identity: DatabaseIdentity): Promise<boolean> {
  if (node.database === undefined && existsSync(databaseFileOf(node))) return false;
  try {
    await createStore(node, identity);
    return true;
  } catch (error) {
    if (error instanceof StoreOpenError && error.reason === "exists") return false;
    throw error;
  }
}

/** A database that may be lost and opened again. */
export type StorageStore = Database & { readonly lost?: boolean };

/** Opens the database of a storage of this cluster; throws as `openDatabase` and `openPostgres`. */
export async function openStore(
  node: StoreOf & Pick<NodeConfig, "name">,
  settings: Settings = new Settings(),
): Promise<StorageStore> {
  try {
    return await opened(node, settings);
  } catch (error) {
    if (!(error instanceof StoreOpenError) || error.reason !== "missing") throw error;
    const hint =
      `if its disk is lost, put an empty one in its place: neo node add ${node.name} --replace ${node.name}`;
    throw new CliError("notFound", `Cannot find the data of ${node.name}: there is no ${storeNameOf(node)}`, {
      hint,
      cause: error,
    });
  }
}

async function opened(node: StoreOf, settings: Settings): Promise<StorageStore> {
  if (node.database === undefined) {
    return openDatabase(databaseFileOf(node), {
      later,
      cacheBytes: settings.number("storage.sqliteCacheBytes"),
    });
  }
  const { openPostgres } = await import("../adapters/postgres.ts");
  const readers = settings.number("storage.postgresReaders");
  const statementTimeoutMs = settings.number("storage.postgresStatementTimeoutMs");
  return await openPostgres(node.database, { later, readers, statementTimeoutMs, ...passwordOf(node) });
}

/** Deletes what was made for a storage that is given up before it began. */
export async function dropStore(node: StoreOf): Promise<void> {
  if (node.database === undefined) return; // it goes with its folder
  const { dropPostgres } = await import("../adapters/postgres.ts");
  await dropPostgres(node.database, passwordOf(node));
}

/**
 * Puts a store away that another one has taken the place of: it stays, under a name where no node looks for it.
 *
 * @returns where it is now
 */
export async function retireStore(node: StoreOf): Promise<string> {
  if (node.database !== undefined) {
    const { retirePostgres } = await import("../adapters/postgres.ts");
    return `schema ${await retirePostgres(node.database, passwordOf(node))}`;
  }
  const file = databaseFileOf(node);
  renameSync(file, `${file}.converted`);
  return `${file}.converted`;
}

/** A password comes from a file that only its owner should read, or from PGPASSWORD. */
function passwordOf({ passwordFile }: StoreOf): { readonly password?: string } {
  if (passwordFile === undefined) return {};
  try {
    return { password: readFileSync(passwordFile, "utf8").trim() };
  } catch (error) {
    const why = systemCodeOf(error) ?? "it can't be read";
    throw new CliError("security", `Cannot read the password file ${passwordFile}: ${why}`, { cause: error });
  }
}

/**
 * Runs a node whose database is on a server: when that is lost, the node is built again from it, as often as need be; what was
 * being committed is known then. It is given up when the server isn't back after a time.
 *
 * @param open opens the database and the node on it
 * @param reconnectMs how long it waits for the server; asked each time
 */
export async function reopening(
  open: () => Promise<{ readonly node: RunningNode; readonly store: StorageStore }>,
  note: (text: string, facts: { readonly [name: string]: unknown }) => void,
  reconnectMs: () => number,
): Promise<RunningNode> {
  let current = await patiently(open, note, reconnectMs());
  let isEnding = false;
  const toTheEnd = async (): Promise<{ readonly error?: string }> => {
    for (;;) {
      const result = await current.node.done;
      if (result.error === undefined || isEnding || current.store.lost !== true) return result;
      note("Lost the database; opens it again", { reason: result.error });
      try {
        current = await patiently(open, note, reconnectMs());
      } catch (error) {
        return { error: error instanceof Error ? error.message : String(error) };
      }
      if (isEnding) current.node.terminate();
    }
  };
  const done = toTheEnd();
  return {
    address: current.node.address,
    done,
    terminate: () => {
      isEnding = true;
      current.node.terminate();
    },
    dump: () => current.node.dump(),
  };
}

/** Tries again while the server can't be reached, or still holds the lock of the connection that was lost. */
async function patiently<T>(
  open: () => Promise<T>,
  note: (text: string, facts: { readonly [name: string]: unknown }) => void,
  withinMs: number,
): Promise<T> {
  const endMs = monoMs() + withinMs;
  for (let attempt = 1;; attempt++) {
    try {
      return await open();
    } catch (error) {
      const isPassing = error instanceof StoreOpenError && PASSING.includes(error.reason);
      if (!isPassing || monoMs() >= endMs) throw error;
      if (attempt === 1) note("Waits for the database", { reason: error.message });
      await pause(POSTGRES_RETRY_MS);
    }
  }
}

const PASSING: readonly string[] = ["unreachable", "inUse"];
