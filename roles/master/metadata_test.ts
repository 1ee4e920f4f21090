import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ofCbor, toCbor } from "../../core/cbor.ts";
import { MalformedError } from "../../core/errors.ts";
import { toOid, toTid } from "../../core/ids.ts";
import { asNode, asPartition } from "../../tests/machines.ts";
import { decodeEntry, encodeEntry } from "./entries.ts";
import type { Entry } from "./entries.ts";
import type { Registered } from "./entries.ts";
import { firstImage, Metadata } from "./metadata.ts";

const image = firstImage({
  clusterId: "c-1",
  cluster: "shop",
  partitions: 4,
  replicas: 1,
  nodes: [
    { name: "m1", role: "master", address: "m1:1", diskId: "" },
    { name: "s1", role: "storage", address: "s1:1", diskId: "disk-1" },
    { name: "s2", role: "storage", address: "s2:1", diskId: "disk-2" },
  ],
});
const outdated: Entry = {
  type: "cells",
  version: 2,
  cells: [{ partition: asPartition(1), node: asNode(3), state: "outOfDate", since: 2 }],
};
const added: Registered = {
  index: 7,
  name: "s3",
  role: "storage",
  address: "s3:1",
  diskId: "disk-3",
  weight: 4,
  path: ["east", "host-3"],
  draining: true,
};
const entries: readonly Entry[] = [
  { type: "opened", epoch: 3 },
  outdated,
  { type: "cells", version: 3, cells: [], replicas: 2 },
  { type: "nodes", nodes: [added], forgotten: [1] },
  { type: "oidMark", oid: toOid(2n ** 62n) },
  { type: "sessionMark", session: 2_000 },
  { type: "desired", state: "import", origin: "Data.fs of the old shop" },
  { type: "backup", of: "shop" },
  { type: "truncated", number: 1, tid: toTid(90), last: toTid(2n ** 62n) },
];
for (const entry of entries) {
  test(`decodeEntry() reads back an entry "${entry.type}"`, () => {
    assert.deepEqual(decodeEntry(encodeEntry(entry)), entry);
  });
}

test("decodeEntry() says that an entry that it doesn't know is of a newer neo", () => {
  const message = /unknown entry "merged"; start a newer neo/;
  assert.throws(() => decodeEntry(toCbor(["merged", 1])), { code: "malformed", message });
});

const broken: { what: string; bytes: Uint8Array }[] = [
  { what: "no CBOR", bytes: Uint8Array.of(0xff) },
  { what: "an epoch that is no number", bytes: toCbor(["opened", "x"]) },
  { what: "an epoch that is missing", bytes: toCbor(["opened"]) },
  { what: "no list", bytes: toCbor(7) },
  { what: "null", bytes: toCbor(null) },
];
for (const { what, bytes } of broken) {
  test(`decodeEntry() calls ${what} malformed`, () => {
    assert.throws(() => decodeEntry(bytes), { code: "malformed" });
  });
}

test("firstImage() numbers the members, and deals the table to the storages among them", () => {
  const metadata = Metadata.ofImage(image);
  assert.deepEqual(metadata.nodes.map(({ name, index }) => [name, index]), [["m1", 1], ["s1", 2], ["s2", 3]]);
  assert.deepEqual(metadata.table.nodes(), [2, 3]);
  assert.deepEqual([metadata.table.partitions, metadata.table.replicas], [4, 1]);
  const { clusterId, cluster, epoch, oidMark, sessionMark, desired } = metadata;
  assert.deepEqual([clusterId, cluster, epoch, oidMark, sessionMark, desired], [
    "c-1",
    "shop",
    0,
    0n,
    0,
    "run",
  ]);
});

test("Metadata.storageOf() knows a storage by its disk, whatever it calls itself", () => {
  const metadata = Metadata.ofImage(image);
  assert.equal(metadata.storageOf("disk-2")?.name, "s2");
  assert.equal(metadata.storageOf("disk-3"), undefined);
  assert.equal(metadata.storageOf(""), undefined, "a master has no disk to be found by");
});

test("Metadata.apply() makes the state that toImage() and ofImage() carry", () => {
  const metadata = Metadata.ofImage(image);
  for (const entry of entries) metadata.apply(entry);

  const read = Metadata.ofImage(metadata.toImage());
  assert.equal(read.upstream, "shop");

  const { epoch, oidMark, sessionMark, desired, origin } = read;
  assert.deepEqual(
    [epoch, oidMark, sessionMark, desired, origin],
    [3, 2n ** 62n, 2_000, "import", "Data.fs of the old shop"],
  );
  assert.equal(read.table.toString(), "0: 2U 3U\n1: 2U 3O\n2: 2U 3U\n3: 2U 3U");
  assert.deepEqual(read.nodes, metadata.nodes);
  assert.deepEqual([read.table.version, read.table.replicas], [3, 2]);
});

test("Metadata.apply() takes members in and forgets them, and never gives an index to another", () => {
  const metadata = Metadata.ofImage(image);
  assert.equal(metadata.nodeMark, 3);
  metadata.apply({ type: "nodes", nodes: [added], forgotten: [] });
  assert.deepEqual(metadata.nodes.map(({ index }) => index), [1, 2, 3, 7]);
  assert.deepEqual(metadata.storageOf("disk-3"), added);
  const draining = { ...metadata.nodes[1]!, draining: true };
  metadata.apply({ type: "nodes", nodes: [draining], forgotten: [7] });
  assert.deepEqual(metadata.nodes.map(({ index, draining }) => [index, draining]), [[1, false], [2, true], [
    3,
    false,
  ]]);

  const read = Metadata.ofImage(metadata.toImage());
  assert.equal(read.nodeMark, 7, "7 stays taken");
  assert.deepEqual(read.nodes, metadata.nodes);
});

test("Metadata.ofImage() reads an image of format 1: its members have no wishes, and their highest index counts", () => {
  const fields = ofCbor(image, "an image") as unknown[];
  const at = fields.findIndex((field) => Array.isArray(field));
  const members = (fields[at] as unknown[][]).map((member) => member.slice(0, 5));
  const old = toCbor([1, ...fields.slice(1, at), members, fields[at + 1]]);
  const metadata = Metadata.ofImage(old);
  assert.deepEqual(metadata.nodes, Metadata.ofImage(image).nodes);
  assert.equal(metadata.nodeMark, 3);
});

test("Metadata.discardsOf() names cells that were discarded until they are created again, with their since (B9)", () => {
  const metadata = Metadata.ofImage(image);
  const at = (version: number, state: string, since: number): Entry => ({
    type: "cells",
    version,
    cells: [{ partition: asPartition(1), node: asNode(3), state, since }],
  });
  metadata.apply(at(2, "outOfDate", 2));
  metadata.apply(at(3, "discarded", 2));
  const discards = [{ partition: 1, since: 2 }];
  assert.deepEqual(metadata.discardsOf(asNode(3)), discards);
  assert.deepEqual(Metadata.ofImage(metadata.toImage()).discardsOf(asNode(3)), discards);
  const forgetful = Metadata.ofImage(metadata.toImage());
  forgetful.apply({ type: "nodes", nodes: [], forgotten: [3] });
  assert.deepEqual(forgetful.discardsOf(asNode(3)), []);
  metadata.apply(at(4, "outOfDate", 4));
  assert.deepEqual(metadata.discardsOf(asNode(3)), []);
});

test("decodeEntry() reads cells that were written before replicas stood with them", () => {
  const [type, version, cells] = ofCbor(encodeEntry(outdated), "an entry") as unknown[];
  assert.deepEqual(decodeEntry(toCbor([type, version, cells])), outdated);
});

test("Metadata.apply() lets marks grow only, and epochs and table versions too", () => {
  const metadata = Metadata.ofImage(image);
  for (const entry of entries) metadata.apply(entry);

  metadata.apply({ type: "oidMark", oid: toOid(5n) });
  metadata.apply({ type: "sessionMark", session: 5 });
  assert.deepEqual([metadata.oidMark, metadata.sessionMark], [2n ** 62n, 2_000]);

  assert.throws(() => metadata.apply({ type: "opened", epoch: 3 }), { name: "InvariantError" });
  assert.throws(() => metadata.apply(outdated), { name: "InvariantError" });
});

test("Metadata.apply() keeps where imported data came from when the import ends", () => {
  const metadata = Metadata.ofImage(image);
  metadata.apply({ type: "desired", state: "import", origin: "dump.zdump" });
  metadata.apply({ type: "desired", state: "run", origin: "" });
  assert.deepEqual([metadata.desired, metadata.origin], ["run", "dump.zdump"]);
});

test("Metadata.ofImage() says when the image is of a newer format", () => {
  const fields = ofCbor(image, "an image") as unknown[];
  const newer = toCbor([99, ...fields.slice(1)]);
  assert.throws(() => Metadata.ofImage(newer), {
    code: "malformed",
    message: /format 99, this neo knows 1 to 2/,
  });
});

test("Metadata.apply() numbers truncations and keeps them all, and the highest tid that was ever given (N7, B10)", () => {
  const metadata = Metadata.ofImage(image);
  assert.deepEqual([metadata.truncations, metadata.cuts, metadata.tidFloor], [0, [], 0n]);
  metadata.apply({ type: "truncated", number: 1, tid: toTid(90), last: toTid(120) });
  metadata.apply({ type: "truncated", number: 2, tid: toTid(95), last: toTid(110) });
  const read = Metadata.ofImage(metadata.toImage());
  for (const one of [metadata, read]) {
    assert.deepEqual([one.truncations, one.tidFloor], [2, 120n]);
    assert.deepEqual(one.cuts.map(({ number, tid }) => [number, tid]), [[1, 90n], [2, 95n]]);
  }
  const again = { type: "truncated", number: 2, tid: toTid(95), last: toTid(130) } as const;
  assert.throws(() => read.apply(again), /truncations are numbered/);
});

test("Metadata.ofImage() reads damaged bytes or says malformed, and nothing else", () => {
  fc.assert(
    fc.property(fc.nat(image.length - 1), fc.nat(255), fc.nat(image.length), (at, value, length) => {
      const damaged = image.slice(0, Math.max(length, at + 1));
      damaged[at] = value;
      try {
        Metadata.ofImage(damaged);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
