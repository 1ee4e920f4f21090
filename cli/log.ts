/** Logs of nodes: one JSON object a line, so that programs can merge and search them. */
import { hexOf } from "../core/ids.ts";
import type { TextStream } from "./output.ts";

/** How much somebody should care. */
export type Level = "debug" | "info" | "warning" | "error";
/** Takes a line of log. */
export type Log = (level: Level, text: string, facts?: { readonly [name: string]: unknown }) => void;

/** Ids as ZODB's tools show them, bytes as their length, errors as their message. */
function logValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return hexOf(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (value instanceof Error) return value.message;
  return value;
}

/**
 * A log of one node on a stream.
 *
 * @param always stands in each line: who speaks
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { jsonLines } from "./log.ts";
 * let text = "";
 * jsonLines({ write: (line) => text += line }, { node: "s1" })("info", "it listens", { port: 9101 });
 * assert.match(text, /"level":"info","node":"s1","text":"it listens","port":9101\}\n$/);
 * ```
 */
export function jsonLines(stream: TextStream, always: { readonly [name: string]: unknown }): Log {
  return (level, text, facts = {}) => {
    if (level === "debug") return;
    const line = { time: new Date().toISOString(), level, ...always, text, ...facts };
    stream.write(`${JSON.stringify(line, logValue)}\n`);
  };
}
