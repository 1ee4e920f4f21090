/** Waiting for what sends no event, such as the end of a process that isn't our child. */
import { SystemClock } from "../adapters/system.ts";
import { PROCESS_LOOK_MS } from "../core/limits.ts";

/** Milliseconds that only grow. */
export function monoMs(): number {
  return new SystemClock().now().monoMs;
}

/** Waits; the process stays for it. */
export function pause(ms: number): Promise<void> {
  const clock = new SystemClock({ keepsProcess: true });
  return new Promise((wake) => clock.wakeAt(clock.now().monoMs + ms, wake));
}

/**
 * Looks now and then until `condition` holds, for `withinMs` at most.
 *
 * @returns whether it came to hold
 */
export async function until(condition: () => boolean, withinMs: number): Promise<boolean> {
  const endMs = monoMs() + withinMs;
  for (;;) {
    if (condition()) return true;
    const leftMs = endMs - monoMs();
    if (leftMs <= 0) return false;
    await pause(Math.min(PROCESS_LOOK_MS, leftMs));
  }
}
