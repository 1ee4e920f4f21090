import assert from "node:assert/strict";
import { test } from "node:test";
import { ID_MAX, type Oid, toOid, toTid } from "../core/ids.ts";
import { RecordIndex } from "./record_index.ts";

const oid = toOid(7n);

test("RecordIndex hides the records of a transaction until it ends", () => {
  const index = new RecordIndex();
  index.add(oid, 100);
  assert.equal(index.newest(oid), 0);

  index.end(toTid(1n));

  assert.equal(index.newest(oid), 100);
  assert.equal(index.find(oid, toTid(1n)), 100);
});

test("RecordIndex.find() knows neither other tids nor other objects", () => {
  const index = new RecordIndex();
  index.add(oid, 100);
  index.end(toTid(5n));

  assert.equal(index.find(oid, toTid(4n)), 0);
  assert.equal(index.find(oid, toTid(6n)), 0);
  assert.equal(index.find(toOid(8n), toTid(5n)), 0);
});

test("RecordIndex.find() gives the last of an object's records in one transaction", () => {
  const index = new RecordIndex();
  index.add(oid, 100);
  index.add(oid, 200);
  index.end(toTid(5n));

  assert.equal(index.find(oid, toTid(5n)), 200);
});

test("RecordIndex keeps many objects with several revisions apart while it grows", () => {
  const index = new RecordIndex();
  // Oids that share their low bits, their high bits, and neighbours.
  const oids: Oid[] = [];
  for (let n = 0n; n < 3000n; n++) oids.push(toOid(n), toOid(n << 40n | 1n << 39n), toOid(ID_MAX - n));
  const positionOf = (at: number, tid: number) => at * 10 + tid;

  for (let tid = 1; tid <= 3; tid++) {
    oids.forEach((each, at) => index.add(each, positionOf(at, tid)));
    index.end(toTid(tid));
  }

  oids.forEach((each, at) => {
    assert.equal(index.newest(each), positionOf(at, 3));
    for (let tid = 1; tid <= 3; tid++) assert.equal(index.find(each, toTid(tid)), positionOf(at, tid));
  });
});
