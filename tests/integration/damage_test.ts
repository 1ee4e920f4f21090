/** Bits that turn on the disk of a real storage: found, told, and made good from the other copy (N8, X5). */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { askPrimary } from "../../cli/ask.ts";
import { databaseFileOf } from "../../cli/stores.ts";
import type { Oid } from "../../mod.ts";
import { CliCluster, WITHIN_MS } from "./kit.ts";

const OBJECTS = 40;

/** Commits objects whose bytes can be found again in a file. */
async function filled(cluster: CliCluster): Promise<void> {
  const client = await cluster.connect();
  await client.transact((tx) => {
    for (let oid = 1; oid <= OBJECTS; oid++) tx.store(BigInt(oid) as Oid, markOf(oid));
    return Promise.resolve();
  });
  await client.close();
}

function markOf(oid: number): Uint8Array {
  return new TextEncoder().encode(`here is object ${oid}, and this is where it ends`);
}

/** Turns one bit of an object's data in a storage's file. */
function flip(cluster: CliCluster, name: string, oid: number): void {
  const file = databaseFileOf(cluster.node(name));
  const bytes = readFileSync(file);
  const at = bytes.indexOf(markOf(oid));
  assert.ok(at > 0, `${name} has object ${oid} in its file`);
  bytes[at + 5]! ^= 0x10;
  writeFileSync(file, bytes);
}

/** Waits until all copies are readable. */
async function readable(cluster: CliCluster): Promise<void> {
  const target = { kind: "folder", config: cluster.config, uri: cluster.uri } as const;
  const { nodes } = await askPrimary("listNodes", {}, target, {
    withinMs: WITHIN_MS,
    isWanted: ({ nodes }) => nodes.every(({ cells, readable }) => cells === readable),
  });
  assert.ok(nodes.every(({ cells, readable }) => cells === readable));
}

test("X5, N8: a flipped bit in a storage's file is found by neo table verify, and repaired from the other copy", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 8 });
  await filled(cluster);
  const sound = await cluster.ok("table", "verify");
  assert.match(
    sound.stdout,
    /^shop: sound: copies are equal.*\nLooked at 16 copies of 8 partitions, \d+ bytes\n$/,
  );
  await cluster.stop("s2");
  flip(cluster, "s2", 7);
  flip(cluster, "s2", 8);
  await cluster.start("s2");
  await readable(cluster);

  const found = await cluster.neo("table", "verify");
  assert.equal(found.exitCode, 1);
  assert.match(found.stdout, /^shop: 2 of 16 copies aren't sound\n/);
  assert.match(found.stdout, /\n7 +s2 +broken +\d+ +1\n/);
  assert.match(found.stdout, /\nNext: neo table verify --repair\n$/);
  const { json } = await cluster.ok("table", "verify", "--repair", "--json");
  assert.deepEqual([json.sound, json.partitions], [true, 8]);
  const cells = json.cells as { partition: number; name: string; state: string; repaired: boolean }[];
  const bad = cells.filter(({ repaired }) => repaired);
  assert.deepEqual(bad.map(({ partition, name, state }) => [partition, name, state]), [
    [0, "s2", "broken"],
    [7, "s2", "broken"],
  ]);
  assert.match((await cluster.ok("table", "verify")).stdout, /^shop: sound/);

  await cluster.kill9("s1"); // what s2 has must be right now
  const client = await cluster.connect();
  const snapshot = await client.snapshot();
  for (const oid of [7, 8]) assert.deepEqual((await snapshot.load(BigInt(oid) as Oid))?.data, markOf(oid));
});
