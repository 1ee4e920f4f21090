import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError } from "../core/errors.ts";
import { partitionOf, toOid, toTtid, ZERO_TID } from "../core/ids.ts";
import type { Oid, Tid } from "../core/ids.ts";
import type { Client } from "../roles/client/library.ts";
import { LocalCluster } from "./cluster.ts";

const [a, b] = [toOid(1), toOid(2)];
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** Reads objects in a transaction, adds one to each, commits. */
async function raise(client: Client, oids: readonly Oid[]): Promise<Tid> {
  const tx = await client.begin();
  const found = await tx.loadMany(oids);
  oids.forEach((oid, at) => tx.store(oid, bytes((found[at]?.data[0] ?? 0) + 1)));
  return await tx.commit();
}

test("X6 a cluster in this process commits, reads, loses a storage and its master, and goes on", async () => {
  const cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const first = await raise(client, [a, b]);

  await cluster.killStorage(0);
  const second = await raise(client, [a, b]);
  await cluster.startStorage(0);
  await cluster.killMaster();
  await cluster.startMaster();
  const third = await raise(client, [a, b]);

  assert.ok(first < second && second < third);
  const snapshot = await client.snapshot();
  assert.deepEqual((await snapshot.loadMany([a, b])).map((found) => found?.data[0]), [3, 3]);
  const before = await client.snapshot({ at: second });
  assert.deepEqual((await before.loadMany([a, b])).map((found) => found?.data[0]), [2, 2]);
  await cluster.stop();
});

test("N1 a snapshot never changes, and a write over a newer revision is refused with every conflict named", async () => {
  const cluster = await new LocalCluster({ storages: 3, replicas: 1, partitions: 5 }).start();
  const [one, two] = [await cluster.connect(), await cluster.connect()];
  const base = await raise(one, [a, b]);
  const tx = await two.begin();
  assert.deepEqual((await tx.load(a))?.data, bytes(1));

  const saved = await raise(one, [a, b]);

  assert.deepEqual((await tx.load(b))?.data, bytes(1), "the snapshot is of the moment it began");
  tx.store(a, bytes(9));
  tx.store(b, bytes(9));
  await assert.rejects(tx.commit(), (error) => {
    assert.ok(error instanceof ConflictError);
    const conflicts = error.conflicts.toSorted((x, y) => (x.oid < y.oid ? -1 : 1));
    assert.deepEqual(conflicts, [{ oid: a, base, saved }, { oid: b, base, saved }]);
    return true;
  });
  const after = await two.snapshot();
  assert.deepEqual((await after.loadMany([a, b])).map((found) => found?.data[0]), [2, 2]);
  await cluster.stop();
});

test("N1 a check fails the commit when what it names was changed by another", async () => {
  const cluster = await new LocalCluster().start();
  const [one, two] = [await cluster.connect(), await cluster.connect()];
  await raise(one, [a]);
  const unchanged = await two.begin();
  await unchanged.load(a);
  unchanged.check(a);
  unchanged.store(b, bytes(1));
  await unchanged.commit();
  const tx = await two.begin();
  await tx.load(a);
  tx.check(a);
  await raise(one, [a]);

  tx.store(toOid(3), bytes(1));

  await assert.rejects(tx.commit(), ConflictError);
  assert.equal(await (await two.snapshot()).load(toOid(3)), undefined);
  await cluster.stop();
});

test("N1 of writers that race for one object each acknowledged one is counted", async () => {
  const cluster = await new LocalCluster({ storages: 2, replicas: 1, partitions: 3 }).start();
  const clients = await Promise.all([1, 2, 3, 4].map(() => cluster.connect()));
  let refused = 0;
  await Promise.all(clients.map(async (client) => {
    for (let done = 0; done < 10;) {
      try {
        await raise(client, [a]);
        done += 1;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        refused += 1;
      }
    }
  }));

  const snapshot = await clients[0]!.snapshot();
  assert.equal((await snapshot.load(a))?.data[0], 40);
  assert.ok(refused > 0, "they did race");
  await cluster.stop();
});

test("N1 what was deleted is gone from later snapshots, and there in earlier ones", async () => {
  const cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const stored = await raise(client, [a]);
  const tx = await client.begin();
  await tx.load(a);
  tx.delete(a);
  await tx.commit();

  assert.equal(await (await client.snapshot()).load(a), undefined);
  assert.deepEqual((await (await client.snapshot({ at: stored })).load(a))?.data, bytes(1));
  await raise(client, [a]);
  assert.deepEqual((await (await client.snapshot()).load(a))?.data, bytes(1));
  await cluster.stop();
});

test("N1 an abort before the commit leaves nothing; a transaction that is over refuses all", async () => {
  const cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const tx = await client.begin();
  tx.store(a, bytes(1));
  tx.abort();

  await assert.rejects(tx.commit(), { code: "aborted" });
  assert.throws(() => tx.store(a, bytes(1)), { code: "aborted" });
  assert.equal(await (await client.snapshot()).load(a), undefined);
  await cluster.stop();
});

test("Client.outcome() tells a committed transaction from one of which nothing is stored", async () => {
  const cluster = await new LocalCluster({ partitions: 4 }).start();
  const [one, two] = [await cluster.connect(), await cluster.connect()];
  const none = new Uint8Array();
  const write = { oid: a, base: ZERO_TID, data: bytes(1) };
  const note = { checks: [], user: none, description: none, extension: none, status: " " };
  const { tid, ttid } = await one.call("commit", { writes: [write], ...note });
  await one.close();

  const home = partitionOf(a, 4);
  assert.equal(await two.outcome({ ttid, home }), tid);
  assert.equal(await two.outcome({ ttid: toTtid(ttid + 1n), home }), undefined);
  await cluster.stop();
});

test("a wrong argument is refused where it is given, and costs nothing else", async () => {
  const cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const tx = await client.begin();
  const wrong = (value: unknown): never => value as never;

  await assert.rejects(tx.load(wrong(5)), TypeError);
  assert.throws(() => tx.store(wrong(5), bytes(1)), TypeError);
  assert.throws(() => tx.store(a, wrong("text")), TypeError);
  assert.throws(() => tx.store(a, wrong(new ArrayBuffer(1))), TypeError);
  await assert.rejects(client.snapshot({ at: wrong("2024") }), TypeError);

  tx.store(a, bytes(1));
  await tx.commit();
  await cluster.stop();
});
