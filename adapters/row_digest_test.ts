import assert from "node:assert/strict";
import { test } from "node:test";
import { ID_MAX, type Oid, toTid } from "../core/ids.ts";
import { noteOf, oidOf, sha256, tidAt, ttidOf } from "../tests/conformance/database_kit.ts";
import { packIds, RowDigest, unpackIds } from "./row_digest.ts";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

test("unpackIds() gives what packIds() took, in the same order", () => {
  const oids = [oidOf(3), ID_MAX as Oid, oidOf(0), oidOf(3)];
  const packed = packIds(oids);
  assert.deepEqual(unpackIds<Oid>(packed), oids);
  assert.equal(hex(packIds([258n])), "0000000000000102");
  const within = new Uint8Array(40).subarray(5, 37);
  within.set(packed);
  assert.deepEqual(unpackIds<Oid>(within), oids);
});

test("RowDigest of the same rows is the same in every version: replicas compare it", () => {
  const rows = new RowDigest(sha256);
  assert.equal(hex(rows.end().digest), hex(sha256()));

  rows.transaction({ tid: tidAt(5), ttid: ttidOf(9), ...noteOf("one", [oidOf(1), oidOf(4)]) });
  rows.revision({ tid: tidAt(5), oid: oidOf(1), checksum: sha256(), link: null });
  rows.revision({ tid: tidAt(5), oid: oidOf(4), checksum: null, link: tidAt(2) });

  const { count, digest } = rows.end();
  assert.equal(count, 3);
  assert.equal(hex(digest), "cebf3a3aabb1a1bd17bf6c73f027f3b335701e2df0a219a115cb077bc878a551");
});

test("RowDigest.end() begins anew", () => {
  const [rows, other] = [new RowDigest(sha256), new RowDigest(sha256)];
  for (let oid = 0; oid < 3_000; oid++) {
    rows.revision({ tid: tidAt(1), oid: oidOf(oid), checksum: sha256(), link: null });
  }
  assert.equal(rows.end().count, 3_000);
  const row = { tid: tidAt(5), oid: oidOf(4), checksum: null, link: tidAt(2) };
  rows.revision(row);
  other.revision(row);
  assert.deepEqual(rows.end(), other.end());
});

test("RowDigest folds long histories without losing a row", () => {
  const digestOf = (length: number, changed = -1) => {
    const rows = new RowDigest(sha256);
    for (let index = 0; index < length; index++) {
      const checksum = sha256(Uint8Array.of(index % 251, Number(index === changed)));
      rows.revision({ tid: toTid(BigInt(index + 1)), oid: oidOf(1), checksum, link: null });
    }
    return rows.end();
  };
  const { count, digest } = digestOf(5_000);
  assert.equal(count, 5_000);
  assert.equal(hex(digest), "f7d6248e91b457078ef9b3b734d5d6091039c16b7d2df949cc085d98a12bde57");
  for (const index of [0, 1_000, 1_057, 1_058, 2_115, 4_999]) {
    assert.notDeepEqual(digestOf(5_000, index).digest, digest, `row ${index}`);
  }
  assert.notDeepEqual(digestOf(4_999).digest, digest);
});
