/** Memory and file descriptors of processes, over time: whether they stay flat. */
import { readdirSync, readFileSync } from "node:fs";
import { systemCodeOf } from "../../cli/exit.ts";

const MIB = 1024 * 1024;
/** At the end a node may use its use after the warm-up times this, and this much more. */
export const MEMORY_FACTOR_MAX = 1.5;
export const MEMORY_SLACK_BYTES = 32 * MIB;
/** The same for file descriptors. */
export const FILES_FACTOR_MAX = 1.5;
export const FILES_SLACK = 32;
/** Part of a run that counts as warm-up: caches fill, programs are compiled. */
export const WARM_UP_PART = 0.25;

/** What a process uses at a moment. */
export interface Use {
  /** Bytes that are in memory. */
  readonly memory: number;
  /** Files, sockets and the like that are open. */
  readonly files: number;
}

/** One of them over a run. */
export interface Course {
  /** At the end of the warm-up. */
  readonly start: number;
  readonly min: number;
  readonly max: number;
  readonly end: number;
}

/** What a process uses; undefined when there is none, or nothing tells. */
export function useOf(pid: number): Use | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    if (kib === undefined) return undefined; // a zombie has none
    return { memory: Number(kib) * 1024, files: readdirSync(`/proc/${pid}/fd`).length };
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES"].includes(systemCodeOf(error) ?? "")) return undefined;
    throw error;
  }
}

/** What one node has used, from sample to sample; a node that is started anew goes on here. */
export class Uses {
  readonly #samples: { readonly atMs: number; readonly use: Use }[] = [];

  add(atMs: number, use: Use): void {
    this.#samples.push({ atMs, use });
  }

  /** Its course since the warm-up ended; undefined when nothing was seen from then on. */
  course(what: keyof Use, warmMs: number): Course | undefined {
    const after = this.#samples.filter(({ atMs }) => atMs >= warmMs).map(({ use }) => use[what]);
    const [start, end] = [after[0], after.at(-1)];
    if (start === undefined || end === undefined) return undefined;
    return { start, min: Math.min(...after), max: Math.max(...after), end };
  }
}

/** What has grown beyond its bound, a line each. */
export function growthOf(name: string, memory: Course | undefined, files: Course | undefined): string[] {
  const breaches: string[] = [];
  if (memory && memory.end > memory.start * MEMORY_FACTOR_MAX + MEMORY_SLACK_BYTES) {
    breaches.push(
      `${name} used ${mib(memory.start)} of memory after the warm-up and ${mib(memory.end)} at the end`,
    );
  }
  if (files && files.end > files.start * FILES_FACTOR_MAX + FILES_SLACK) {
    breaches.push(`${name} had ${files.start} files open after the warm-up and ${files.end} at the end`);
  }
  return breaches;
}

/** Bytes for people. */
export function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}
