/** What people see of packs: up to where history is gone, and who still deletes it. */
import { hexOf } from "../core/ids.ts";
import { dateOfTid } from "../core/tid.ts";
import * as is from "./answers.ts";
import type { ClusterStatus } from "./ask.ts";

/** Up to where history is packed. */
export interface PackView {
  readonly upTo: string;
  readonly time: string;
  /** Storages that haven't deleted all of it yet. */
  readonly packing: readonly string[];
}

/** What answers say of it. */
export const packAnswer = is.nullable(is.said(
  "Up to where history is packed",
  is.object({
    upTo: is.id,
    time: is.time,
    packing: is.said("Storages that haven't deleted all of it yet", is.list(is.text)),
  }),
));

/** Undefined: all history is kept. */
export function packOf({ pack }: ClusterStatus): PackView | undefined {
  if (pack === null) return undefined;
  const { bound, packing } = pack;
  return { upTo: hexOf(bound), time: new Date(dateOfTid(bound)).toISOString(), packing };
}

/** The same in words. */
export function packInWords({ time, packing }: PackView): string {
  return `history is packed up to ${time}${packing.length === 0 ? "" : `; ${packing.join(", ")} at it`}`;
}
