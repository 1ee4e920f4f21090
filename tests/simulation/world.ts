/**
 * Simulated time: one queue of tasks for the whole cluster. Nothing happens beside it, so one seed is one history.
 * Who reads the trace hash of two runs knows whether they were the same.
 */
import { setImmediate } from "node:timers";
import type { Now } from "../../core/machine.ts";
import type { Clock } from "../../core/ports.ts";
import type { SimRandom } from "./random.ts";

/** Somebody whose tasks wait while it is paused, and are dropped once it is gone. */
export interface Owner {
  pausedUntilMs: number;
  /** How long each of its tasks keeps it busy. */
  readonly slowMs: number;
  readonly gone: boolean;
}

interface Task {
  readonly atMs: number;
  readonly order: number;
  readonly owner: Owner | undefined;
  readonly run: () => void;
}

/** Wall time at simulated time 0: 2026-01-31, so that runs cross the end of a month. */
export const WALL_START_MS = 1_769_903_990_000;

/** The queue, the time, and the hash of all that happened. */
export class World {
  #tasks: Task[] = []; // a binary heap by (atMs, order)
  #order = 0;
  #nowMs = 0;
  #steps = 0;
  #owes = false;
  #hashLow = 0x811c9dc5 | 0;
  #hashHigh = 0x01234567;

  /** The simulated time. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Tasks that have run. */
  get steps(): number {
    return this.#steps;
  }

  /** What two runs of one seed must have in common. */
  get hash(): string {
    const hex = (half: number) => (half >>> 0).toString(16).padStart(8, "0");
    return hex(this.#hashHigh) + hex(this.#hashLow);
  }

  /**
   * Runs a task at a time; tasks of one time run in the order in which they were given. Time has grains of 1/1024 ms,
   * so that adding and subtracting it is exact.
   */
  at(atMs: number, run: () => void, owner?: Owner): void {
    const grainMs = Math.ceil(Math.max(atMs, this.#nowMs) * 1024) / 1024;
    this.#push({ atMs: grainMs, order: this.#order++, owner, run });
  }

  /** Runs a task after a while. */
  after(delayMs: number, run: () => void, owner?: Owner): void {
    this.at(this.#nowMs + delayMs, run, owner);
  }

  /** Runs the next task. False: there is none. */
  step(): boolean {
    const task = this.#pop();
    if (task === undefined) return false;
    this.#nowMs = task.atMs;
    const { owner } = task;
    if (owner?.gone) return true;
    if (owner !== undefined && owner.pausedUntilMs > task.atMs) {
      this.at(owner.pausedUntilMs, task.run, owner);
      return true;
    }
    this.#steps += 1;
    task.run();
    if (owner !== undefined && owner.slowMs > 0) {
      owner.pausedUntilMs = Math.max(owner.pausedUntilMs, this.#nowMs + owner.slowMs);
    }
    return true;
  }

  /** Promises were touched: what waits for them goes on before the next task. */
  owe(): void {
    this.#owes = true;
  }

  /** As `runUntil`, for worlds in which somebody waits for promises. */
  async runAll(done: () => boolean, limitMs: number): Promise<boolean> {
    while (!done()) {
      const next = this.#tasks[0];
      if (next === undefined || next.atMs > limitMs) return false;
      this.step();
      while (this.#owes) {
        this.#owes = false;
        await new Promise((resolve) => setImmediate(resolve)); // behind all that is settled, and what follows from it
      }
    }
    return true;
  }

  /** Runs until `done` says so; false when `limitMs` came first, or nothing is left to do. */
  runUntil(done: () => boolean, limitMs: number): boolean {
    while (!done()) {
      const next = this.#tasks[0];
      if (next === undefined || next.atMs > limitMs) return false;
      this.step();
    }
    return true;
  }

  /** Folds something that happened into the hash. */
  note(what: number): void {
    const low = Math.imul(this.#hashLow ^ what, 0x01000193);
    this.#hashHigh = Math.imul(this.#hashHigh ^ (low >>> 15) ^ what, 0x85ebca6b) + 0x7f4a7c15 | 0;
    this.#hashLow = low ^ (low >>> 13);
  }

  /** The same for a text. */
  noteText(text: string): void {
    for (let i = 0; i < text.length; i++) this.note(text.charCodeAt(i));
  }

  /** The same for bytes, four at once. */
  noteBytes(bytes: Uint8Array): void {
    const end = bytes.length - 3;
    let at = 0;
    for (; at < end; at += 4) {
      this.note(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    }
    for (; at < bytes.length; at++) this.note(bytes[at]!);
    this.note(Math.floor(this.#nowMs * 1_000) | 0);
  }

  #push(task: Task): void {
    const tasks = this.#tasks;
    let at = tasks.length;
    tasks.push(task);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(task, tasks[above]!)) break;
      tasks[at] = tasks[above]!;
      at = above;
    }
    tasks[at] = task;
  }

  #pop(): Task | undefined {
    const tasks = this.#tasks;
    const first = tasks[0];
    const last = tasks.pop();
    if (first === undefined || last === undefined || first === last) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= tasks.length) break;
      if (below + 1 < tasks.length && isBefore(tasks[below + 1]!, tasks[below]!)) below += 1;
      if (!isBefore(tasks[below]!, last)) break;
      tasks[at] = tasks[below]!;
      at = below;
    }
    tasks[at] = last;
    return first;
  }
}

function isBefore(a: Task, b: Task): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** The clock of one node: its monotonic time starts anywhere, its wall clock may be wrong and may jump. */
export class SimClock implements Clock {
  /** How much the wall clock is ahead. */
  skewMs: number;
  #world: World;
  #owner: Owner;
  #random: SimRandom;
  #startMs: number;
  #wake: (() => void) | undefined;
  #wantMs = 0;
  #setMs = Infinity; // when the earliest task of ours runs

  constructor(world: World, owner: Owner, random: SimRandom, skewMs: number) {
    this.#world = world;
    this.#owner = owner;
    this.#random = random;
    this.#startMs = random.int(0, 1_000_000) - world.nowMs;
    this.skewMs = skewMs;
  }

  now(): Now {
    const { nowMs } = this.#world;
    return { monoMs: nowMs + this.#startMs, wallMs: Math.floor(WALL_START_MS + nowMs + this.skewMs) };
  }

  wakeAt(monoMs: number | undefined, wake: () => void): void {
    this.#wake = monoMs === undefined ? undefined : wake;
    if (monoMs === undefined) return;
    this.#wantMs = monoMs - this.#startMs;
    if (this.#wantMs < this.#setMs) this.#set();
  }

  /** A task stays in the queue when its time is put off, and looks again then: most deadlines are put off. */
  #set(): void {
    const atMs = this.#wantMs;
    this.#setMs = atMs;
    this.#world.at(atMs, () => {
      if (this.#setMs !== atMs) return;
      this.#setMs = Infinity;
      const wake = this.#wake;
      if (wake === undefined) return;
      if (this.#world.nowMs < this.#wantMs) return this.#set();
      this.#wake = undefined;
      wake();
    }, this.#owner);
  }

  soon(task: () => void): void {
    const delayMs = this.#random.chance(0.5) ? 0 : this.#random.between(0, 2);
    this.#world.after(delayMs, task, this.#owner);
  }
}
