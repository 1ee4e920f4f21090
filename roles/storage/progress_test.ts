import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { toTid, ZERO_TID } from "../../core/ids.ts";
import type { CellChange } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { asNode, asPartition, only } from "../../tests/machines.ts";
import { COPIED_SINCE, Progress } from "./progress.ts";
import { Site } from "./site.ts";

const us = asNode(2);
const p0 = asPartition(0);
const p1 = asPartition(1);

function changed(table: PartitionTable, ...changes: readonly Omit<CellChange, "node">[]): PartitionTable {
  return table.changed(table.version + 1, changes.map((change) => ({ ...change, node: us })));
}

/** A storage's progress, what it saves, and a table in which it has two readable cells. */
function scene(state: Partial<ConstructorParameters<typeof Progress>[1]> = {}) {
  const site = new Site({ digest: sha256, epoch: 1, image: null });
  const progress = new Progress(site, { resumes: [], newest: [], ...state });
  const readable = PartitionTable.deal({ partitions: 2, replicas: 1, nodes: [us, asNode(3)] });
  const outdated = changed(readable, { partition: p0, state: "outOfDate", since: 2 });
  const saves = () => only(site.taken(), "save").map(({ write, durable }) => ({ ...write, durable }));
  return { progress, readable, outdated, saves };
}

test("Progress: a cell that is outdated resumes behind the newest tid that was unlocked in it (A19)", () => {
  const { progress, readable, outdated, saves } = scene({ newest: [{ partition: p0, tid: toTid(5) }] });
  progress.unlocked(toTid(9), [p0]);
  progress.unlocked(toTid(12), [p1]);
  progress.take(readable, outdated, us);
  assert.deepEqual(saves(), [{ op: "resume", partition: p0, since: 2, tid: 9n, durable: true }]);
  assert.equal(progress.resume(p0), 9n);
});

test("Progress: what is written while a cell is out of date doesn't move its point (A19, trap 5)", () => {
  const { progress, readable, outdated, saves } = scene({ newest: [{ partition: p0, tid: toTid(5) }] });
  progress.take(readable, outdated, us);
  progress.unlocked(toTid(11), [p0]); // 10 is missing
  const again = changed(outdated, { partition: p0, state: "outOfDate", since: 3 });
  progress.take(outdated, again, us);
  assert.equal(progress.resume(p0), 5n);
  assert.deepEqual(saves().map((save) => ("since" in save ? [save.since, save.tid] : [])), [[2, 5n], [
    3,
    5n,
  ]]);
});

test("Progress: a point that was saved stands after a restart, whatever rows came behind it (A19)", () => {
  const newest = [{ partition: p0, tid: toTid(11) }];
  const { progress, outdated, saves } = scene({
    newest,
    resumes: [{ partition: p0, since: 2, tid: toTid(5) }],
  });
  progress.take(outdated, outdated, us);
  assert.deepEqual(saves(), []);
  assert.equal(progress.resume(p0), 5n);
});

test("Progress: a cell that was outdated while its node was away resumes behind its newest row", () => {
  const { progress, readable, outdated } = scene({ newest: [{ partition: p0, tid: toTid(7) }] });
  progress.take(readable, outdated, us);
  assert.equal(progress.resume(p0), 7n);
});

test("Progress: a cell that is new begins at zero, whatever rows an earlier one has left", () => {
  const { progress, readable, saves } = scene({ newest: [{ partition: p0, tid: toTid(7) }] });
  const without = changed(readable, { partition: p0, state: "discarded", since: 2 });
  const anew = changed(without, { partition: p0, state: "outOfDate", since: 3 });
  progress.take(without, anew, us);
  assert.deepEqual(saves(), [{ op: "resume", partition: p0, since: 3, tid: ZERO_TID, durable: true }]);
});

test("Progress: targets that were reached move the point, and what follows is known (A19)", () => {
  const { progress, readable, outdated, saves } = scene({ newest: [{ partition: p0, tid: toTid(5) }] });
  progress.take(readable, outdated, us);
  progress.reached(p0, 2, toTid(20));
  assert.equal(progress.resume(p0), 20n);
  assert.deepEqual(saves().at(-1), { op: "resume", partition: p0, since: 2, tid: 20n, durable: true });
  const open = changed(outdated, { partition: p0, state: "upToDate", since: 2 });
  const again = changed(open, { partition: p0, state: "outOfDate", since: 4 });
  progress.take(open, again, us);
  assert.equal(progress.resume(p0), 20n, "it has all up to there, though no row of it is that new");
});

test("Progress: a cell that is outdated for broken rows drops them and resumes below, in one save (N8, X5)", () => {
  const { progress, readable, outdated, saves } = scene({ newest: [{ partition: p0, tid: toTid(9) }] });
  const rows = [{ oid: 4n as never, tid: toTid(6) }];
  progress.mend({ partition: p0, since: 1, after: toTid(5), rows });
  assert.deepEqual(saves(), [], "nothing goes before the cell is outdated");
  progress.take(readable, outdated, us);
  assert.deepEqual(saves(), [
    { op: "uncopy", partition: p0, transactions: [], revisions: rows, durable: true },
    { op: "resume", partition: p0, since: 2, tid: 5n, durable: true },
  ]);
  progress.take(outdated, changed(outdated, { partition: p0, state: "outOfDate", since: 3 }), us);
  assert.deepEqual(saves().map(({ op }) => op), ["resume"], "they go once");
});

test("Progress: rows of a cell that was another one meanwhile stay", () => {
  const { progress, readable, outdated, saves } = scene({ newest: [{ partition: p0, tid: toTid(9) }] });
  progress.mend({ partition: p0, since: 7, after: toTid(5), rows: [{ oid: 4n as never, tid: toTid(6) }] });
  progress.take(readable, outdated, us);
  assert.deepEqual(saves(), [{ op: "resume", partition: p0, since: 2, tid: 9n, durable: true }]);
});

test("Progress: a new cell of a database that is a copy of another's has what the copy says, once (N4)", () => {
  const resumes = [{ partition: p0, since: COPIED_SINCE, tid: toTid(7) }];
  const { progress, saves } = scene({ resumes, newest: [{ partition: p0, tid: toTid(11) }] });
  const others = PartitionTable.deal({ partitions: 2, replicas: 0, nodes: [asNode(3)] });
  const created = others.changed(
    2,
    [p0, p1].map((partition) => {
      return { partition, node: us, state: "outOfDate", since: 2 };
    }),
  );
  progress.take(others, created, us);
  assert.deepEqual(saves().map((save) => save.op === "resume" && [save.partition, save.since, save.tid]), [
    [p0, 2, 7n],
    [p1, 2, ZERO_TID],
  ]);
  const gone = created.changed(3, [{ partition: p0, node: us, state: "discarded", since: 2 }]);
  progress.take(created, gone, us);
  const again = gone.changed(4, [{ partition: p0, node: us, state: "outOfDate", since: 4 }]);
  progress.take(gone, again, us);
  assert.equal(progress.resume(p0), ZERO_TID);
});
