/** Days of tids, for what is noted once a day. */
import type { Tid } from "../core/ids.ts";
import { dateOfTid } from "../core/tid.ts";

const DAY_MS = 24 * 3_600_000;

/** The day of a tid, counted since 1970. */
export function dayOf(tid: Tid): number {
  return Math.floor(dateOfTid(tid) / DAY_MS);
}
