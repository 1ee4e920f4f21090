/** Pages over many partitions: what stands in tid order in each of them, in one order. */
import type { Partition, Tid } from "../core/ids.ts";

/** A transaction's place. */
interface Place {
  readonly partition: Partition;
  readonly tid: Tid;
}

/** What a page asks for: the first `count` tids above `after`. */
interface Page {
  readonly after: Tid;
  readonly count: number;
  /** The next tids of a partition, ascending, `limit` at most. */
  readonly tidsOf: (partition: Partition, after: Tid, limit: number) => readonly Tid[];
}

/** What has been read of one partition. */
interface Cursor {
  readonly partition: Partition;
  last: Tid;
  /** False: there is nothing after `last`. */
  more: boolean;
}

/**
 * The first tids of all partitions together. Each partition is asked for about its share, and asked again only while
 * what it hasn't given yet could belong to the page: a page costs a look-up per partition, however long the history is.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { type Partition, toTid } from "../core/ids.ts";
 * import { firstTids } from "./sqlite_pages.ts";
 *
 * const history = [[2n, 4n, 6n], [1n, 9n]];
 * const tidsOf = (partition: Partition, after: bigint, limit: number) =>
 *   history[partition]!.filter((tid) => tid > after).slice(0, limit).map(toTid);
 * const page = firstTids([0, 1] as Partition[], { after: toTid(1), count: 3, tidsOf });
 * assert.deepEqual(page.map(({ tid }) => tid), [2n, 4n, 6n]);
 * ```
 */
export function firstTids(partitions: readonly Partition[], page: Page): Place[] {
  const { after, count } = page;
  if (count <= 0) return [];
  const places: Place[] = [];
  const cursors = [...new Set(partitions)].map((partition): Cursor => ({
    partition,
    last: after,
    more: true,
  }));
  const share = Math.ceil((2 * count) / cursors.length) + 1;
  for (const cursor of cursors) advance(cursor, share);
  for (;;) {
    const bound = cursors.reduce<Tid | null>(
      (least, { last, more }) => (more && (least === null || last < least) ? last : least),
      null,
    );
    places.sort((a, b) => (a.tid < b.tid ? -1 : 1));
    const final = places[count - 1];
    if (bound === null || (final !== undefined && final.tid <= bound)) return places.slice(0, count);
    for (const cursor of cursors) {
      if (cursor.more && cursor.last === bound) advance(cursor, count);
    }
  }

  function advance(cursor: Cursor, share: number): void {
    const limit = Math.min(share, count);
    const tids = page.tidsOf(cursor.partition, cursor.last, limit);
    places.push(...tids.map((tid) => ({ partition: cursor.partition, tid })));
    cursor.last = tids.at(-1) ?? cursor.last;
    cursor.more = tids.length === limit;
  }
}
