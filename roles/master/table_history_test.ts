import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { TABLE_CHANGES_MAX } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { tableFrom } from "../../core/table_difference.ts";
import {
  asksOf,
  emptyReport,
  helloAs,
  masterBench,
  runMaster,
  storageHello,
  tellsOf,
} from "../../tests/machines.ts";
import { TableHistory } from "./table_history.ts";

const first = PartitionTable.deal({ partitions: 240, replicas: 1, nodes: [1, 2] as NodeIndex[] });

/** Makes partition `p` of node 2 out of date. */
function outdated(
  table: PartitionTable,
  p: number,
): { next: PartitionTable; add: (to: TableHistory) => void } {
  const version = table.version + 1;
  const cells = [{ partition: p as Partition, node: 2 as NodeIndex, state: "outOfDate", since: version }];
  const next = table.changed(version, cells);
  return { next, add: (to) => to.add(version, cells, next.digest(sha256)) };
}

test("TableHistory gives a node what it lacks since any table that it may have, and nothing else (T38)", () => {
  const history = new TableHistory(first, sha256);
  const tables = [first];
  for (let p = 0; p < 5; p++) {
    const { next, add } = outdated(tables.at(-1)!, p);
    add(history);
    tables.push(next);
  }
  const newest = tables.at(-1)!;
  const sizes = tables.map((own) => {
    const sent = history.imageFor(newest, own.digest(sha256));
    assert.equal(tableFrom(sent, own, sha256).toString(), newest.toString());
    return sent.length;
  });
  assert.deepEqual(sizes, sizes.toSorted((a, b) => b - a), "the less it lacks, the less it gets");
  assert.ok(sizes[0]! < newest.toImage().length / 2);
});

const unknown: readonly { what: string; known: Uint8Array }[] = [
  { what: "no table", known: new Uint8Array() },
  { what: "a table that isn't one of ours", known: outdated(first, 9).next.digest(sha256) },
];
for (const { what, known } of unknown) {
  test(`TableHistory gives the whole table to a node with ${what}`, () => {
    const history = new TableHistory(first, sha256);
    const { next, add } = outdated(first, 1);
    add(history);
    assert.deepEqual(history.imageFor(next, known), next.toImage());
  });
}

test("TableHistory gives the whole table when it hasn't seen a change, or not all", () => {
  const history = new TableHistory(first, sha256);
  const { next: second } = outdated(first, 1);
  assert.deepEqual(
    history.imageFor(second, first.digest(sha256)),
    second.toImage(),
    "one that comes only now",
  );
  const { next: third, add } = outdated(second, 2);
  add(history);
  assert.deepEqual(history.imageFor(third, first.digest(sha256)), third.toImage(), "one between");
});

test("TableHistory keeps a bounded number of changes", () => {
  const history = new TableHistory(first, sha256);
  let table = first;
  const cells = Array.from(
    { length: 200 },
    (_, p) => ({ partition: p as Partition, node: 2 as NodeIndex, state: "outOfDate" }),
  );
  const digests = [first.digest(sha256)];
  for (let count = 0; count <= TABLE_CHANGES_MAX; count += 200) {
    const version = table.version + 1;
    const changes = cells.map((cell) => ({ ...cell, since: version }));
    table = table.changed(version, changes);
    digests.push(table.digest(sha256));
    history.add(version, changes, digests.at(-1)!);
  }
  assert.deepEqual(history.imageFor(table, digests[0]!), table.toImage());
  assert.notDeepEqual(history.imageFor(table, digests.at(-2)!), table.toImage());
});

test("MasterMachine sends a storage, a client and an admin that come back only what they lack (T38)", () => {
  const shape = { partitions: 240 };
  const bench = masterBench(shape);
  const [s1, s2] = runMaster(bench, shape);
  const own = PartitionTable.deal({ partitions: 240, replicas: 1, nodes: [2, 3] as NodeIndex[] });
  const known = { tableDigest: own.digest(sha256) };
  bench.lost(s2!);
  const full = bench.comes(storageHello(2)).effects;
  const whole = asksOf(full, "fence")[0]!.message.body.image;
  assert.equal(bench.machine.view.table, PartitionTable.ofImage(whole).toString());

  const { conn, effects } = bench.comes(helloAs("client", known));
  const image = tellsOf(effects, "welcome")[0]!.body.image;
  assert.notDeepEqual(image, whole);
  assert.equal(tableFrom(image, own, sha256).toString(), bench.machine.view.table);
  bench.lost(conn);
  const admin = tellsOf(bench.comes(helloAs("admin", known)).effects, "welcome")[0]!.body.image;
  assert.deepEqual(admin, image);

  const newest = PartitionTable.ofImage(whole);
  const again = bench.comes(storageHello(2, { tableDigest: newest.digest(sha256) }));
  const [fence] = asksOf(again.effects, "fence");
  assert.ok(fence!.message.body.image.length < 80, "it lacks nothing");
  bench.answered(fence!, emptyReport(newest));

  for (const start of asksOf(bench.pass(0), "start")) bench.answered(start, {});
  const { table } = bench.machine.view;
  const recovered = bench.lost(s1!);
  assert.equal(bench.machine.view.table, table, "the last copies stay");
  const [second] = asksOf(recovered, "fence");
  const { image: sentAgain } = second!.message.body;
  assert.equal(
    PartitionTable.ofImage(sentAgain).toString(),
    table,
    "in one session only the first fence is short",
  );
});
