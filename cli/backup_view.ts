/** What people see of a backup: how far it is behind, and what stands in the way. */
import { dateOfTid } from "../core/tid.ts";
import * as is from "./answers.ts";
import type { ClusterStatus } from "./ask.ts";

/** A backup as commands show it. */
export interface BackupView {
  /** Name of the cluster that it follows. */
  readonly of: string;
  /** Who copies; empty: nobody. */
  readonly follower: string;
  /** How far behind it is, by the dates of both clusters' last transactions; null: that isn't known, or it has nothing yet. */
  readonly behindMs: number | null;
  /** Empty: it follows. */
  readonly problem: string;
}

/** What answers say of it. */
export const backupAnswer = is.nullable(is.said(
  "Of which cluster this one is a backup",
  is.object({
    of: is.text,
    follower: is.said("The client that copies; empty: nobody", is.text),
    behindMs: is.nullable(is.said("By the dates of the last transactions", is.count)),
    problem: is.text,
  }),
));

/** Undefined: the cluster is no backup. */
export function backupOf({ backup, lastTid }: ClusterStatus): BackupView | undefined {
  if (backup === null) return undefined;
  const { of, follower, newest, problem } = backup;
  const isUnknown = newest === null || (lastTid === 0n && newest > lastTid);
  const behindMs = isUnknown ? null : Math.max(0, dateOfTid(newest) - dateOfTid(lastTid));
  const nobody = follower === ""
    ? `nobody copies ${of} to it: start the admin that has its upstream, or name one with \`neo cluster follow\``
    : "";
  return { of, follower, behindMs, problem: problem || nobody };
}

/** The same in words: `backup of shop, 3 s behind`. */
export function backupInWords({ of, behindMs }: BackupView): string {
  if (behindMs === null) return `backup of ${of}`;
  return `backup of ${of}, ${behindMs === 0 ? "up to date" : `${Math.ceil(behindMs / 1_000)} s behind`}`;
}
