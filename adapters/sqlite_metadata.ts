/** A master's durable memory: one SQLite file with a snapshot and the log after it. Every round is flushed. */
import type { LogEntry, MetadataState, MetadataStore, MetadataWrite } from "../core/ports.ts";
import { checkAppend, checkBallot, checkSnapshot, type LogBounds } from "./metadata_log.ts";
import { type FileKind, type FileOptions, SqliteFile } from "./sqlite_file.ts";

const LOG = `CREATE TABLE log (
  idx INTEGER PRIMARY KEY,
  term INTEGER NOT NULL,
  entry BLOB NOT NULL
) STRICT`;

/** One row at most. */
const SNAPSHOT = `CREATE TABLE snapshot (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  idx INTEGER NOT NULL,
  term INTEGER NOT NULL,
  image BLOB NOT NULL
) STRICT`;

/** One row: who this master is, and its vote. */
const MEMBER = `CREATE TABLE member (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  disk_id TEXT NOT NULL,
  term INTEGER NOT NULL,
  voted_for INTEGER
) STRICT`;

/** A master's file: "neoM" in its head. */
const MASTER_FILE: FileKind = {
  applicationId: 0x6e656f4d,
  tables: [LOG, SNAPSHOT, MEMBER],
  schemaVersion: 2,
  upgrades: { 1: addMember },
};

/** Masters of version 1 were alone in their clusters, and their entries all of term 1. */
function addMember(file: SqliteFile): void {
  file.run(MEMBER);
  file.run("INSERT INTO member (one, disk_id, term, voted_for) VALUES (1, '', 1, NULL)");
}

/**
 * Makes the store of a new master. `image` is the cluster's first snapshot, index 0; null: this master waits to be
 * told by others. `diskId` is its identity, random.
 *
 * @throws StoreOpenError when something stands at `path`, or the system refuses
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { mkdtempSync, rmSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { createMetadata, openMetadata } from "./sqlite_metadata.ts";
 *
 * const folder = mkdtempSync(join(tmpdir(), "neo-"));
 * createMetadata(join(folder, "m1.db"), Uint8Array.of(1));
 * const store = openMetadata(join(folder, "m1.db"));
 * await store.apply([{ op: "append", entries: [{ index: 1, term: 1, entry: Uint8Array.of(2) }] }], { durable: true });
 * await store.close();
 * const { state } = openMetadata(join(folder, "m1.db"));
 * assert.deepEqual(state.entries, [{ index: 1, term: 1, entry: Uint8Array.of(2) }]);
 * rmSync(folder, { recursive: true });
 * ```
 */
export function createMetadata(path: string, image: Uint8Array | null, diskId: string = ""): void {
  SqliteFile.create(path, MASTER_FILE, (file) => {
    file.run("INSERT INTO member (one, disk_id, term, voted_for) VALUES (1, ?, 0, NULL)", diskId);
    if (image !== null) replaceSnapshot(file, { index: 0, term: 0, image });
  });
}

/**
 * Opens a master's store. No other process can open it before `close()`, or before this process ends.
 *
 * @throws StoreOpenError with the reason: there is none, it isn't a master's, a newer neo wrote it, another has it open
 */
export function openMetadata(path: string, options: FileOptions = {}): MetadataStore {
  const file = SqliteFile.open(path, MASTER_FILE, options);
  return file.orClose(() => new SqliteMetadata(file));
}

class SqliteMetadata implements MetadataStore {
  readonly state: MetadataState;
  readonly #file: SqliteFile;
  #bounds: LogBounds;
  #ballot: MetadataState["ballot"];

  constructor(file: SqliteFile) {
    this.#file = file;
    const snapshot = file.get<SnapshotRow>("SELECT idx, term, image FROM snapshot");
    const entries = file.all<LogRow>("SELECT idx, term, entry FROM log ORDER BY idx").map(entryOf);
    const index = Number(snapshot?.idx ?? 0n);
    this.#bounds = { snapshot: index, last: entries.at(-1)?.index ?? index };
    const taken = snapshot && { index, term: Number(snapshot.term), image: snapshot.image };
    const member = file.get<MemberRow>("SELECT disk_id, term, voted_for FROM member")!;
    this.#ballot = {
      term: Number(member.term),
      votedFor: member.voted_for === null ? null : Number(member.voted_for),
    };
    this.state = { snapshot: taken ?? null, entries, ballot: this.#ballot, diskId: member.disk_id };
  }

  /** Flushes whatever the round says: a master's memory has nothing that may be lost. */
  apply(writes: readonly MetadataWrite[]): void {
    this.#file.apply(() => writes.forEach((write) => this.#write(write)), true);
  }

  read(query: never): never {
    return query;
  }

  freeBytes(): number {
    return this.#file.freeBytes();
  }

  close(): void {
    this.#file.close();
  }

  #write(write: MetadataWrite): void {
    if (write.op === "ballot") {
      const { term, votedFor } = write;
      checkBallot(this.#ballot, write);
      this.#file.run("UPDATE member SET term = ?, voted_for = ?", term, votedFor);
      this.#ballot = { term, votedFor };
    } else if (write.op === "append") {
      const [head] = write.entries;
      checkAppend(this.#bounds, write.entries);
      if (head === undefined) return;
      this.#file.run("DELETE FROM log WHERE idx >= ?", head.index);
      const rows = write.entries.map(({ index, term, entry }) => [index, term, entry]);
      this.#file.insertAll("log", ["idx", "term", "entry"], rows);
      this.#bounds = { ...this.#bounds, last: head.index + write.entries.length - 1 };
    } else {
      checkSnapshot(this.#bounds.snapshot, write.index);
      const { index, alone = false } = write;
      if (alone) this.#file.run("DELETE FROM log");
      else this.#file.run("DELETE FROM log WHERE idx <= ?", index);
      replaceSnapshot(this.#file, write);
      this.#bounds = { snapshot: index, last: alone ? index : Math.max(this.#bounds.last, index) };
    }
  }
}

interface MemberRow {
  readonly disk_id: string;
  readonly term: bigint;
  readonly voted_for: bigint | null;
}

interface SnapshotRow {
  readonly idx: bigint;
  readonly term: bigint;
  readonly image: Uint8Array;
}

interface LogRow {
  readonly idx: bigint;
  readonly term: bigint;
  readonly entry: Uint8Array;
}

function entryOf({ idx, term, entry }: LogRow): LogEntry {
  return { index: Number(idx), term: Number(term), entry };
}

function replaceSnapshot(
  file: SqliteFile,
  { index, term, image }: { readonly index: number; readonly term: number; readonly image: Uint8Array },
): void {
  const sql = "INSERT OR REPLACE INTO snapshot (one, idx, term, image) VALUES (1, ?, ?, ?)";
  file.run(sql, index, term, image);
}
