import assert from "node:assert/strict";
import { test } from "node:test";
import { MalformedError } from "../../core/errors.ts";
import { toOid, toTid } from "../../core/ids.ts";
import { CACHE_ENTRIES_MIN, CACHE_ENTRY_BYTES } from "../../core/limits.ts";
import { Cache } from "./cache.ts";
import type { LoadedRevision } from "./calls.ts";

const [oid, other] = [toOid(7n), toOid(8n)];
const ROOMY = { bytesMax: 1_000_000 };

function revision(tid: number, next: number | null, bytes = 1): LoadedRevision {
  const data = new Uint8Array(bytes).fill(tid);
  return { tid: toTid(tid), next: next === null ? null : toTid(next), data, link: null };
}

/** What a lookup gives, in short: tid and end. */
function seen(cache: Cache, at: number, id = oid): string {
  const found = cache.lookup(id, toTid(at));
  return found ? `${found.tid}-${found.next ?? ""}` : "miss";
}

function exact(cache: Cache, tid: number, id = oid): string {
  const found = cache.lookupExact(id, toTid(tid));
  return found ? `${found.tid}-${found.next ?? ""}` : "miss";
}

/** Room for so many objects of 100 bytes; a small one is never too big. */
function roomFor(objects: number): { bytesMax: number } {
  return { bytesMax: objects * (CACHE_ENTRY_BYTES + 100) };
}

/** Inserts other objects of 100 bytes, oids from 1000 up, until `count` of them came by. */
function crowd(cache: Cache, count: number, from = 1000): void {
  for (let at = 0; at < count; at++) cache.insert(toOid(from + at), revision(1, null, 100));
}

test("Cache.lookup() finds the newest revision up to a tid, and only where it is still that (T43, T47)", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(5, 9));
  cache.insert(oid, revision(20, null));
  cache.insert(oid, revision(2, 5));

  assert.equal(seen(cache, 1), "miss", "before the first one");
  assert.equal(seen(cache, 2), "2-5");
  assert.equal(seen(cache, 4), "2-5");
  assert.equal(seen(cache, 5), "5-9");
  assert.equal(seen(cache, 8), "5-9");
  assert.equal(seen(cache, 9), "miss", "something that isn't here begins at 9");
  assert.equal(seen(cache, 19), "miss");
  assert.equal(seen(cache, 20), "20-");
  assert.equal(seen(cache, 1_000), "20-");
  assert.equal(seen(cache, 20, other), "miss");
  const { hits, misses } = cache.stats;
  assert.deepEqual({ hits, misses }, { hits: 6, misses: 4 });
});

test("Cache.lookupExact() finds a revision by its tid, ended or not (T47)", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(5, 9));
  cache.insert(oid, revision(9, null));
  assert.equal(exact(cache, 5), "5-9");
  assert.equal(exact(cache, 9), "9-");
  assert.equal(exact(cache, 6), "miss");
  assert.equal(exact(cache, 4), "miss");
  assert.equal(exact(cache, 5, other), "miss");
  const { hits, misses } = cache.stats;
  assert.deepEqual({ hits, misses }, { hits: 2, misses: 3 });
});

test("Cache gives data, deletions and links as they were put in (T43)", () => {
  const cache = new Cache(ROOMY);
  const data = new Uint8Array([1, 2, 3]);
  cache.insert(oid, { tid: toTid(3), next: toTid(4), data, link: toTid(1) });
  cache.insert(oid, { tid: toTid(4), next: null, data: null, link: null });
  const found = cache.lookup(oid, toTid(3))!;
  assert.equal(found.data, data, "without a copy");
  assert.equal(found.link, 1n);
  assert.equal(cache.lookup(oid, toTid(4))!.data, null);
});

test("Cache.insert() copies data that is a view of something bigger, which would stay in memory with it", () => {
  const cache = new Cache(ROOMY);
  const message = new Uint8Array(10_000).fill(9);
  cache.insert(oid, { tid: toTid(3), next: null, data: message.subarray(10, 12), link: null });
  const { data } = cache.lookup(oid, toTid(3))!;
  assert.deepEqual(data, new Uint8Array([9, 9]));
  assert.equal(data!.buffer.byteLength, 2);
});

test("Cache.invalidate() ends what is current, at the first newer tid (T43)", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(2, 5));
  cache.insert(oid, revision(5, null));
  cache.invalidate(oid, toTid(5));
  assert.equal(seen(cache, 7), "5-", "its own publication doesn't end it");
  cache.invalidate(oid, toTid(9));
  cache.invalidate(oid, toTid(12));
  cache.invalidate(other, toTid(9));
  assert.equal(seen(cache, 8), "5-9");
  assert.equal(seen(cache, 9), "miss");
  assert.equal(seen(cache, 2), "2-5");
});

test("Cache.insert() takes the same twice, and keeps the end that either of them knows", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(5, null));
  cache.insert(oid, revision(5, null));
  assert.equal(seen(cache, 20), "5-");
  cache.insert(oid, revision(5, 9));
  assert.equal(seen(cache, 6), "5-9");
  cache.insert(oid, revision(5, null));
  assert.equal(seen(cache, 6), "5-9");
  assert.equal(cache.stats.entries, 1);
  assert.equal(cache.stats.bytes, CACHE_ENTRY_BYTES + 1);
  assert.throws(() => cache.insert(oid, revision(5, 8)), MalformedError, "two ends");
});

test("Cache.insert() refuses what can't be true beside what it holds", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(5, null));
  assert.throws(() => cache.insert(oid, revision(9, null)), MalformedError, "an older one is current");
  assert.throws(() => cache.insert(oid, revision(3, null)), MalformedError, "a newer one exists");
  assert.throws(() => cache.insert(oid, revision(3, 6)), MalformedError, "it ends within a newer one");
  cache.invalidate(oid, toTid(8));
  assert.throws(() => cache.insert(oid, revision(7, null)), MalformedError, "it begins within an older one");
  cache.insert(oid, revision(9, null));
  cache.insert(oid, revision(3, 5));
  assert.deepEqual([seen(cache, 3), seen(cache, 5), seen(cache, 8), seen(cache, 9)], [
    "3-5",
    "5-8",
    "miss",
    "9-",
  ]);
});

test("Cache stays within its bytes, and drops what was used least and longest ago (T43)", () => {
  const cache = new Cache(roomFor(10));
  crowd(cache, 10);
  assert.equal(cache.stats.entries, 10);
  assert.equal(seen(cache, 1, toOid(1000)), "1-", "used twice now");

  crowd(cache, 5, 2000);

  assert.equal(seen(cache, 1, toOid(1000)), "1-");
  for (let id = 1001; id <= 1005; id++) assert.equal(seen(cache, 1, toOid(id)), "miss");
  assert.equal(seen(cache, 1, toOid(1006)), "1-");
  const { entries, bytes, evictions } = cache.stats;
  assert.deepEqual({ entries, bytes, evictions }, { entries: 10, bytes: roomFor(10).bytesMax, evictions: 5 });
});

test("Cache keeps what is read often while a scan of any length goes by (T43)", () => {
  const cache = new Cache(roomFor(10));
  for (let id = 1; id <= 5; id++) {
    cache.insert(toOid(id), revision(1, null, 100));
    seen(cache, 1, toOid(id));
  }
  crowd(cache, 1_000);
  for (let id = 1; id <= 5; id++) assert.equal(seen(cache, 1, toOid(id)), "1-");
  assert.equal(cache.stats.entries, 10);
});

test("Cache lets go of what was read often and isn't any more, a level after each life (T43)", () => {
  const survives = (uses: number, others: number) => {
    const cache = new Cache({ ...roomFor(10), lifeAccesses: 20 });
    cache.insert(oid, revision(1, null, 100));
    for (let use = 2; use <= uses; use++) seen(cache, 1);
    crowd(cache, others);
    return exact(cache, 1) === "1-";
  };
  assert.deepEqual(
    [survives(1, 9), survives(1, 10)],
    [true, false],
    "the first level goes when room is needed",
  );
  assert.deepEqual([survives(2, 20), survives(2, 35)], [true, false]);
  assert.deepEqual([survives(4, 40), survives(4, 55)], [true, false]);
  assert.deepEqual([survives(8, 60), survives(8, 75)], [true, false]);
});

test("Cache keeps what isn't used as long as there is room (T43)", () => {
  const cache = new Cache({ ...roomFor(10), lifeAccesses: 20 });
  crowd(cache, 10);
  for (let use = 0; use < 1_000; use++) seen(cache, 1, toOid(1009));
  assert.equal(cache.stats.entries, 10);
  assert.equal(seen(cache, 1, toOid(1000)), "1-");
});

test("Cache counts a fixed amount an object, so that tiny ones can't fill the memory (T43)", () => {
  const cache = new Cache({ bytesMax: 20 * CACHE_ENTRY_BYTES });
  for (let id = 0; id < 100; id++) {
    cache.insert(toOid(id), { tid: toTid(1), next: null, data: null, link: null });
  }
  assert.equal(cache.stats.entries, 20);
  assert.equal(cache.stats.ghosts, 20, "no more ghosts than objects would fit");
});

test("Cache doesn't keep what would take more than its share", () => {
  const cache = new Cache(roomFor(CACHE_ENTRIES_MIN));
  crowd(cache, CACHE_ENTRIES_MIN);
  cache.insert(oid, revision(1, null, 101));
  assert.equal(seen(cache, 1), "miss");
  assert.equal(cache.stats.evictions, 0, "nothing had to go for it");
  cache.insert(oid, revision(1, null, 100));
  assert.equal(seen(cache, 1), "1-");
});

test("Cache of 0 bytes keeps nothing", () => {
  const cache = new Cache({ bytesMax: 0 });
  cache.insert(oid, { tid: toTid(1), next: null, data: null, link: null });
  cache.invalidate(oid, toTid(2));
  cache.clearCurrent();
  assert.equal(seen(cache, 1), "miss");
  assert.equal(exact(cache, 1), "miss");
  assert.deepEqual(cache.stats, { hits: 0, misses: 2, evictions: 0, entries: 0, bytes: 0, ghosts: 0 });
});

test("Cache remembers how often a dropped object was used, and keeps it longer when it comes again (T43)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(1, null, 100));
  crowd(cache, 10);
  assert.equal(seen(cache, 1), "miss");
  assert.equal(cache.stats.ghosts, 1);

  cache.insert(oid, revision(1, null, 100)); // its second use
  crowd(cache, 10, 2000);

  assert.equal(seen(cache, 1), "1-");
});

test("Cache ends a dropped revision too, so that one that comes late gets its end (T43)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(3, null, 100));
  crowd(cache, 10);
  cache.invalidate(oid, toTid(8));
  assert.equal(seen(cache, 5), "miss", "there is no data");
  assert.equal(exact(cache, 3), "miss");

  cache.insert(oid, revision(3, null, 100));

  assert.equal(seen(cache, 7), "3-8");
  assert.equal(seen(cache, 8), "miss");
});

test("Cache gives the uses of a revision to the one that follows it (T43)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(3, null, 100));
  seen(cache, 3);
  cache.invalidate(oid, toTid(8));
  cache.insert(oid, revision(8, null, 100));

  crowd(cache, 9);
  const { evictions, ghosts } = cache.stats;
  assert.deepEqual(
    { evictions, ghosts },
    { evictions: 1, ghosts: 0 },
    "the older one goes first, and leaves no ghost",
  );
  crowd(cache, 100, 2000);

  assert.equal(exact(cache, 8), "8-", "as often used as the object");
  assert.equal(exact(cache, 3), "miss", "it left with the first ones");
  cache.insert(oid, revision(3, 8, 100)); // its first use
  crowd(cache, 10, 3000);
  assert.equal(exact(cache, 3), "miss", "and nothing was remembered of it");
});

test("Cache gives the uses of a dropped revision to the one that follows it (T43)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(3, null, 100));
  crowd(cache, 10);
  cache.invalidate(oid, toTid(8));
  cache.insert(oid, revision(8, null, 100));
  assert.equal(cache.stats.ghosts, 1, "its ghost was replaced, and another one made room");

  crowd(cache, 10, 2000);

  assert.equal(exact(cache, 8), "8-");
});

test("Cache gives no uses to an older revision that comes later (T47)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(8, null, 100));
  seen(cache, 8);
  cache.insert(oid, revision(3, 8, 100));
  crowd(cache, 100);
  assert.equal(exact(cache, 8), "8-");
  assert.equal(exact(cache, 3), "miss");
});

test("Cache.clearCurrent() forgets what was current and keeps what has an end (T43)", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(2, 5));
  cache.insert(oid, revision(5, null));
  cache.insert(other, revision(4, null));

  cache.clearCurrent();

  assert.deepEqual([seen(cache, 5), seen(cache, 5, other), seen(cache, 4)], ["miss", "miss", "2-5"]);
  assert.deepEqual([cache.stats.entries, cache.stats.bytes], [1, CACHE_ENTRY_BYTES + 1]);
  cache.insert(oid, revision(9, null));
  assert.equal(seen(cache, 9), "9-", "a newer one that nobody told of");
});

test("Cache.clearCurrent() makes later publications no end of what was current before", () => {
  const cache = new Cache(ROOMY);
  cache.insert(oid, revision(3, null));
  cache.clearCurrent(); // 8 is missed
  cache.invalidate(oid, toTid(12));
  cache.insert(oid, revision(3, 8));
  assert.equal(seen(cache, 7), "3-8");
  assert.equal(seen(cache, 8), "miss");
});

test("Cache.clearCurrent() forgets the ends that dropped revisions wait for", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(3, null, 100));
  crowd(cache, 10);
  cache.clearCurrent();
  cache.insert(oid, revision(9, null, 100));
  assert.equal(seen(cache, 9), "9-");
});

test("Cache.clearCurrent() doesn't forget how often what was current was used (T43)", () => {
  const cache = new Cache(roomFor(10));
  cache.insert(oid, revision(3, null, 100));
  cache.clearCurrent();
  cache.insert(oid, revision(3, null, 100)); // its second use
  crowd(cache, 100);
  assert.equal(seen(cache, 3), "3-");
});

test("Cache.clear() forgets everything, and goes on", () => {
  const cache = new Cache(roomFor(10));
  crowd(cache, 15);
  cache.clear();
  assert.equal(seen(cache, 1, toOid(1014)), "miss");
  const { entries, bytes, ghosts } = cache.stats;
  assert.deepEqual({ entries, bytes, ghosts }, { entries: 0, bytes: 0, ghosts: 0 });
  crowd(cache, 15);
  assert.equal(cache.stats.entries, 10);
  assert.equal(seen(cache, 1, toOid(1004)), "miss");
  assert.equal(seen(cache, 1, toOid(1005)), "1-");
});

test("Cache finds any of many revisions of an object, in whatever order they came (T47)", () => {
  const cache = new Cache(ROOMY);
  const order = Array.from({ length: 1_000 }, (_, at) => (at * 387) % 1_000);
  for (const at of order) cache.insert(oid, revision(at * 2 + 1, at === 999 ? null : at * 2 + 3));
  for (let at = 0; at < 1_000; at++) {
    const found = `${at * 2 + 1}-${at === 999 ? "" : at * 2 + 3}`;
    assert.equal(seen(cache, at * 2 + 1), found);
    assert.equal(seen(cache, at * 2 + 2), found);
  }
});
