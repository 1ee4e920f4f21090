/** Lines of the logs of several processes as one, by time: each file is in order, so the oldest head of them is next. */
import { createReadStream, existsSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Level } from "../adapters/log.ts";

/** One line. `time` is ISO 8601; a line that isn't JSON has the time of the one before it, and its text only. */
export interface LogEntry {
  readonly time: string;
  readonly level: string;
  readonly node: string;
  readonly text: string;
  /** All that the line says. */
  readonly fields: { readonly [name: string]: unknown };
}

/** Which lines are wanted; what isn't named doesn't matter. */
export interface LogFilter {
  /** Milliseconds since 1970: not before, and before. */
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** At least. */
  readonly level?: Level;
  /** Stands somewhere in the line. */
  readonly containing?: string;
}

/** Levels, the least first. */
export const LEVELS = ["debug", "info", "warning", "error"] as const;

/**
 * What a line of a log says.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseLine } from "./log_lines.ts";
 * const line = '{"time":"2026-01-01T00:00:00.000Z","level":"info","node":"s1","text":"it listens"}';
 * assert.equal(parseLine(line, "s1", "").text, "it listens");
 * assert.equal(parseLine("panicked", "s1", "2026-01-01T00:00:00.000Z").level, "error");
 * ```
 */
export function parseLine(line: string, process: string, before: string): LogEntry {
  const fields = fieldsOf(line);
  const text = (name: string, otherwise: string) => {
    const value = fields?.[name];
    return typeof value === "string" ? value : otherwise;
  };
  return {
    time: text("time", before),
    level: text("level", "error"), // not ours: the runtime's last words, or our own about lost lines
    node: text("node", process),
    text: fields === undefined ? line : text("text", text("message", line)),
    fields: fields ?? { text: line },
  };
}

function fieldsOf(line: string): { readonly [name: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Whether a line is wanted. */
export function isWanted(entry: LogEntry, filter: LogFilter): boolean {
  const { sinceMs, untilMs, level, containing } = filter;
  const atMs = Date.parse(entry.time);
  if (sinceMs !== undefined && atMs < sinceMs) return false;
  if (untilMs !== undefined && atMs >= untilMs) return false;
  const levels: readonly string[] = LEVELS;
  if (level !== undefined && levels.indexOf(entry.level) < levels.indexOf(level)) return false;
  return containing === undefined || JSON.stringify(entry.fields).includes(containing);
}

/** Lines of one process's log, the turned-over file first, or that one only. */
export async function* linesOf(
  path: string,
  process: string,
  { older = false }: { readonly older?: boolean } = {},
): AsyncGenerator<LogEntry> {
  let time = "";
  const files = older ? [`${path}.1`] : [`${path}.1`, path];
  for (const file of files.filter((file) => existsSync(file))) {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      if (line === "") continue;
      const entry = parseLine(line, process, time);
      time = entry.time;
      yield entry;
    }
  }
}

/** Merges what is in order by time. Of equal times, those of the earlier source come first. */
export async function* mergedByTime(sources: readonly AsyncIterable<LogEntry>[]): AsyncGenerator<LogEntry> {
  const heads = await Promise.all(sources.map(async (source) => {
    const iterator = source[Symbol.asyncIterator]();
    return { iterator, result: await iterator.next() };
  }));
  for (;;) {
    let first: (typeof heads)[number] | undefined;
    for (const head of heads) {
      if (head.result.done) continue;
      if (first === undefined || head.result.value.time < first.result.value.time) first = head;
    }
    if (first === undefined) return;
    yield first.result.value;
    first.result = await first.iterator.next();
  }
}
