/** The logs of running nodes as they grow, also when a log begins another file. */
import { closeSync, fstatSync, openSync, readSync, statSync, watch } from "node:fs";
import { LOG_TAIL_BYTES_MAX } from "../core/limits.ts";
import { systemCodeOf } from "./exit.ts";
import { parseLine } from "./log_lines.ts";
import type { LogEntry } from "./log_lines.ts";

const NEWLINE = 10;

/** One log, read from where it was read last. */
export class FollowedLog {
  readonly #path: string;
  readonly #process: string;
  #descriptor: number | undefined;
  #at = 0;
  /** Of a line whose end isn't written yet. */
  #rest: Uint8Array[] = [];
  #time = "";

  /** Opens it: what it has turned over to an older file later is still read. */
  constructor(path: string, process: string) {
    this.#path = path;
    this.#process = process;
    this.#descriptor = opened(path);
  }

  /** What was written since the last call; at the first call all that stands there. */
  *fresh(): Generator<LogEntry> {
    for (;;) {
      this.#descriptor ??= opened(this.#path);
      if (this.#descriptor === undefined) return;
      yield* this.#read(this.#descriptor);
      if (!this.#isReplaced(this.#descriptor)) return;
      yield* this.#read(this.#descriptor); // what was written between the two looks
      closeSync(this.#descriptor);
      this.#descriptor = undefined;
      this.#at = 0;
      this.#rest = [];
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  *#read(descriptor: number): Generator<LogEntry> {
    if (fstatSync(descriptor).size < this.#at) this.#at = 0; // somebody has emptied it
    const block = new Uint8Array(LOG_TAIL_BYTES_MAX);
    for (;;) {
      const length = readSync(descriptor, block, 0, block.length, this.#at);
      if (length === 0) return;
      this.#at += length;
      yield* this.#lines(block.subarray(0, length));
    }
  }

  *#lines(bytes: Uint8Array): Generator<LogEntry> {
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, from)) {
      const line = new TextDecoder().decode(joined([...this.#rest, bytes.subarray(from, end)]));
      this.#rest = [];
      from = end + 1;
      if (line === "") continue;
      const entry = parseLine(line, this.#process, this.#time);
      this.#time = entry.time;
      yield entry;
    }
    if (from < bytes.length) this.#rest.push(bytes.slice(from)); // put together once, when the line ends
  }

  #isReplaced(descriptor: number): boolean {
    const there = statSync(this.#path, { throwIfNoEntry: false });
    return there !== undefined && there.ino !== fstatSync(descriptor).ino;
  }
}

/**
 * Calls `changed` whenever something was written in a folder.
 *
 * @returns what ends it
 */
export function watchFolder(folder: string, changed: () => void): () => void {
  const watcher = watch(folder, changed);
  watcher.on("error", changed); // the folder went away: the next look tells
  return () => watcher.close();
}

function opened(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
