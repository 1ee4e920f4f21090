/** A storage that begins with a copy of another one's database takes over the network what that lacks, and no more (N4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Oid } from "../../mod.ts";
import { equalCopies } from "./copies.ts";
import { CliCluster } from "./kit.ts";

const PARTITIONS = 8;
const OBJECT_BYTES = 20_000;

/** Commits objects from `first` on, `count` of them, of bytes that can't be made smaller. */
async function commit(client: Client, first: number, count: number): Promise<void> {
  for (let oid = first; oid < first + count; oid++) {
    await client.transact((tx) => {
      tx.store(BigInt(oid) as Oid, crypto.getRandomValues(new Uint8Array(OBJECT_BYTES)));
      return Promise.resolve();
    });
  }
}

test("N4: neo node clone copies a stopped storage's database, and transfers only what it lacks", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: PARTITIONS });
  const client = await cluster.connect();
  await commit(client, 1, 100);
  const running = await cluster.neo("node", "clone", "s1", "s3");
  assert.equal(running.exitCode, 6);
  assert.match(running.stderr, /Cannot clone s1: it runs\nHint: stop it first: neo stop s1\n/);
  await cluster.stop("s1");
  await commit(client, 101, 10);

  const { json } = await cluster.ok("node", "clone", "s1", "s3", "--json");
  cluster.reload();
  assert.deepEqual([json.cells, json.readable, json.done], [PARTITIONS, PARTITIONS, true]);
  const missing = 10 * OBJECT_BYTES;
  const bytes = json.bytes as number;
  assert.ok(missing <= bytes && bytes <= 1.1 * missing, `${bytes} bytes for ${missing} that were missing`);
  await equalCopies(client, PARTITIONS, 2);
  await cluster.start("s1");
  await equalCopies(client, PARTITIONS, 3);
  const again = await cluster.neo("node", "clone", "s1", "s3");
  assert.equal(again.exitCode, 6);

  await cluster.kill9("s1", "s2"); // all that there is, is on the clone too
  const snapshot = await client.snapshot({ sync: false });
  for (const oid of [1, 50, 110]) {
    assert.equal((await snapshot.load(BigInt(oid) as Oid))?.data.length, OBJECT_BYTES);
  }
  assert.match((await cluster.ok("table", "verify")).stdout, /^shop: sound/);
});
