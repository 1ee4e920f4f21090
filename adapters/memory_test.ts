/** Memory keeps what every store promises, plain and when it answers late. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../tests/conformance/database.ts";
import { commit, Driver, IDENTITY, sha256 } from "../tests/conformance/database_kit.ts";
import { late, shuffled } from "../tests/conformance/late.ts";
import { testMetadata } from "../tests/conformance/metadata.ts";
import { SimRandom } from "../tests/simulation/random.ts";
import { memoryDatabase, type MemoryDisk, memoryMetadata } from "./memory.ts";

/** A place where a disk stands. */
function kitOf<W, Q, A, S>(disk: MemoryDisk<W, Q, A, S>) {
  return { open: () => disk.open(), crash: () => disk.crash(), end: () => {} };
}

function lateKitOf<W, Q, A, S>(disk: MemoryDisk<W, Q, A, S>) {
  const schedule = shuffled(new SimRandom(1));
  return { ...kitOf(disk), open: () => late(disk.open(), schedule) };
}

testDatabase("memory", (identity) => kitOf(memoryDatabase(identity, sha256)));
testDatabase("late memory", (identity) => lateKitOf(memoryDatabase(identity, sha256)));
testMetadata("memory metadata", (image, diskId) => kitOf(memoryMetadata(image, diskId)));
testMetadata("late memory metadata", (image, diskId) => lateKitOf(memoryMetadata(image, diskId)));

for (const kept of [0, 1, 3]) {
  test(`MemoryDisk.crash() keeps ${kept} of the rounds that weren't flushed`, async () => {
    const disk = memoryDatabase(IDENTITY, sha256);
    const db = new Driver(disk.open());
    await db.save(...commit(1, [[1, "value 1"]]));
    for (const tid of [2, 3, 4]) await db.saveLazily(...commit(tid, [[1, `value ${tid}`]]));
    assert.equal(disk.unflushed, 3);

    disk.crash(kept);

    await assert.rejects(db.load(1), /isn't used after its end/);
    assert.equal(disk.unflushed, 0);
    assert.equal(await new Driver(disk.open()).text(1), `value ${1 + kept}`);
  });
}

test("MemoryDisk.freeBytes is what its store answers", () => {
  const disk = memoryDatabase(IDENTITY, sha256);
  const store = disk.open();
  assert.equal(store.freeBytes(), undefined);
  disk.freeBytes = 5;
  assert.equal(store.freeBytes(), 5);
});
