/** What people see of the oldest snapshot: it keeps the past in use. */
import { hexOf } from "../core/ids.ts";
import * as is from "./answers.ts";
import type { ClusterStatus } from "./ask.ts";

/** A snapshot that a client has open. */
export interface OldestSnapshot {
  readonly client: string;
  readonly tid: string;
  /** When the primary was told of it, by its clock. */
  readonly since: string;
}

/** What answers say of the oldest snapshot. */
export const oldestAnswer = is.nullable(is.said(
  "The oldest snapshot that a client has open for a while",
  is.object({ client: is.text, tid: is.id, since: is.time }),
));

/** Undefined: nobody has one open for long. */
export function oldestOf({ oldestSnapshot }: ClusterStatus): OldestSnapshot | undefined {
  if (oldestSnapshot === null) return undefined;
  const { client, at, sinceMs } = oldestSnapshot;
  return { client, tid: hexOf(at), since: new Date(sinceMs).toISOString() };
}
