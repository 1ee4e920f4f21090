/** What transactions made, where history may have been packed. */
import { DatabaseError, PackedError } from "../../core/errors.ts";
import { hexOf } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { LOAD_MANY_MAX } from "../../core/limits.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import type { Calling, CallOptions } from "./caller.ts";
import type { LoadedRevision } from "./calls.ts";

/** A revision of a transaction. */
export type Made = LoadedRevision & { readonly oid: Oid };

/** How to read what may have been packed. */
export interface MadeOptions extends CallOptions {
  /** Hears the bound of a pack that took something. */
  readonly onPacked?: (bound: Tid) => void;
}

/**
 * The revisions of a transaction in the order of its objects, without those that a pack took.
 *
 * @throws DatabaseError `noSuchRevision` when one isn't there and no pack tells why
 */
export async function revisionsMade(
  client: Calling,
  { tid, oids }: Pick<TransactionInfo, "tid" | "oids">,
  options: MadeOptions,
): Promise<Made[]> {
  const made: Made[] = [];
  for (let done = 0; done < oids.length; done += LOAD_MANY_MAX) {
    const some = oids.slice(done, done + LOAD_MANY_MAX);
    const found = await loadedAt(client, some, tid, options);
    for (const [at, oid] of some.entries()) {
      const revision = found[at];
      if (revision === null) continue;
      if (revision?.tid !== tid) {
        const text = `Cannot read transaction ${hexOf(tid)}: its revision of object ${hexOf(oid)} is missing`;
        throw new DatabaseError("noSuchRevision", text);
      }
      made.push({ ...revision, oid });
    }
  }
  return made;
}

/** Objects of a moment; undefined for one that didn't exist, null for one whose past was packed. */
export async function loadedAt(
  client: Calling,
  oids: readonly Oid[],
  at: Tid,
  { onPacked, ...options }: MadeOptions = {},
): Promise<readonly (LoadedRevision | undefined | null)[]> {
  try {
    return await client.call("loadMany", { oids, at }, options);
  } catch (error) {
    if (!(error instanceof PackedError)) throw error;
  }
  return await Promise.all(
    oids.map((oid) =>
      client.call("load", { oid, at }, options).catch((error: unknown) => {
        if (!(error instanceof PackedError)) throw error;
        onPacked?.(error.bound);
        return null;
      })
    ),
  );
}
