/** The database of a storage on a PostgreSQL server: a schema of its own, owned by one process at a time. */
import { createHash } from "node:crypto";
import { type Oid, type Partition, type Tid, toTid } from "../core/ids.ts";
import type {
  Database,
  DatabaseAnswer,
  DatabaseIdentity,
  DatabaseQuery,
  DatabaseState,
  DatabaseWrite,
  Digest,
  PackPlace,
} from "../core/ports.ts";
import { DataIds } from "./postgres_data.ts";
import { PostgresReader } from "./postgres_reader.ts";
import { numberBytes, PostgresStore } from "./postgres_store.ts";
import type { PostgresOptions } from "./postgres_store.ts";
import { postgresPlace } from "./postgres_uri.ts";
import { PostgresWriter } from "./postgres_writer.ts";

export type { PostgresOptions } from "./postgres_store.ts";

/**
 * Makes the database of a new storage in a schema that isn't there yet.
 *
 * @param uri `postgres://user@host:port/database?schema=NAME`
 * @throws StoreOpenError when the schema is there, or the server can't be reached or refuses; MalformedError for another URI
 */
export async function createPostgres(
  uri: string,
  identity: DatabaseIdentity,
  options: PostgresOptions = {},
): Promise<void> {
  const { partitions, ...texts } = identity;
  const meta = Object.entries(texts).map(([name, text]) => [name, encoder.encode(text)] as const);
  await PostgresStore.create(postgresPlace(uri), {
    ...Object.fromEntries(meta),
    partitions: numberBytes(partitions),
    epoch: numberBytes(0),
    truncations: numberBytes(0),
  }, options);
}

/**
 * Opens a storage's database. No other process can open it before `close()`, or before this process ends.
 *
 * @throws StoreOpenError with the reason: there is none, it isn't a storage's, a newer neo wrote it, another has it open, the
 * server can't be reached
 */
export async function openPostgres(uri: string, options: PostgresOptions = {}): Promise<PostgresDatabase> {
  const store = await PostgresStore.open(postgresPlace(uri), options);
  try {
    return await PostgresDatabase.begin(store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Takes a storage's database away, with all that is in it.
 *
 * @throws StoreOpenError when the server can't be reached or refuses
 */
export async function dropPostgres(uri: string, options: PostgresOptions = {}): Promise<void> {
  await PostgresStore.drop(postgresPlace(uri), options);
}

/**
 * Gives a storage's database another name, under which no node looks for it.
 *
 * @returns the name
 * @throws StoreOpenError when there is one of that name, or the server can't be reached or refuses
 */
export async function retirePostgres(uri: string, options: PostgresOptions = {}): Promise<string> {
  const place = postgresPlace(uri);
  const to = `${place.schema.slice(0, SCHEMA_LENGTH_MAX - RETIRED.length)}${RETIRED}`;
  await PostgresStore.rename(place, to, options);
  return to;
}

/** What the server's names may be long, and how one ends that isn't used any more. */
const SCHEMA_LENGTH_MAX = 63;
const RETIRED = "_converted";

/** A storage's database on a server. */
export class PostgresDatabase implements Database {
  readonly state: DatabaseState;
  readonly #store: PostgresStore;
  readonly #writer: PostgresWriter;
  readonly #reader: PostgresReader;

  private constructor(parts: {
    store: PostgresStore;
    writer: PostgresWriter;
    reader: PostgresReader;
    state: DatabaseState;
  }) {
    this.#store = parts.store;
    this.#writer = parts.writer;
    this.#reader = parts.reader;
    this.state = parts.state;
  }

  static async begin(store: PostgresStore): Promise<PostgresDatabase> {
    const meta = await metaOf(store);
    const text = (name: string): string => decoder.decode(meta.get(name) ?? new Uint8Array());
    const identity: DatabaseIdentity = {
      clusterId: text("clusterId"),
      cluster: text("cluster"),
      name: text("name"),
      diskId: text("diskId"),
      partitions: Number(text("partitions")),
    };
    const { partitions } = identity;
    const [last] = await store.all<{ id: bigint | null }>(
      "SELECT greatest((SELECT max(id) FROM data), (SELECT max(data_id) FROM part)) AS id",
    );
    const writer = new PostgresWriter(partitions, new DataIds((last?.id ?? 0n) + 1n));
    const reader = new PostgresReader(store, { partitions, digest: sha256 });
    const held = await writer.recover(store);
    const resumes = await store.all<{ partition: Partition; since: bigint; tid: Tid }>(
      "SELECT partition, since, tid FROM resume ORDER BY partition",
    );
    const state = {
      identity,
      epoch: Number(text("epoch")),
      image: meta.get("image") ?? null,
      registry: meta.get("registry") ?? null,
      held,
      resumes: resumes.map(({ partition, since, tid }) => ({ partition, since: Number(since), tid })),
      newest: (await reader.newest()).map(({ partition, tid }) => ({ partition, tid })),
      truncations: Number(text("truncations")),
      packBound: toTid(BigInt(text("packBound"))),
      packed: packedOf(text("packed")),
    };
    return new PostgresDatabase({ store, writer, reader, state });
  }

  /** Whether its use has ended because the server failed or went: opened again, it has what was committed. */
  get lost(): boolean {
    return this.#store.lost;
  }

  apply(writes: readonly DatabaseWrite[], { durable }: { readonly durable: boolean }): Promise<void> {
    return this.#store.apply((statements) => this.#writer.write(statements, writes), durable);
  }

  read(query: DatabaseQuery): Promise<DatabaseAnswer> {
    return this.#reader.read(query);
  }

  /** The server doesn't tell. */
  freeBytes(): undefined {
    return undefined;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A bound, and the oid and tid of the place where the pack is. */
function packedOf(text: string): PackPlace {
  const [bound = 0n, oid, tid] = text.split(" ").map(BigInt);
  const after = oid === undefined || tid === undefined ? null : { oid: oid as Oid, tid: toTid(tid) };
  return { bound: toTid(bound), after };
}

async function metaOf(store: PostgresStore): Promise<Map<string, Uint8Array | null>> {
  const rows = await store.all<{ name: string; value: Uint8Array | null }>("SELECT name, value FROM meta");
  return new Map(rows.map(({ name, value }) => [name, value]));
}

const sha256: Digest = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};
