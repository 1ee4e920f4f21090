/**
 * Logs of nodes: one JSON object a line in a file of bounded size, or readable lines on stderr.
 *
 * Each log writes by itself, because a process may hold several nodes and LogTape has one configuration for all of
 * it, which belongs to the program. What is logged reaches LogTape's category `neo` as well: a program that has
 * configured LogTape finds us there.
 *
 * @module
 */
import { compareLogLevel, getLogger, type LogRecord, type Sink } from "@logtape/logtape";
import { Buffer } from "node:buffer";
import { closeSync, existsSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import process from "node:process";
import { hexOf } from "../core/ids.ts";
import {
  LOG_BATCH_BYTES_MAX,
  LOG_FILE_AGE_MS_MAX,
  LOG_FILE_BYTES_MAX,
  LOG_FLUSH_MS,
  LOG_LINE_BYTES_MAX,
} from "../core/limits.ts";
import type { LogFile, LogLevel, LogLevels, LogModule } from "../core/log_modules.ts";
import { type Later, later as systemLater } from "./system.ts";

/** How much somebody should care. */
export type Level = LogLevel;

/**
 * Facts beside a text. Ids are shown as 16 hexadecimal digits, bytes by their number, errors by their message; a name
 * that each line has (`time`, `level`, `node`, `role`, `module`, `text`) gets `_` behind it.
 */
export type Facts = { readonly [name: string]: unknown };

/** Takes what happened, in which part of a node: `node` unless told. */
export type LogLine = (level: Level, text: string, facts?: Facts, module?: LogModule) => void;

/** Takes what happened; never throws, whatever the facts are and however the disk is. */
export interface Log {
  (level: Level, text: string, facts?: Facts, module?: LogModule): void;
  /** The lowest levels that are kept from now on. */
  setLevels(levels: LogLevels): void;
  /** When its file is turned over, from now on. */
  setFile(file: LogFile): void;
  /** Whether such a line would be kept: who would have to make many can leave it. */
  wants(level: Level, module: LogModule): boolean;
  /** Goes on in a new file of the same name, after somebody has moved the old one away. */
  reopen(): void;
  /** Writes what was gathered. */
  flush(): void;
  /** Flushes and ends; what is logged afterwards is dropped. */
  close(): void;
}

/** Where and how a node logs. */
export interface LogOptions {
  /** Absent: readable lines on stderr. */
  readonly file?: string;
  readonly node: string;
  readonly role: string;
  /** The lowest level that is kept. */
  readonly level: Level;
  /** The timer of `LOG_FLUSH_MS`. */
  readonly later?: Later;
  /** In place of `LOG_FILE_BYTES_MAX`. */
  readonly fileBytesMax?: number;
  /** The time, in milliseconds since 1970; the machine's, unless told. */
  readonly nowMs?: () => number;
}

/** Lines on their way to a descriptor, gathered. A disk that is full costs lines, which are counted, not the node. */
class LineSink {
  readonly #path: string | undefined;
  readonly #later: Later;
  #when: LogFile;
  readonly #nowMs: () => number;
  #descriptor: number;
  #fileBytes = 0;
  /** When the file was begun. */
  #begunMs = 0;
  #lines: string[] = [];
  #gathered = 0;
  #lost = 0;
  /** The last write ended within a line. */
  #torn = false;
  #cancelTimer: (() => void) | undefined;

  constructor(
    { file, later = systemLater, fileBytesMax = LOG_FILE_BYTES_MAX, nowMs = Date.now }: LogOptions,
  ) {
    this.#path = file;
    this.#later = later;
    this.#when = { bytesMax: fileBytesMax, ageMsMax: LOG_FILE_AGE_MS_MAX };
    this.#nowMs = nowMs;
    this.#descriptor = file === undefined ? process.stderr.fd : openSync(file, "a");
    this.#look();
  }

  /** What stands in the file already; some systems don't know when it was made. */
  #look(): void {
    if (this.#path === undefined) return;
    const { size, birthtimeMs, mtimeMs } = fstatSync(this.#descriptor);
    this.#fileBytes = size;
    this.#begunMs = size === 0 ? this.#nowMs() : birthtimeMs || mtimeMs;
  }

  setFile(when: LogFile): void {
    this.#when = when;
  }

  /** Whoever moved the file away gets all that was said before. */
  reopen(): void {
    if (this.#path === undefined) return;
    this.flush();
    const fresh = openSync(this.#path, "a");
    closeSync(this.#descriptor);
    this.#descriptor = fresh;
    this.#torn = false;
    this.#look();
  }

  write(line: string, urgent: boolean): void {
    this.#lines.push(line);
    this.#gathered += line.length;
    // a lone line is written at once, so that the last words of a process that is killed are there
    const isLone = this.#cancelTimer === undefined;
    if (isLone || urgent || this.#gathered >= LOG_BATCH_BYTES_MAX) this.flush();
    if (this.#path !== undefined) this.#cancelTimer ??= this.#later(LOG_FLUSH_MS, () => this.#windowOver());
  }

  /** Lines that came since the last write go together. */
  #windowOver(): void {
    this.#cancelTimer = undefined;
    this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const count = this.#lines.length;
    const loss = Buffer.from((this.#torn ? "\n" : "") + this.#lossLine());
    const bytes = Buffer.concat([loss, Buffer.from(this.#lines.join(""))]);
    this.#lines = [];
    this.#gathered = 0;
    let done = 0;
    try {
      this.#rotate(bytes.length);
      while (done < bytes.length) done += writeSync(this.#descriptor, bytes, done);
      this.#lost = 0;
    } catch {
      // Nowhere to say it now: the next batch that can be written does.
      const unwritten = bytes.subarray(done).filter((byte) => byte === NEWLINE).length;
      this.#lost = (done < loss.length ? this.#lost : 0) + Math.min(count, unwritten);
    }
    this.#fileBytes += done;
    if (done > 0) this.#torn = bytes[done - 1] !== NEWLINE;
  }

  close(): void {
    this.#cancelTimer?.();
    this.flush();
    if (this.#path !== undefined) closeSync(this.#descriptor);
  }

  #lossLine(): string {
    if (this.#lost === 0) return "";
    const text = `${this.#lost} lines before this one couldn't be written`;
    return this.#path === undefined ? `${text}\n` : `${JSON.stringify({ level: "error", text })}\n`;
  }

  #rotate(moreBytes: number): void {
    if (this.#path === undefined || this.#fileBytes === 0) return;
    const isOld = this.#nowMs() - this.#begunMs > this.#when.ageMsMax;
    if (this.#fileBytes + moreBytes <= this.#when.bytesMax && !isOld) return;
    // It may have been moved away by somebody, or by an earlier attempt that then found no place for a fresh one.
    if (existsSync(this.#path)) renameSync(this.#path, `${this.#path}.1`);
    const fresh = openSync(this.#path, "a");
    closeSync(this.#descriptor);
    this.#descriptor = fresh;
    this.#look();
  }
}

const NEWLINE = 10;

/** Logs that are open: what they have gathered is written when the process ends, however it does. */
const open = new Set<Log>();
/** Deno has no "exit" after an error that nobody catches. */
const LAST_EVENTS = ["exit", "uncaughtExceptionMonitor"] as const;

/** Nodes of one process may share a file: it is one sink then, so that one of them doesn't turn it over under the others. */
const sinks = new Map<LineSink, { readonly file: string | undefined; users: number }>();

function sinkOf(options: LogOptions): LineSink {
  const { file } = options;
  for (const [lines, shared] of sinks) {
    if (file === undefined || shared.file !== file) continue;
    shared.users += 1;
    return lines;
  }
  const lines = new LineSink(options);
  sinks.set(lines, { file, users: 1 });
  return lines;
}

function leave(lines: LineSink): void {
  const shared = sinks.get(lines)!;
  shared.users -= 1;
  if (shared.users > 0) return lines.flush();
  sinks.delete(lines);
  lines.close();
}

function flushAll(): void {
  for (const log of open) log.flush();
}

/**
 * Opens the log of a node.
 *
 * @throws the system's error when the file can't be opened
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { mkdtempSync, readFileSync } from "node:fs";
 * import { tmpdir } from "node:os";
 * import { join } from "node:path";
 * import { makeLog } from "./log.ts";
 * const file = join(mkdtempSync(join(tmpdir(), "neo-")), "s1.log");
 * const log = makeLog({ file, node: "s1", role: "storage", level: "info" });
 * log("info", "it listens", { port: 9101 });
 * log.close();
 * const { node, text, port } = JSON.parse(readFileSync(file, "utf8"));
 * assert.deepEqual({ node, text, port }, { node: "s1", text: "it listens", port: 9101 });
 * ```
 */
export function makeLog(options: LogOptions): Log {
  const { file, node, role } = options;
  let lowest: LogLevels = { level: options.level, modules: {} };
  const lines = sinkOf(options);
  const format = file === undefined ? readableLine : jsonLine;
  const sink: Sink = (record) => lines.write(format(record), compareLogLevel(record.level, "warning") >= 0);
  const shared = getLogger(["neo", role]);
  const wants = (level: Level, module: LogModule) =>
    compareLogLevel(level, lowest.modules[module] ?? lowest.level) >= 0 && open.has(log);
  const say = (level: Level, text: string, facts: Facts = {}, module: LogModule = "node") => {
    if (!wants(level, module)) return;
    const properties = { ...ours(facts), node, role, module };
    const record = { level, message: [text], rawMessage: text, timestamp: Date.now(), properties };
    sink({ category: shared.category, ...record });
    shared.emit(record);
  };
  const close = () => {
    if (!open.delete(log)) return;
    if (open.size === 0) { for (const event of LAST_EVENTS) process.off(event, flushAll); }
    leave(lines);
  };
  const log: Log = Object.assign(say, {
    setFile: (when: LogFile) => lines.setFile(when),
    setLevels: (levels: LogLevels) => void (lowest = levels),
    wants,
    reopen: () => lines.reopen(),
    flush: () => lines.flush(),
    close,
  });
  if (open.size === 0) { for (const event of LAST_EVENTS) process.on(event, flushAll); }
  open.add(log);
  return log;
}

const RESERVED = new Set(["time", "level", "node", "role", "module", "text"]);

/** Facts whose names don't hide who speaks: `node` becomes `node_`. */
function ours(facts: Facts): Facts {
  if (!Object.keys(facts).some((name) => RESERVED.has(name))) return facts;
  const named = Object.entries(facts).map(([name, value]) => [RESERVED.has(name) ? `${name}_` : name, value]);
  return Object.fromEntries(named);
}

/** `time`, `level`, `node`, `role`, `module`, `text`, then the facts. */
function jsonLine({ level, message, timestamp, properties }: LogRecord): string {
  const { node, role, module, ...facts } = properties;
  const time = new Date(timestamp).toISOString();
  const first = { time, level, node, role, module, text: String(message[0]) };
  const line = printed({ ...first, ...facts });
  if (line.length <= LOG_LINE_BYTES_MAX) return `${line}\n`;
  return `${printed({ ...first, text: first.text.slice(0, CUT_LENGTH), cut: line.slice(0, CUT_LENGTH) })}\n`;
}

/** Leaves room for what JSON escapes. */
const CUT_LENGTH = LOG_LINE_BYTES_MAX / 8;

/** For a terminal: nothing that came from elsewhere can move its cursor or begin a line. */
function readableLine({ level, message, timestamp, properties }: LogRecord): string {
  const { node, role, module: _, ...facts } = properties;
  const words = Object.entries(facts).map(([name, value]) => `${name}=${plainValue(value)}`);
  const date = new Date(timestamp).toISOString().replace("T", " ").replace("Z", "");
  const text = [date, level.padEnd(7), `${role} ${node}:`, message[0], ...words].join(" ");
  return `${text.slice(0, LOG_LINE_BYTES_MAX).replace(CONTROLS, escaped)}\n`;
}

const CONTROLS = /[\p{Cc}\u2028\u2029]/gu;

function escaped(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function plainValue(value: unknown): string {
  if (typeof value === "string") return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
  return printed(value) ?? "undefined";
}

/** JSON, as far as the value lets itself be printed. */
function printed(value: unknown): string {
  try {
    return JSON.stringify(value, showValue);
  } catch (error) {
    return JSON.stringify({ unprintable: error instanceof Error ? error.message : String(error) });
  }
}

function showValue(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return hexOf(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Error) return value.message;
  if (value instanceof Map || value instanceof Set) return [...value];
  return value;
}
