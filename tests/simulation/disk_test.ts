import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryDatabase } from "../../adapters/memory.ts";
import type { Partition, Ttid } from "../../core/ids.ts";
import { toOid, ZERO_TID } from "../../core/ids.ts";
import type { DatabaseWrite } from "../../core/ports.ts";
import { simDigest } from "./digest.ts";
import { DiskFailure, SimDisk } from "./disk.ts";
import { SimRandom } from "./random.ts";
import { World } from "./world.ts";

const owner = { gone: false, pausedUntilMs: 0, slowMs: 0 };
const border = <T>(_: unknown, run: () => T): T => run();

function disk(seed: number) {
  const identity = { clusterId: "c", cluster: "sim", name: "s1", diskId: "d", partitions: 1 };
  const world = new World();
  return { world, disk: new SimDisk(() => memoryDatabase(identity, simDigest), world, new SimRandom(seed)) };
}

const vote = (ttid: bigint): DatabaseWrite => {
  return { op: "vote", ttid: ttid as Ttid, home: 0 as Partition, ageMs: 0, note: null };
};

test("SimDisk.crash() keeps all flushed rounds, and a beginning of the others, each whole", () => {
  const kept = new Set<number>();
  for (let seed = 1; seed <= 60; seed++) {
    const { disk: it } = disk(seed);
    const store = it.open(owner, border);
    void store.apply([vote(1n), vote(2n)], { durable: true });
    for (const ttid of [3n, 5n, 7n]) void store.apply([vote(ttid), vote(ttid + 1n)], { durable: false });

    it.crash();

    const held = it.open(owner, border).state.held.map(({ ttid }) => Number(ttid));
    assert.deepEqual(held, Array.from({ length: held.length }, (_, i) => i + 1), `seed ${seed}`);
    assert.equal(held.length % 2, 0, "a round is never half there");
    kept.add(held.length);
  }
  assert.deepEqual([...kept].sort(), [2, 4, 6, 8]);
});

test("SimDisk fails the next read, and only that", () => {
  const { disk: it } = disk(1);
  const store = it.open(owner, border);
  it.mood.failRead = true;

  assert.throws(() => store.read({ read: "latest", oid: toOid(1) }), DiskFailure);
  assert.deepEqual(store.read({ read: "latest", oid: toOid(1) }), { read: "latest", tid: ZERO_TID });
});

test("SimDisk answers late while it is slow", () => {
  const { world, disk: it } = disk(2);
  const store = it.open(owner, border);
  it.mood.slowMs = 500;
  const answered: number[] = [];
  for (let i = 0; i < 20; i++) {
    void Promise.resolve(store.read({ read: "marks" })); // settles in the world's queue, not here
    (store.read({ read: "marks" }) as Promise<unknown>).then(() => answered.push(world.nowMs));
  }

  world.runUntil(() => false, 10_000);

  assert.equal(answered.length, 20);
  assert.ok(Math.max(...answered) > 200 && Math.max(...answered) <= 501);
  it.mood.slowMs = 0;
  assert.ok(!(store.read({ read: "marks" }) instanceof Promise));
});

test("SimDisk.temporary counts transactions with rows that aren't final", () => {
  const { disk: it } = disk(3);
  const store = it.open(owner, border);
  const place = {
    oid: toOid(1),
    partition: 0 as Partition,
    base: ZERO_TID,
    mode: "store",
    lockless: false,
  } as const;
  const store2: DatabaseWrite = { op: "store", ttid: 9n as Ttid, ...place, stored: null, link: null };
  const steps: readonly (readonly [DatabaseWrite, number])[] = [
    [vote(1n), 1],
    [store2, 2],
    [{ op: "unstore", ttid: 9n as Ttid, oid: toOid(1) }, 1],
    [{ op: "abort", ttid: 1n as Ttid }, 0],
  ];
  for (const [write, count] of steps) {
    void store.apply([write], { durable: false });
    assert.equal(it.temporary, count, write.op);
  }
  void store.apply([vote(4n)], { durable: true });
  it.crash();
  it.open(owner, border);
  assert.equal(it.temporary, 1, "what was voted is found again");
});
