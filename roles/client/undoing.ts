/**
 * Undo: what a transaction did is taken back by another one (N2). Nothing of the past is changed.
 *
 * Of each object of the undone transaction there are three values: `undone`, that it wrote; `former`, of the revision before;
 * `current`, of the snapshot, or what the transaction that undoes has written itself, so that undos add up. If `current` is what
 * was undone, the object gets `former` again, with a link to that revision. If not, somebody has changed it since, and it is
 * for the resolver to take the change out, as of two writes of one base: base `undone`, saved `current`, mine `former`.
 * The bytes go with the link: a copy that lacks the linked revision, or has packed it, is none the worse.
 */
import { PackedError, UndoError } from "../../core/errors.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { LOAD_MANY_MAX } from "../../core/limits.ts";
import type { Calling, CallOptions } from "./caller.ts";
import type { LoadedRevision } from "./calls.ts";
import type { Resolver } from "./resolving.ts";
import { filledOf } from "./values.ts";

/** What an object gets. `data` null: it is deleted. */
export interface Restored {
  readonly oid: Oid;
  readonly base: Tid;
  readonly data: Uint8Array | null;
  readonly link?: Tid;
}

/** What a transaction that undoes consists of. */
export interface Undone {
  readonly restored: readonly Restored[];
  /** Objects that have their former value already: they must keep it until the commit. */
  readonly kept: readonly { readonly oid: Oid; readonly base: Tid }[];
}

/** What is undone, and what is known of it here. */
export interface Undoing {
  readonly tid: Tid;
  /** The snapshot of the transaction that undoes. */
  readonly at: Tid;
  /** What that has written itself. */
  readonly own: (oid: Oid) => Omit<Restored, "oid"> | undefined;
  readonly resolve: Resolver | undefined;
}

/** A value, and the revision that it is of; `tid` is 0 where the object doesn't exist yet. */
interface Value {
  readonly tid: Tid;
  readonly data: Uint8Array | null;
}

/**
 * What the objects of a transaction get back.
 *
 * @throws UndoError when there is no such transaction, something was changed since, or its past is gone
 * @throws what the resolver throws
 */
export async function undone(calling: Calling, undoing: Undoing, options: CallOptions): Promise<Undone> {
  const { tid, at } = undoing;
  const range = { after: (tid - 1n) as Tid, upTo: tid, count: 1 };
  const found = tid <= at && tid > ZERO_TID ? await calling.call("transactions", range, options) : undefined;
  const info = found?.transactions[0];
  if (info === undefined) throw new UndoError("unknown", { tid });
  const restored: Restored[] = [];
  const kept: { readonly oid: Oid; readonly base: Tid }[] = [];
  for (let done = 0; done < info.oids.length; done += LOAD_MANY_MAX) {
    const oids = info.oids.slice(done, done + LOAD_MANY_MAX);
    const valuesAt = async (moment: Tid): Promise<Value[]> =>
      await loaded(calling, oids, moment, { undoing: tid, ...options });
    const [undone, former, current] = [
      await valuesAt(tid),
      await valuesAt((tid - 1n) as Tid),
      await valuesAt(at),
    ];
    for (const [index, oid] of oids.entries()) {
      const now = undoing.own(oid) ?? { base: current[index]!.tid, data: current[index]!.data };
      const values = { undone: undone[index]!, former: former[index]!, now };
      const one = await restoredOf(oid, values, undoing);
      if (one !== undefined) restored.push(one);
      else if (undoing.own(oid) === undefined) kept.push({ oid, base: now.base });
    }
  }
  return { restored, kept };
}

async function loaded(
  calling: Calling,
  oids: readonly Oid[],
  at: Tid,
  { undoing, ...options }: CallOptions & { readonly undoing: Tid },
): Promise<Value[]> {
  if (at === ZERO_TID) return oids.map(() => ({ tid: ZERO_TID, data: null }));
  const found = await calling.call("loadMany", { oids, at }, options).catch((error: unknown) => {
    throw error instanceof PackedError ? new UndoError("packed", { tid: undoing }, { cause: error }) : error;
  });
  const fill = async (oid: Oid, revision: LoadedRevision | undefined): Promise<Value> => {
    const filled = await filledOf(calling, oid, revision, options);
    return { tid: filled?.tid ?? ZERO_TID, data: filled?.data ?? null };
  };
  return await Promise.all(oids.map((oid, index) => fill(oid, found[index])));
}

async function restoredOf(
  oid: Oid,
  { undone, former, now }: {
    readonly undone: Value;
    readonly former: Value;
    readonly now: Omit<Restored, "oid">;
  },
  { tid, resolve }: Undoing,
): Promise<Restored | undefined> {
  if (undone.tid !== tid) throw new UndoError("gone", { tid, oid });
  const { base } = now;
  if (now.data === undone.data || equal(now.data, undone.data)) {
    const link = former.tid === ZERO_TID ? {} : { link: former.tid };
    return { oid, base, data: former.data, ...link };
  }
  if (equal(now.data, former.data)) return undefined; // that has been taken back already
  const [saved, mine] = [now.data, former.data];
  const data = saved === null || mine === null
    ? undefined // deletions aren't resolved
    : await resolve?.({ oid, base: undone.data ?? undefined, saved, mine, baseTid: tid, savedTid: base });
  if (data === undefined) throw new UndoError("changed", { tid, oid, changedBy: base });
  return { oid, base, data };
}

function equal(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
