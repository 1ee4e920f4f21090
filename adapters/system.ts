/**
 * The machine as roles see it: time, chance, digests, compression. The only file with timers.
 *
 * No timer keeps the process alive unless its owner says so: a daemon lives by its sockets, and once the last of
 * them is closed nothing that still waits may hold it. A client that waits to connect again has no socket at that
 * moment; its clock is made with `keepsProcess`.
 *
 * @module
 */
import { createHash, randomFillSync } from "node:crypto";
import { performance } from "node:perf_hooks";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";
import { deflateSync, inflateSync } from "node:zlib";
import { COMPRESS_LEVEL } from "../core/limits.ts";
import type { Now } from "../core/machine.ts";
import type { Clock, Compression, Digest, Random } from "../core/ports.ts";

/** What a timer of the platform can wait at once; longer waits are made of several. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Numbers that one call to the system's generator brings. */
const RANDOM_BATCH_LENGTH = 512;

/** Calls `task` once after `ms` milliseconds, and never when the function that it gives is called before. */
export type Later = (ms: number, task: () => void) => () => void;

/** `Later` by the machine's clock; it doesn't keep the process alive. */
export const later: Later = (ms, task) => {
  const timer = setTimeout(task, Math.min(ms, TIMER_MS_MAX));
  timer.unref();
  return () => clearTimeout(timer);
};

/**
 * The machine's clock.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SystemClock } from "./system.ts";
 * const clock = new SystemClock();
 * const before = clock.now().monoMs;
 * await new Promise<void>((wake) => clock.soon(wake));
 * assert.ok(clock.now().monoMs >= before);
 * ```
 */
export class SystemClock implements Clock {
  readonly #keepsProcess: boolean;
  #dueMs: number | undefined;
  #wake: () => void = () => {};
  #timer: { readonly handle: ReturnType<typeof setTimeout>; readonly dueMs: number } | undefined;

  /** @param options `keepsProcess`: the process doesn't end while a `wakeAt` is open */
  constructor(options: { readonly keepsProcess?: boolean } = {}) {
    this.#keepsProcess = options.keepsProcess ?? false;
  }

  now(): Now {
    return { monoMs: performance.now(), wallMs: Date.now() };
  }

  /** Costs next to nothing while deadlines move away: the earlier timer stays, and is set again when it fires. */
  wakeAt(monoMs: number | undefined, wake: () => void): void {
    this.#dueMs = monoMs;
    this.#wake = wake;
    if (monoMs === undefined) this.#disarm();
    else if (this.#timer === undefined || monoMs < this.#timer.dueMs) this.#arm(monoMs);
  }

  /** After the I/O that is ready now, and before the process waits for more: it can't starve sockets. */
  soon(task: () => void): void {
    setImmediate(task);
  }

  #arm(dueMs: number): void {
    this.#disarm();
    const waitMs = Math.min(Math.max(Math.ceil(dueMs - performance.now()), 0), TIMER_MS_MAX);
    const handle = setTimeout(() => this.#fired(), waitMs);
    if (!this.#keepsProcess) handle.unref();
    this.#timer = { handle, dueMs };
  }

  #disarm(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer.handle);
    this.#timer = undefined;
  }

  /** Timers may fire up to a millisecond early, and for a deadline that has moved since. */
  #fired(): void {
    this.#timer = undefined;
    const dueMs = this.#dueMs;
    if (dueMs === undefined) return;
    if (performance.now() < dueMs) return this.#arm(dueMs);
    this.#dueMs = undefined;
    this.#wake();
  }
}

/** Two 32-bit words as a number with 53 random bits: 0 <= it < 1. */
function unitOf(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
}

/** Randomness that nobody can foresee. */
export function systemRandom(): Random {
  const words = new Uint32Array(2 * RANDOM_BATCH_LENGTH);
  let used = words.length;
  const word = () => {
    if (used === words.length) {
      randomFillSync(words);
      used = 0;
    }
    return words[used++] ?? 0;
  };
  return { next: () => unitOf(word(), word()) };
}

/**
 * Randomness that a seed repeats, in every process and runtime (SplitMix, a counter and a mixer).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { seededRandom } from "./system.ts";
 * assert.equal(seededRandom(7).next(), seededRandom(7).next());
 * ```
 */
export function seededRandom(seed: number): Random {
  let counter = seed >>> 0;
  const word = () => {
    counter = (counter + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(counter ^ (counter >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
  return { next: () => unitOf(word(), word()) };
}

/** SHA-256 over the parts, one after another. */
export const sha256: Digest = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** Algorithm 0: as it is; 1: deflate in zlib's format. */
export const zlibCompression: Compression = {
  compress(algorithm, data, level = COMPRESS_LEVEL) {
    if (algorithm === 0) return data;
    if (algorithm !== 1) throw unknownAlgorithm("compress", algorithm);
    // A copy: what zlib gives is a corner of a block that is much larger than most objects.
    return new Uint8Array(deflateSync(data, { level }));
  },
  expand(algorithm, data, bytesMax) {
    if (algorithm !== 0 && algorithm !== 1) throw unknownAlgorithm("expand", algorithm);
    const expanded = algorithm === 0 ? data : inflate(data, bytesMax);
    if (expanded.length <= bytesMax) return expanded;
    throw new RangeError(`Cannot expand data: it grows beyond ${bytesMax} bytes`);
  },
};

function unknownAlgorithm(action: string, algorithm: number): RangeError {
  return new RangeError(`Cannot ${action} data: algorithm ${algorithm} isn't known; update this node`);
}

/** Stops as soon as it has more than `bytesMax`: a small message can't fill the memory. */
function inflate(data: Uint8Array, bytesMax: number): Uint8Array {
  let result: { readonly buffer: Uint8Array; readonly engine: { readonly bytesWritten: number } };
  try {
    const options = { maxOutputLength: Math.max(bytesMax, 1), info: true };
    result = inflateSync(data, options) as unknown as typeof result;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RangeError(`Cannot expand data: ${why}; fetch it again`, { cause: error });
  }
  // zlib counts what it has taken in as written.
  if (result.engine.bytesWritten === data.length) return new Uint8Array(result.buffer);
  throw new RangeError("Cannot expand data: more follows behind its end; fetch it again");
}
