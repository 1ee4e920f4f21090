/** The end of a process's log, which is what one wants to see of a process that has failed. */
import { Buffer } from "node:buffer";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { LOG_TAIL_BYTES_MAX } from "../core/limits.ts";
import type { ClusterConfig } from "./config.ts";
import { systemCodeOf } from "./exit.ts";

/** Where a process of the cluster logs. */
export function logFileOf(config: ClusterConfig, processName: string): string {
  return join(config.folder, "log", `${processName}.log`);
}

/** The last lines of a file from byte `start` on, `count` at most; none when there is no file. */
export function lastLines(path: string, count: number, start = 0): string[] {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return [];
    throw error;
  }
  try {
    const { size } = fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(Math.max(size - start, 0), LOG_TAIL_BYTES_MAX));
    const length = readSync(descriptor, tail, 0, tail.length, size - tail.length);
    const lines = tail.toString("utf8", 0, length).split("\n").filter((line) => line !== "");
    return lines.slice(-count);
  } finally {
    closeSync(descriptor);
  }
}
