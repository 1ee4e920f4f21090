/** The default database of a storage: one SQLite file, opened by one process. */
import { createHash } from "node:crypto";
import { type Oid, type Tid, ZERO_TID } from "../core/ids.ts";
import type {
  Database,
  DatabaseAnswer,
  DatabaseIdentity,
  DatabaseQuery,
  DatabaseState,
  DatabaseWrite,
  Digest,
} from "../core/ports.ts";
import { type FileOptions, SqliteFile } from "./sqlite_file.ts";
import { SqliteReader } from "./sqlite_reader.ts";
import { bytesText, textBytes } from "./sqlite_rows.ts";
import { STORAGE_FILE } from "./sqlite_schema.ts";
import { SqliteWriter } from "./sqlite_writer.ts";

/**
 * Makes the database of a new storage.
 *
 * @throws StoreOpenError when something stands at `path`, or the system refuses
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { mkdtempSync, rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { createDatabase, openDatabase } from "./sqlite.ts";
 *
 * const folder = mkdtempSync(join(tmpdir(), "neo-"));
 * const path = join(folder, "s1.db");
 * const identity = { clusterId: "c", cluster: "demo", name: "s1", diskId: "d", partitions: 240 };
 * createDatabase(path, identity);
 * const database = openDatabase(path);
 * assert.deepEqual(database.state.identity, identity);
 * assert.throws(() => openDatabase(path), /another process has it open/);
 * await database.close();
 * rmSync(folder, { recursive: true });
 * ```
 */
export function createDatabase(path: string, identity: DatabaseIdentity): void {
  SqliteFile.create(path, STORAGE_FILE, (file) => {
    file.setMeta("clusterId", textBytes(identity.clusterId));
    file.setMeta("cluster", textBytes(identity.cluster));
    file.setMeta("name", textBytes(identity.name));
    file.setMeta("diskId", textBytes(identity.diskId));
    file.setMeta("partitions", identity.partitions);
    file.setMeta("epoch", 0);
    file.setMeta("image", null);
    file.setMeta("truncations", 0);
    file.setMeta("packBound", ZERO_TID);
    file.setMeta("packed", ZERO_TID);
    file.setMeta("packedOid", null);
    file.setMeta("packedTid", null);
  });
}

/**
 * Opens a storage's database. No other process can open it before `close()`, or before this process ends.
 *
 * @throws StoreOpenError with the reason: there is none, it isn't a storage's, a newer neo wrote it, another has it open
 */
export function openDatabase(path: string, options: FileOptions = {}): Database {
  const file = SqliteFile.open(path, STORAGE_FILE, options);
  return file.orClose(() => new SqliteDatabase(file));
}

class SqliteDatabase implements Database {
  readonly state: DatabaseState;
  readonly #file: SqliteFile;
  readonly #writer: SqliteWriter;
  readonly #reader: SqliteReader;

  constructor(file: SqliteFile) {
    const identity = identityOf(file);
    const { partitions } = identity;
    this.#file = file;
    this.#writer = new SqliteWriter(file, partitions);
    this.#reader = new SqliteReader(file, { partitions, digest: sha256 });
    this.state = {
      identity,
      epoch: Number(file.meta("epoch")),
      image: file.meta("image") as Uint8Array | null,
      registry: file.meta("registry") as Uint8Array | null,
      held: this.#writer.recover(),
      resumes: this.#writer.resumes(),
      newest: this.#reader.newest(),
      truncations: Number(file.meta("truncations")),
      packBound: file.meta("packBound") as Tid,
      packed: packedOf(file),
    };
  }

  apply(writes: readonly DatabaseWrite[], { durable }: { readonly durable: boolean }): void {
    this.#file.apply(() => this.#writer.write(writes), durable);
  }

  read(query: DatabaseQuery): DatabaseAnswer {
    return this.#reader.read(query);
  }

  freeBytes(): number {
    return this.#file.freeBytes();
  }

  close(): void {
    this.#file.close();
  }
}

const sha256: Digest = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

function packedOf(file: SqliteFile): DatabaseState["packed"] {
  const [bound, oid, tid] = ["packed", "packedOid", "packedTid"].map((name) => file.meta(name));
  const after = oid === null ? null : { oid: oid as Oid, tid: tid as Tid };
  return { bound: bound as Tid, after };
}

function identityOf(file: SqliteFile): DatabaseIdentity {
  const text = (name: string) => bytesText(file.meta(name) as Uint8Array);
  return {
    clusterId: text("clusterId"),
    cluster: text("cluster"),
    name: text("name"),
    diskId: text("diskId"),
    partitions: Number(file.meta("partitions")),
  };
}
