/** `neo pack` on real processes, which die while they do it (T13, J1, J2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexOf } from "../../core/ids.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { PackedError } from "../../mod.ts";
import { equalCopies } from "./copies.ts";
import { CliCluster } from "./kit.ts";

const PARTITIONS = 8;
const OBJECTS = 200;
const oids = Array.from({ length: OBJECTS }, (_, at) => BigInt(at + 1) as Oid);

/** Gives all objects a text. */
async function commit(client: Client, text: string): Promise<Tid> {
  const { tid } = await client.transact(async (tx) => {
    await tx.prefetch(oids);
    for (const oid of oids) {
      await tx.load(oid); // what a write starts from
      tx.store(oid, new TextEncoder().encode(text));
    }
  });
  return tid;
}

async function textsAt(client: Client, at?: Tid): Promise<string[]> {
  const snapshot = await client.snapshot(at === undefined ? {} : { at });
  const all = (await snapshot.loadMany(oids)).map((found) => new TextDecoder().decode(found?.data));
  snapshot.close();
  return [...new Set(all)];
}

/** Waits for the moment in which every storage has said that it is done. */
async function packed(cluster: CliCluster): Promise<void> {
  for (;;) {
    const { json } = await cluster.neo("status", "--json", "--wait", "60");
    if (json.pack !== null && (json.pack as { packing: string[] }).packing.length === 0) return;
  }
}

test("T13 storages that are killed while they pack go on with it, and nothing goes that is current or above the bound", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: PARTITIONS });
  const client = await cluster.connect();
  const tids: Tid[] = [];
  for (let at = 0; at < 8; at++) tids.push(await commit(client, `text ${at}`));
  const bound = tids[5]!;

  const old = await client.snapshot({ at: tids[2]! });
  const refused = await cluster.neo("pack", "--before", hexOf(bound), "--yes");
  assert.equal(refused.exitCode, 6);
  assert.match(refused.stderr, /reads a snapshot of/);
  old.close();

  await cluster.ok("config", "set", "storage.packRowsPerS=500"); // some seconds of work
  const { json } = await cluster.ok("pack", "--before", hexOf(bound), "--yes", "--json");
  assert.deepEqual([json.upTo, json.packed, json.dryRun], [hexOf(bound), null, false]);
  assert.ok(json.historyBytes as number > 0);
  await cluster.kill9("s1");
  await cluster.start("s1");
  await cluster.kill9("s1", "s2");
  await cluster.start("s1", "s2");
  await cluster.ok("config", "set", "storage.packRowsPerS=100000");
  await packed(cluster);

  assert.deepEqual([await textsAt(client), await textsAt(client, bound)], [["text 7"], ["text 5"]]);
  assert.deepEqual(await textsAt(client, tids[6]!), ["text 6"]);
  await assert.rejects(
    textsAt(client, tids[4]!),
    (error) => error instanceof PackedError && error.bound === bound,
  );
  await equalCopies(client, PARTITIONS, 2);
  const { stdout } = await cluster.ok("table", "verify");
  assert.match(stdout, /sound/);
  const sizes = (await cluster.ok("cluster", "size", "--json")).json.storages as {
    history: number;
    live: number;
  }[];
  for (const { history, live } of sizes) {
    assert.equal(history, 2 * live, "texts 5 and 6 of each object, and no more");
  }
});
