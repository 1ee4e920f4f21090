import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid, ZERO_TID } from "../core/ids.ts";
import type { Tid } from "../core/ids.ts";
import type { Change } from "../roles/client/changes.ts";
import type { Client } from "../roles/client/library.ts";
import { LocalCluster } from "./cluster.ts";

/** Commits `count` transactions of one object each, one after another. */
async function write(client: Client, oid: number, count: number, onCommit: () => void): Promise<void> {
  for (let done = 0; done < count; done++) {
    const tx = await client.begin();
    await tx.load(toOid(oid));
    tx.store(toOid(oid), Uint8Array.of(done));
    await tx.commit();
    onCommit();
  }
}

/** Takes changes up to one that is known when it comes. */
async function collect(
  feed: AsyncIterable<Change>,
  isLast: (change: Change) => boolean,
): Promise<Change[]> {
  const changes: Change[] = [];
  for await (const change of feed) {
    changes.push(change);
    if (isLast(change)) break;
  }
  return changes;
}

async function historyOf(client: Client, after: Tid): Promise<Change[]> {
  const history: Change[] = [];
  for await (const { tid, oids } of client.transactions({ after })) history.push({ tid, oids });
  return history;
}

test("P2 Client.changes() gives every transaction once and in order, over three restarts of the master", async () => {
  await using cluster = await new LocalCluster({ storages: 2, replicas: 1, partitions: 4 }).start();
  const [one, two, reader] = [await cluster.connect(), await cluster.connect(), await cluster.connect()];
  const seen = await one.sync();
  const marker = toOid(99);
  const ends = ({ oids }: Change): boolean => oids.includes(marker);
  const own = collect(one.changes({ since: seen }), ends); // hears its client's own commits, too
  const others = collect(reader.changes({ since: ZERO_TID }), ends);

  let commits = 0;
  const reached = new Map<number, () => void>();
  const at = (count: number) => new Promise<void>((resolve) => reached.set(count, resolve));
  const restarts = [20, 45, 70].map((count) =>
    at(count).then(async () => {
      await cluster.killMaster();
      await cluster.startMaster();
    })
  );
  const onCommit = (): void => reached.get(++commits)?.();
  await Promise.all([write(one, 1, 50, onCommit), write(two, 2, 50, onCommit)]);
  await Promise.all(restarts);
  const tx = await two.begin();
  tx.store(marker, new Uint8Array());
  await tx.commit();

  const history = await historyOf(two, ZERO_TID);
  assert.equal(history.length, 101);
  assert.deepEqual(await own, history);
  assert.deepEqual(await others, history);
});

test("P2 Client.changes() goes on where another feed of another client has ended", async () => {
  await using cluster = await new LocalCluster().start();
  const [one, two] = [await cluster.connect(), await cluster.connect()];
  await write(one, 1, 5, () => {});
  let count = 0;
  const first = await collect(one.changes({ since: ZERO_TID }), () => ++count === 3);
  await write(one, 1, 5, () => {});
  const last = await one.lastTid();
  const second = await collect(two.changes({ since: first.at(-1)!.tid }), ({ tid }) => tid === last);
  assert.deepEqual([...first, ...second], await historyOf(two, ZERO_TID));
});

test("P2 Client.changes() ends with an error when its client is closed", async () => {
  await using cluster = await new LocalCluster().start();
  const client = await cluster.connect();
  const feed = client.changes();
  const next = feed.next();
  await client.sync();
  await client.close();
  await assert.rejects(next, { name: "UnreachableError", code: "lost" });
  await assert.rejects(client.changes().next(), { name: "UnreachableError", code: "lost" });
});

test("a commit that is cancelled before its votes are there rejects with the signal's reason, and leaves nothing", async () => {
  await using cluster = await new LocalCluster({ storages: 1, replicas: 0, partitions: 1 }).start();
  const client = await cluster.connect();
  const oid = toOid(1);
  await write(client, 1, 1, () => {});
  await cluster.killStorage(0);
  const reason = new Error("enough");
  const controller = new AbortController();
  const tx = await client.begin({ sync: false });
  tx.store(oid, Uint8Array.of(7), { base: await client.lastTid() });
  const commit = tx.commit({ signal: controller.signal });
  controller.abort(reason);

  await assert.rejects(commit, (error) => error === reason);
  await cluster.startStorage(0);
  const found = await (await client.snapshot()).load(oid);
  assert.deepEqual(found?.data, Uint8Array.of(0));
});
