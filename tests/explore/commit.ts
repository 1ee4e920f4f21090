/** What the programs of a world commit: each value says whose it is, and what it stands on. */
import type { Oid, Tid } from "../../core/ids.ts";
import type { Commit } from "../../roles/client/calls.ts";

/** An object and the revision that its program knows. */
export interface Based {
  readonly oid: bigint;
  readonly base: bigint;
}

const NOTHING = new Uint8Array();

/** The commit of a call, by its name. */
export function commitOf(
  call: string,
  writes: readonly Based[],
  checks: readonly Based[],
  ageMs: number,
): Commit {
  return {
    writes: writes.map(({ oid, base }) => ({
      oid: oid as Oid,
      base: base as Tid,
      data: new TextEncoder().encode(valueOf(call, base)),
    })),
    checks: checks as Commit["checks"],
    user: NOTHING,
    description: NOTHING,
    extension: NOTHING,
    status: " ",
    ageMs,
  };
}

/** The value that a call stores on top of a revision. */
function valueOf(call: string, base: bigint): string {
  return `${call} on ${base}`;
}

/** Whose value it is, and what it stands on. */
export function ofValue(text: string): { readonly call: string; readonly base: bigint } {
  const [call, base] = text.split(" on ");
  return { call: call!, base: BigInt(base!) };
}
