/** A copy of a storage's database, for another storage to begin with (N4). */
import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname } from "node:path";
import type { Partition, Tid } from "../core/ids.ts";
import type { DatabaseIdentity, DatabaseState } from "../core/ports.ts";
import { openDatabase } from "./sqlite.ts";
import { SqliteFile } from "./sqlite_file.ts";
import { textBytes } from "./sqlite_rows.ts";
import { STORAGE_FILE } from "./sqlite_schema.ts";
import { StoreOpenError } from "./store_errors.ts";

/** Who the copy is, and up to where it is complete. */
export interface CloneOptions extends Pick<DatabaseIdentity, "name" | "diskId"> {
  /** How far each partition is complete, given what the source holds; what isn't named is compared from the beginning. */
  readonly complete: (
    state: DatabaseState,
  ) => readonly { readonly partition: Partition; readonly tid: Tid }[];
}

/**
 * Copies the database of a storage that doesn't run, under a new identity. Transactions that aren't final there stay behind.
 * The source isn't changed by it, other than by being opened; what stands at `to` afterwards is whole, or nothing does.
 *
 * @throws StoreOpenError when the source is open elsewhere or can't be read, or when something stands at `to`
 */
export function cloneDatabase(from: string, to: string, options: CloneOptions): void {
  if (existsSync(to)) throw new StoreOpenError("create", to, "exists");
  const part = `${to}.part`;
  const source = openDatabase(from); // keeps others out, and its log is in the main file now
  try {
    copyFileSync(from, part, constants.COPYFILE_FICLONE);
    become(part, options);
    flush(part);
    renameSync(part, to);
    flush(dirname(to));
  } finally {
    void source.close();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(part + suffix, { force: true });
  }
}

/** Makes the copy another storage's. */
function become(path: string, { name, diskId, complete }: CloneOptions): void {
  const file = SqliteFile.open(path, STORAGE_FILE, {});
  try {
    file.apply(() => {
      file.setMeta("name", textBytes(name));
      file.setMeta("diskId", textBytes(diskId));
    }, true);
  } finally {
    file.close();
  }
  const copy = openDatabase(path);
  try {
    const { state } = copy;
    const drops = state.held.map(({ ttid }) => ({ op: "abort", ttid }) as const);
    const resumes = complete(state).map((one) => ({ op: "resume", since: 0, ...one }) as const);
    void copy.apply([...drops, ...resumes], { durable: true });
  } finally {
    void copy.close();
  }
}

function flush(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
