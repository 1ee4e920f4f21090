/** Time that a test moves: one for all nodes of a stage. */
import type { Clock } from "../../core/ports.ts";

interface Wake {
  readonly clock: Clock;
  readonly atMs: number;
  readonly wake: () => void;
}

/** The clocks of a stage, and the tasks that run soon. */
export class HandTime {
  nowMs = 1_000;
  wallMs: number = Date.UTC(2024, 4, 1);
  #tasks: (() => void)[] = [];
  #wakes = new Map<Clock, Wake>();

  /** The clock of one more process. */
  clock(): Clock {
    const clock: Clock = {
      now: () => ({ monoMs: this.nowMs, wallMs: Math.floor(this.wallMs) }),
      soon: (task) => this.soon(task),
      wakeAt: (atMs, wake) => {
        if (atMs === undefined) this.#wakes.delete(clock);
        else this.#wakes.set(clock, { clock, atMs, wake });
      },
    };
    return clock;
  }

  /** Runs a task behind those that wait. */
  soon(task: () => void): void {
    this.#tasks.push(task);
  }

  /** Runs the task that has waited longest, if one waits. */
  runTask(): boolean {
    const task = this.#tasks.shift();
    task?.();
    return task !== undefined;
  }

  /** Wakes whoever wanted it by now, one at a time. */
  wakeOne(): boolean {
    const first = this.#first();
    if (first === undefined || first.atMs > this.nowMs) return false;
    this.#wakes.delete(first.clock);
    first.wake();
    return true;
  }

  /** When the next one wants to be woken. */
  get nextMs(): number | undefined {
    return this.#first()?.atMs;
  }

  advance(toMs: number): void {
    this.wallMs += toMs - this.nowMs;
    this.nowMs = toMs;
  }

  #first(): Wake | undefined {
    let first: Wake | undefined;
    for (const wake of this.#wakes.values()) if (first === undefined || wake.atMs < first.atMs) first = wake;
    return first;
  }
}
