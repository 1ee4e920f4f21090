import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, toTtid } from "../../core/ids.ts";
import { isOlder, Locks } from "./locks.ts";
import type { Claim } from "./locks.ts";

const oid = toOid(7n);
const claim = (ttid: number, ageMs: number): Claim => ({ ttid: toTtid(ttid), ageMs });
const [a, b, c] = [claim(1, 10), claim(2, 20), claim(3, 30)];

test("Locks has one holder an object, who may take it again", () => {
  const locks = new Locks<Claim>();
  assert.equal(locks.take(oid, a!.ttid), true);
  assert.equal(locks.take(oid, a!.ttid), true);
  assert.equal(locks.take(oid, b!.ttid), false);
  assert.equal(locks.take(toOid(8n), b!.ttid), true, "another object");
  assert.deepEqual([locks.holders(oid), locks.holders(toOid(9n)), locks.size], [[1n], [], 2]);
});

test("Locks.release() frees an object and gives those that waited, oldest first", () => {
  const locks = new Locks<Claim>();
  locks.take(oid, toTtid(9n));
  for (const waiting of [b!, c!, a!]) locks.wait(oid, waiting);

  assert.deepEqual(locks.release(oid, toTtid(9n)), [a, b, c]);

  assert.deepEqual(locks.holders(oid), [], "they are judged again, and take it themselves");
  assert.equal(locks.size, 0);
});

test("Locks.release() does nothing for who doesn't hold the lock", () => {
  const locks = new Locks<Claim>();
  locks.take(oid, a!.ttid);
  locks.wait(oid, b!);
  assert.deepEqual(locks.release(oid, b!.ttid), []);
  assert.deepEqual(locks.release(toOid(8n), a!.ttid), []);
  assert.deepEqual(locks.holders(oid), [a!.ttid]);
});

test("Locks.leave() takes one request out of the queue, and only that", () => {
  const locks = new Locks<Claim>();
  locks.take(oid, toTtid(9n));
  for (const waiting of [a!, b!, c!]) locks.wait(oid, waiting);
  locks.leave(oid, b!);
  locks.leave(oid, b!);
  locks.leave(toOid(8n), a!);
  assert.deepEqual(locks.release(oid, toTtid(9n)), [a, c]);
});

test("Locks.share() keeps everybody waiting until the last that shares has ended (A7)", () => {
  const locks = new Locks<Claim>();
  locks.share(oid, a!.ttid);
  locks.share(oid, b!.ttid);
  assert.equal(locks.take(oid, c!.ttid), false);
  assert.equal(locks.take(oid, a!.ttid), false, "another one shares it");
  locks.wait(oid, c!);

  assert.deepEqual(locks.release(oid, b!.ttid), []);
  assert.equal(locks.take(oid, a!.ttid), true, "its own share is no obstacle");
  assert.deepEqual(locks.holders(oid), [a!.ttid]);
  assert.deepEqual(locks.release(oid, a!.ttid), [c]);
  assert.equal(locks.size, 0);
});

const anyClaim = fc.record({ ttid: fc.integer({ min: 1, max: 50 }), ageMs: fc.nat(3) });

test("Locks gives requests back in the order of age, then ttid, then arrival", () => {
  fc.assert(fc.property(fc.array(anyClaim, { maxLength: 30 }), (claims) => {
    const locks = new Locks<Claim & { at: number }>();
    locks.take(oid, toTtid(99n));
    const all = claims.map(({ ttid, ageMs }, at) => ({ ...claim(ttid, ageMs), at }));
    for (const one of all) locks.wait(oid, one);

    const given = locks.release(oid, toTtid(99n));

    const expected = all.toSorted((x, y) => x.ageMs - y.ageMs || Number(x.ttid - y.ttid) || x.at - y.at);
    assert.deepEqual(given, expected);
  }));
});

const pairs = [
  { first: claim(5, 10), second: claim(1, 20), older: true },
  { first: claim(1, 20), second: claim(5, 10), older: false },
  { first: claim(1, 10), second: claim(2, 10), older: true },
  { first: claim(2, 10), second: claim(2, 10), older: false },
];
for (const { first, second, older } of pairs) {
  test(`isOlder() is ${older} for age ${first.ageMs} of ttid ${first.ttid} beside age ${second.ageMs} of ttid ${second.ttid}`, () => {
    assert.equal(isOlder(first, second), older);
  });
}
