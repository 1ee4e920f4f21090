import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { ERASE_PAUSE_MS, ERASE_ROWS } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { Settings } from "../settings.ts";
import { Eraser } from "./eraser.ts";
import { Site } from "./site.ts";

const asPartition = (value: number) => value as Partition;
const NOW = { monoMs: 1_000, wallMs: 0 };
const LATER = { monoMs: 1_000 + ERASE_PAUSE_MS, wallMs: 0 };

/** Storage 2 of a cluster of two, with four cells, all created at version 1. */
class Stage {
  readonly site: Site;
  readonly eraser: Eraser;
  readonly erased: number[] = [];

  constructor(image: Uint8Array | null = tableOf().toImage(), settings: Settings = new Settings()) {
    this.site = new Site({ digest: sha256, epoch: 1, image, settings });
    this.site.index = 2 as NodeIndex;
    this.eraser = new Eraser({ site: this.site, erased: (partition) => void this.erased.push(partition) });
    this.eraser.begin();
  }

  /** Takes a table in which some cells are other than before. */
  table(changes: readonly { partition: number; state: string; since: number }[]): void {
    const table = this.site.table ?? tableOf();
    const cells = changes.map(({ partition, ...change }) => ({
      partition: asPartition(partition),
      node: 2 as NodeIndex,
      ...change,
    }));
    this.site.table = table.changed(table.version + 1, cells);
    this.eraser.taken();
  }

  /** What was decided since the last call: `look`, or the partitions of which a slice is erased. */
  done(): (string | number)[] {
    return this.site.taken().map((effect) => {
      if (effect.do === "read") return "look";
      assert.ok(effect.do === "save" && effect.write.op === "erase");
      const rowsMax = this.site.settings.number("storage.eraseRows");
      assert.deepEqual([effect.write.rowsMax, effect.durable], [rowsMax, false]);
      return effect.write.partition;
    });
  }
}

function tableOf(): PartitionTable {
  return PartitionTable.deal({ partitions: 4, replicas: 1, nodes: [1, 2] as NodeIndex[] });
}

const discard = (partition: number) => ({ partition, state: "discarded", since: 1 });
const named = (partition: number, since: number = 1) => ({ partition: asPartition(partition), since });

test("Eraser deletes as much at once, and rests as long, as it is configured: ERASE_ROWS and ERASE_PAUSE_MS otherwise (T51)", () => {
  const plain = new Settings();
  assert.deepEqual([plain.number("storage.eraseRows"), plain.number("storage.erasePauseMs")], [
    ERASE_ROWS,
    ERASE_PAUSE_MS,
  ]);
  const kept = { revision: 1, values: { "storage.eraseRows": "7", "storage.erasePauseMs": "900" } };
  const stage = new Stage(undefined, new Settings({ kept }));
  stage.table([discard(1)]);
  stage.eraser.discarded([named(1)]);
  assert.deepEqual(stage.done(), ["look"]);
  stage.eraser.found([asPartition(1)], NOW);
  assert.deepEqual(stage.done(), [1], "7 rows");
  assert.equal(stage.eraser.dueMs, NOW.monoMs + 900);
});

test("Eraser deletes what a discarded cell holds slice by slice, with a rest between, until nothing is left", () => {
  const stage = new Stage();
  stage.table([discard(1)]);
  stage.eraser.discarded([named(1)]);
  assert.deepEqual(stage.done(), ["look"]);
  stage.eraser.found([asPartition(0), asPartition(1)], NOW);
  assert.deepEqual(stage.done(), [1]);
  assert.equal(stage.eraser.dueMs, LATER.monoMs);
  stage.eraser.due(NOW);
  assert.deepEqual(stage.done(), []);
  stage.eraser.due(LATER);
  assert.deepEqual(stage.done(), ["look"]);
  assert.deepEqual(stage.erased, []);
  stage.eraser.found([asPartition(0)], LATER);
  assert.deepEqual([stage.done(), stage.erased, stage.eraser.left, stage.eraser.dueMs], [
    [],
    [1],
    0,
    undefined,
  ]);
});

test("Eraser deletes nothing only because a table lacks a cell (B9)", () => {
  const stage = new Stage();
  stage.table([discard(0), discard(1)]);
  assert.deepEqual([stage.done(), stage.eraser.left], [[], 0]);
});

test("Eraser deletes no cell that our table has, whatever was discarded before (B9)", () => {
  const stage = new Stage();
  stage.eraser.discarded([named(1)]);
  assert.deepEqual([stage.done(), stage.eraser.left], [[], 0]);
});

test("Eraser deletes nothing for a discard with another `since` than that of the cell that went (B9)", () => {
  const stage = new Stage();
  stage.table([discard(1)]);
  stage.eraser.discarded([named(1, 7)]);
  assert.deepEqual([stage.done(), stage.eraser.left], [[], 0]);
});

test("Eraser stops when the partition is assigned again, also between two slices", () => {
  const stage = new Stage();
  stage.table([discard(1), discard(2)]);
  stage.eraser.discarded([named(1), named(2)]);
  stage.eraser.found([asPartition(1), asPartition(2)], NOW);
  assert.deepEqual(stage.done(), ["look", 1]);
  stage.table([{ partition: 1, state: "outOfDate", since: 3 }]);
  stage.eraser.due(LATER);
  stage.eraser.found([asPartition(1), asPartition(2)], LATER);
  assert.deepEqual(stage.done(), ["look", 2]);
});

test("Eraser goes on after a restart with what the primary names again, of which our table has no cell", () => {
  const before = tableOf().changed(2, [{
    partition: asPartition(3),
    node: 2 as NodeIndex,
    state: "discarded",
    since: 1,
  }]);
  const stage = new Stage(before.toImage());
  stage.eraser.discarded([named(3)]);
  stage.eraser.found([asPartition(3)], NOW);
  assert.deepEqual(stage.done(), ["look", 3]);
});

test("Eraser takes new orders while it rests", () => {
  const stage = new Stage();
  stage.table([discard(0), discard(1)]);
  stage.eraser.discarded([named(0)]);
  stage.eraser.found([asPartition(0), asPartition(1)], NOW);
  stage.eraser.discarded([named(1)]);
  assert.deepEqual(stage.done(), ["look", 0]);
  stage.eraser.due(LATER);
  stage.eraser.found([asPartition(1)], LATER);
  assert.deepEqual(stage.done(), ["look", 1]);
});

test("Eraser deletes nothing before the primary lets us serve, nor once it doesn't: it may be the last copy (B9)", () => {
  const stage = new Stage();
  stage.eraser.halt();
  stage.table([discard(1)]);
  stage.eraser.discarded([named(1)]);
  assert.deepEqual(stage.done(), []);
  stage.eraser.begin();
  assert.deepEqual(stage.done(), ["look"]);
  stage.eraser.halt();
  stage.eraser.found([asPartition(1)], NOW);
  assert.deepEqual([stage.done(), stage.eraser.dueMs, stage.eraser.left], [[], undefined, 1]);
  stage.eraser.begin();
  stage.eraser.found([asPartition(1)], NOW);
  assert.deepEqual(stage.done(), ["look", 1]);
});

test("Eraser keeps a discard in mind whose table isn't here yet (B9)", () => {
  const stage = new Stage();
  stage.eraser.discarded([named(1), named(3, 7)]);
  assert.deepEqual([stage.done(), stage.eraser.left], [[], 0]);
  stage.table([discard(1), discard(3)]);
  assert.deepEqual([stage.done(), stage.eraser.left], [["look"], 1]);
});
