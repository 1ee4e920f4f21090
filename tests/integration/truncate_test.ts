/** `neo cluster truncate` on real processes, one of which dies while it does it (N7). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hexOf } from "../../core/ids.ts";
import type { Client, Oid, Tid } from "../../mod.ts";
import { equalCopies } from "./copies.ts";
import { CliCluster } from "./kit.ts";

const PARTITIONS = 8;

/** Gives ten objects a text. */
async function commit(client: Client, text: string): Promise<Tid> {
  const oids = Array.from({ length: 10 }, (_, at) => BigInt(at + 1) as Oid);
  const { tid } = await client.transact(async (tx) => {
    await Promise.all(oids.map((oid) => tx.load(oid))); // what a write starts from
    for (const oid of oids) tx.store(oid, new TextEncoder().encode(text));
  });
  return tid;
}

async function textOf(client: Client): Promise<string> {
  const snapshot = await client.snapshot();
  return new TextDecoder().decode((await snapshot.load(1n as Oid))?.data);
}

test("N7: neo cluster truncate says what goes, does it on all storages, and a client sees it", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: PARTITIONS });
  const client = await cluster.connect();
  const kept = await commit(client, "kept");
  await commit(client, "gone");
  const last = await commit(client, "gone too");
  assert.equal(await textOf(client), "gone too");

  const asked = await cluster.neo("cluster", "truncate", "--to", hexOf(kept));
  assert.equal(asked.exitCode, 2);
  assert.match(
    asked.stderr,
    /Cannot truncate without --yes: 2 transactions with 20 revisions, from 2\S+ to 2\S+ would/,
  );
  const nothing = await cluster.neo("cluster", "truncate", "--to", hexOf(last), "--yes");
  assert.equal(nothing.exitCode, 6);
  assert.match(nothing.stderr, /nothing is behind that/);
  const all = await cluster.neo("cluster", "truncate", "--to", "2001-01-01T00:00Z", "--yes");
  assert.equal(all.exitCode, 6);
  assert.match(all.stderr, /nothing would be left/);

  await cluster.kill9("s2");
  const { json } = await cluster.ok("cluster", "truncate", "--to", hexOf(kept), "--yes", "--json");
  assert.deepEqual([json.number, json.lastTid, json.transactions, json.done], [1, hexOf(kept), 2, true]);
  assert.equal(await textOf(client), "kept");
  assert.ok(await commit(client, "after") > last);
  await cluster.start("s2");
  await equalCopies(client, PARTITIONS, 2);
  const listed = await cluster.ok("tx", "list", "--json");
  assert.equal((listed.json.transactions as unknown[]).length, 2);
});
