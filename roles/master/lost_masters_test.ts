import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { RECOVER_EPOCHS, RECOVER_OIDS, RECOVER_REVISIONS, RECOVER_SESSIONS } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { objection, rebuild, situationOf } from "./lost_masters.ts";
import type { Finding } from "./lost_masters.ts";
import { firstImage, Metadata } from "./metadata.ts";

const nodes = [
  { name: "m1", role: "master", address: "a:1", diskId: "dm" },
  { name: "s1", role: "storage", address: "a:2", diskId: "d1" },
  { name: "s2", role: "storage", address: "a:3", diskId: "d2" },
] as const;

function metadata(): Metadata {
  return Metadata.ofImage(
    firstImage({ clusterId: "id", cluster: "shop", partitions: 2, replicas: 1, nodes }),
  );
}

function finding(name: "s1" | "s2", wishes: Partial<Finding> = {}): Finding {
  const known = metadata();
  return {
    name,
    role: "storage",
    diskId: name === "s1" ? "d1" : "d2",
    epoch: 5,
    table: known.table,
    metadata: known,
    newest: [{ partition: 0 as Partition, tid: 40n as Tid }],
    lastOid: null,
    lastTtid: null,
    truncations: 0,
    packBound: ZERO_TID,
    ...wishes,
  };
}

/** The first table, and then s2 is out of date. */
function later(): PartitionTable {
  const table = PartitionTable.ofImage(metadata().table.toImage());
  const node = 3 as NodeIndex;
  table.apply(
    2,
    [0, 1].map((row) => ({ partition: row as Partition, node, state: "outOfDate", since: 2 })),
  );
  return table;
}

test("B12 objection: the only table that is found isn't enough while a storage that it names is away", () => {
  const situation = situationOf([finding("s2")], sha256);
  const choice = situation.candidates[0]!;
  assert.deepEqual(situation.absent, ["s1"]);
  assert.match(objection(situation, choice, [])!.why, /storages s1 aren't here/);
  assert.equal(objection(situation, choice, ["s1"]), undefined);
  assert.match(objection(situation, choice, ["s1", "s2"])!.why, /s2 isn't a storage that is absent/);
});

test("T39 situationOf: the newest table comes first, with who knows it; rows without a good copy here speak against it", () => {
  const all = situationOf([finding("s2"), finding("s1", { table: later(), epoch: 4 })], sha256);
  assert.deepEqual(
    all.candidates.map(({ id, holders, epoch, newestTid }) => [id.split("-")[0], holders, epoch, newestTid]),
    [["1.2", ["s1"], 4, 40n], ["1.1", ["s2"], 5, 40n]],
  );
  assert.equal(objection(all, all.candidates[0]!, []), undefined);
  const alone = situationOf([
    finding("s2"),
    { ...finding("s2"), name: "m1", role: "master", diskId: "dm", table: later() },
  ], sha256);
  assert.deepEqual(alone.candidates.map(({ unreadable, doubtful }) => [unreadable, doubtful]), [
    [[0, 1], []],
    [[], [0, 1]],
  ]);
  assert.match(objection(alone, alone.candidates[0]!, ["s1"])!.todo, /--table 1\.1-/);
  assert.equal(objection(alone, alone.candidates[1]!, ["s1"]), undefined);
});

test("T39 objection: without members, or with a truncation that nobody knows, nothing is decided", () => {
  const blind = situationOf([finding("s1", { metadata: undefined })], sha256);
  assert.match(objection(blind, blind.candidates[0]!, [])!.why, /knows the cluster's members/);
  const cut = situationOf([finding("s1", { truncations: 1 }), finding("s2")], sha256);
  assert.match(objection(cut, cut.candidates[0]!, [])!.why, /truncation/);
});

test("T39 rebuild: generation, epoch and marks are above all that is known; what a newer table outdated stays so", () => {
  const session = 7_000;
  const found = [
    finding("s2", { lastOid: 90n as Oid, lastTtid: (BigInt(session) << 24n) as Ttid }),
    finding("s1", { table: later(), epoch: 9 }),
  ];
  const situation = situationOf(found, sha256);
  const masters = [{ name: "m1", address: "a:1", diskId: "new" }];
  const of = (at: number) =>
    rebuild({ ...situation, metadata: situation.metadata! }, situation.candidates[at]!, masters);
  const { image, epoch } = of(1);
  const made = Metadata.ofImage(image);
  assert.deepEqual([epoch, made.epoch], [9 + RECOVER_EPOCHS, 9 + RECOVER_EPOCHS]);
  assert.deepEqual([made.oidMark, made.sessionMark], [
    90n + BigInt(RECOVER_OIDS),
    session + RECOVER_SESSIONS,
  ]);
  assert.deepEqual([made.table.generation, made.table.version], [2, 3]);
  assert.equal(`${made.table}`, `${Metadata.ofImage(of(0).image).table}`.replaceAll("since 2", "since 3"));
  assert.equal(made.table.cell(0 as Partition, 3 as NodeIndex)?.state, "outOfDate");
  assert.deepEqual(made.roster.masters.map(({ index, diskId }) => [index, diskId]), [[4, "new"]]);
  assert.deepEqual(made.roster.voters, [4]);
});

test("I1 rebuild: what is configured stays, under a revision that no operator has seen: a change with an older base is refused", () => {
  const known = metadata();
  const change = {
    number: 7,
    atMs: 1,
    author: "me",
    reason: "",
    changes: [{ scope: "cluster", key: "k", value: "v" }],
  };
  known.settings.apply(change);
  const situation = situationOf([finding("s1", { metadata: known }), finding("s2")], sha256);
  const masters = [{ name: "m1", address: "a:1", diskId: "new" }];
  const { image } = rebuild(
    { ...situation, metadata: situation.metadata! },
    situation.candidates[0]!,
    masters,
  );
  const { settings } = Metadata.ofImage(image);
  assert.deepEqual(settings.settings, [{ scope: "cluster", key: "k", value: "v" }]);
  assert.equal(settings.revision, 7 + RECOVER_REVISIONS);
});

test("T13 rebuild: history counts as packed up to where any storage has it, or any metadata", () => {
  const boundOf = (...bounds: readonly bigint[]): Tid => {
    const known = metadata();
    known.apply({ type: "packed", tid: 20n as Tid });
    const [one, two] = bounds.map((packBound) => ({ packBound: packBound as Tid, metadata: known }));
    const situation = situationOf([finding("s1", one), finding("s2", two)], sha256);
    const masters = [{ name: "m1", address: "a:1", diskId: "new" }];
    const chosen = { ...situation, metadata: situation.metadata! };
    return Metadata.ofImage(rebuild(chosen, situation.candidates[0]!, masters).image).packBound;
  };
  assert.deepEqual([boundOf(0n, 0n), boundOf(30n, 25n)], [20n, 30n]);
});
