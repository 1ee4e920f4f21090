import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, toTid } from "../../core/ids.ts";
import type { LoadedRevision } from "./calls.ts";
import { PendingLoads } from "./pending_loads.ts";

const [oid, other] = [toOid(7n), toOid(8n)];

function revision(tid: number, next: number | null): LoadedRevision {
  return {
    tid: toTid(tid),
    next: next === null ? null : toTid(next),
    data: new Uint8Array([tid]),
    link: toTid(1),
  };
}

test("PendingLoads.end() gives a current revision the end that was published while it was loaded (T43)", () => {
  const loads = new PendingLoads();
  const load = loads.begin(oid);
  loads.invalidated(other, toTid(6));
  loads.invalidated(oid, toTid(8));
  loads.invalidated(oid, toTid(9));
  assert.deepEqual(loads.end(load, revision(3, null)), { revision: revision(3, 8), cacheable: true });
});

test("PendingLoads.end() passes over what was published before the revision, and its own publication (T43)", () => {
  const loads = new PendingLoads();
  const [first, second] = [loads.begin(oid), loads.begin(oid)];
  for (const tid of [8, 9, 12]) loads.invalidated(oid, toTid(tid));
  assert.equal(loads.end(first, revision(9, null)).revision.next, 12n);
  assert.equal(loads.end(second, revision(12, null)).revision.next, null);
});

test("PendingLoads.end() leaves a revision alone that has an end, or of which nothing was published", () => {
  const loads = new PendingLoads();
  const ended = revision(3, 5);
  const first = loads.begin(oid);
  loads.invalidated(oid, toTid(8));
  assert.equal(loads.end(first, ended).revision, ended);

  const current = revision(8, null);
  assert.equal(
    loads.end(loads.begin(oid), current).revision,
    current,
    "what was published before it began isn't known",
  );
});

test("PendingLoads tells loads of one object apart", () => {
  const loads = new PendingLoads();
  const early = loads.begin(oid);
  loads.invalidated(oid, toTid(8));
  const late = loads.begin(oid);
  loads.invalidated(oid, toTid(9));
  assert.equal(loads.end(early, revision(3, null)).revision.next, 8n);
  loads.invalidated(oid, toTid(10));
  assert.deepEqual(late.published, [9n, 10n]);
  assert.equal(loads.end(late, revision(8, null)).revision.next, 9n);
});

test("PendingLoads.jump() lets nothing be cached that was under way (T43)", () => {
  const loads = new PendingLoads();
  const before = loads.begin(oid);
  loads.jump();
  const after = loads.begin(oid);
  loads.invalidated(oid, toTid(8));
  assert.equal(loads.end(before, revision(3, 5)).cacheable, false);
  assert.deepEqual(loads.end(after, revision(3, null)), { revision: revision(3, 8), cacheable: true });
});

test("PendingLoads forgets what has ended", () => {
  const loads = new PendingLoads();
  const [first, second, third] = [loads.begin(oid), loads.begin(oid), loads.begin(other)];
  assert.equal(loads.size, 2);
  loads.drop(first);
  loads.invalidated(oid, toTid(8));
  assert.deepEqual([first.published, second.published], [[], [8n]]);
  loads.end(second, revision(3, null));
  loads.drop(third);
  loads.drop(third);
  assert.equal(loads.size, 0);
});
