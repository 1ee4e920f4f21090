/**
 * Loads that are under way, and what is published meanwhile. A storage may have answered that a revision is current just before
 * another one was published, and the news may be faster than the answer: then the news says where the revision ends.
 */
import type { Oid, Tid } from "../../core/ids.ts";
import type { LoadedRevision } from "./calls.ts";

/** A load that is under way. */
export interface PendingLoad {
  readonly oid: Oid;
  /** The object's revisions that were published since the load began, ascending. */
  readonly published: Tid[];
  /** False: publications were missed since. */
  followed: boolean;
}

/** What a load ended with. */
export interface EndedLoad {
  readonly revision: LoadedRevision;
  /** Whether its end is sure, so that a cache may keep it. */
  readonly cacheable: boolean;
}

const NOBODY: readonly PendingLoad[] = [];

/**
 * The loads under way.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid, toTid } from "../../core/ids.ts";
 * import { PendingLoads } from "./pending_loads.ts";
 * const loads = new PendingLoads();
 * const load = loads.begin(toOid(7n));
 * loads.invalidated(toOid(7n), toTid(8));
 * const { revision } = loads.end(load, { tid: toTid(3), next: null, data: null, link: null });
 * assert.equal(revision.next, 8n);
 * ```
 */
export class PendingLoads {
  #loads = new Map<Oid, PendingLoad[]>();

  /** Objects that are being loaded. */
  get size(): number {
    return this.#loads.size;
  }

  /** Follows a load from before its question is sent. Each is given to `end()` or `drop()` once. */
  begin(oid: Oid): PendingLoad {
    const load: PendingLoad = { oid, published: [], followed: true };
    const others = this.#loads.get(oid);
    if (others) others.push(load);
    else this.#loads.set(oid, [load]);
    return load;
  }

  /** The object has a new revision. */
  invalidated(oid: Oid, tid: Tid): void {
    for (const load of this.#loads.get(oid) ?? NOBODY) load.published.push(tid);
  }

  /** Publications were missed: what is under way may have ended unheard. */
  jump(): void {
    for (const loads of this.#loads.values()) for (const load of loads) load.followed = false;
    this.#loads.clear();
  }

  /**
   * A load has its answer.
   *
   * @param revision its end is null if it is beyond the newest tid: that one will be told
   * @returns the revision with its end, as far as it was heard of
   */
  end(load: PendingLoad, revision: LoadedRevision): EndedLoad {
    this.drop(load);
    const cacheable = load.followed;
    if (revision.next !== null) return { revision, cacheable };
    const next = load.published.find((tid) => tid > revision.tid);
    return { revision: next === undefined ? revision : { ...revision, next }, cacheable };
  }

  /** A load ends without a revision. */
  drop(load: PendingLoad): void {
    const loads = this.#loads.get(load.oid);
    const at = loads?.indexOf(load) ?? -1;
    if (loads === undefined || at < 0) return;
    if (loads.length === 1) this.#loads.delete(load.oid);
    else loads.splice(at, 1);
  }
}
