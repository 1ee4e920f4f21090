/** A storage that was away: it gets what it missed, and nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, Oid } from "../../mod.ts";
import { equalCopies } from "./copies.ts";
import { CliCluster, eventually } from "./kit.ts";
import { Load } from "./load.ts";

const PARTITIONS = 12;
/** Bytes of one value; it can't be compressed. */
const VALUE_BYTES = 20_000;
/** What a copy may bring beyond what was missing. */
const SLACK = 1.1;

/** Writes values of their own, one a transaction. */
async function write(client: Client, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const oid: Oid = await client.newOid();
    await client.transact((tx) => tx.store(oid, crypto.getRandomValues(new Uint8Array(VALUE_BYTES))));
  }
}

/** What storages have said of copies that they made. */
function caughtUp(cluster: CliCluster, name: string): { rows: number; bytes: number }[] {
  return cluster.log(name).filter(({ text }) => text === "Caught up") as never;
}

test("N4 T35: a storage that was killed comes back with what it missed, and only that is sent", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: PARTITIONS });
  const client = await cluster.connect();
  await write(client, 60);
  await cluster.kill9("s2");
  await write(client, 20);
  await cluster.start("s2");
  await eventually("the end of catch-up", () => caughtUp(cluster, "s2").length > 0);
  await equalCopies(client, PARTITIONS, 2);
  const [copied] = caughtUp(cluster, "s2");
  const missing = 20 * VALUE_BYTES;
  assert.ok(copied!.bytes >= missing, `${copied!.bytes} of ${missing} bytes came`);
  assert.ok(copied!.bytes <= missing * SLACK, `${copied!.bytes} bytes came, ${missing} were missing`);
  assert.ok(copied!.rows >= 40, "20 transactions of one revision each");
});

test("N3 T27: each storage in turn is killed and comes back under load; then all copies are equal", async () => {
  await using cluster = await CliCluster.started({ storages: 3, replicas: 1, partitions: PARTITIONS });
  const load = await Load.on(cluster);
  const idle = await cluster.connect();
  load.run();
  for (const name of ["s1", "s2", "s3", "s1"]) {
    await load.acknowledge(20);
    await cluster.kill9(name);
    await load.acknowledge(20);
    await cluster.start(name);
    await equalCopies(idle, PARTITIONS, 2);
  }
  await load.rest();
  assert.deepEqual([load.failures, load.readFailures], [[], []]);
  await load.check(idle);
  await equalCopies(idle, PARTITIONS, 2);
});
