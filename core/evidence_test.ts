import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import { evidenceDigest } from "./evidence.ts";
import type { HeldObject } from "./evidence.ts";
import { toOid, toTid } from "./ids.ts";

const object: HeldObject = {
  oid: toOid(5n),
  base: toTid(3n),
  mode: "store",
  checksum: sha256(Uint8Array.of(1)),
};
const other: HeldObject = { oid: toOid(6n), base: toTid(0n), mode: "check", checksum: null };

test("evidenceDigest() doesn't depend on the order in which objects were stored", () => {
  const objects = fc.uniqueArray(fc.bigInt(0n, 2n ** 63n - 1n), { maxLength: 20 });
  fc.assert(fc.property(objects, fc.nat(), (oids, turn) => {
    const all = oids.map((oid) => ({ ...object, oid: toOid(oid) }));
    const at = all.length === 0 ? 0 : turn % all.length;
    const turned = [...all.slice(at), ...all.slice(0, at)];
    assert.deepEqual(evidenceDigest(turned, sha256), evidenceDigest(all, sha256));
  }));
});

const differences: { what: string; objects: readonly HeldObject[] }[] = [
  { what: "an object is missing", objects: [object] },
  { what: "an object is more", objects: [object, other, { ...other, oid: toOid(7n) }] },
  { what: "an oid differs", objects: [{ ...object, oid: toOid(4n) }, other] },
  { what: "a base differs", objects: [{ ...object, base: toTid(4n) }, other] },
  { what: "the data differs", objects: [{ ...object, checksum: sha256(Uint8Array.of(2)) }, other] },
  { what: "it is a deletion", objects: [{ ...object, checksum: null }, other] },
  { what: "a check is a deletion", objects: [object, { ...other, mode: "store" }] },
];
for (const { what, objects } of differences) {
  test(`evidenceDigest() differs when ${what}`, () => {
    assert.notDeepEqual(evidenceDigest(objects, sha256), evidenceDigest([object, other], sha256));
  });
}

test("evidenceDigest() leaves the list that it is given as it is", () => {
  const objects = [other, object];
  evidenceDigest(objects, sha256);
  assert.deepEqual(objects, [other, object]);
});
