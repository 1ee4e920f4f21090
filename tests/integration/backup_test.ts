/** A backup on real processes: it follows under load, is killed, and takes over when its source is lost (N5). */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { hexOf } from "../../core/ids.ts";
import type { Client, Oid, Tid, TransactionRecord } from "../../mod.ts";
import { DatabaseError } from "../../mod.ts";
import { CliCluster, within } from "./kit.ts";

const SOURCE = { masters: 3, storages: 2, replicas: 1, partitions: 8 };
const BACKUP = { masters: 1, storages: 3, replicas: 1, partitions: 5 };

/** Commits once more to some objects. */
async function commit(client: Client, count: number = 1): Promise<Tid> {
  let last = 0n as Tid;
  for (let at = 0; at < count; at++) {
    const { tid } = await client.transact(async (tx) => {
      for (const oid of [1n, BigInt(2 + at)] as Oid[]) {
        await tx.load(oid);
        tx.store(oid, new TextEncoder().encode(`${at}`));
      }
    });
    last = tid;
  }
  return last;
}

async function historyOf(client: Client): Promise<TransactionRecord[]> {
  const found: TransactionRecord[] = [];
  for await (const one of client.records()) found.push(one);
  return found;
}

/** Waits until a cluster has published this transaction. */
async function reaches(client: Client, tid: Tid): Promise<void> {
  if (await client.sync() >= tid) return;
  for await (const change of client.changes({ since: 0n as Tid })) if (change.tid >= tid) return;
}

/** A master that isn't the primary. */
async function secondaryOf(cluster: CliCluster): Promise<string> {
  const { json } = await cluster.ok("master", "list", "--json");
  const masters = json.masters as { address: string; isPrimary: boolean }[];
  return masters.find(({ isPrimary }) => !isPrimary)!.address;
}

test("16.5/124 16.2/054 N5: a backup whose URI names a secondary follows under load, survives kill -9 of its follower, and is promoted", async () => {
  await using source = await CliCluster.started(SOURCE);
  await using backup = await CliCluster.started(BACKUP);
  const writer = await source.connect();
  await commit(writer, 20);
  const uri = `neo://shop@${await secondaryOf(source)}`;

  const nothing = await backup.neo("cluster", "follow");
  assert.equal(nothing.exitCode, 2, "a backup of nothing");
  const half = await backup.neo("cluster", "follow", `${uri}?ca=ca.pem`);
  assert.equal(half.exitCode, 2, "half of what a certificate takes");
  assert.equal((await backup.ok("status", "--json")).json.backup, null, "and nothing was changed");
  const early = await backup.neo("cluster", "promote", "--yes");
  assert.equal(early.exitCode, 6);
  assert.match(early.stderr, /it is no backup/);
  const { json } = await backup.ok("cluster", "follow", uri, "--json");
  assert.deepEqual([json.of, json.follower, json.running], ["shop", "a1", true]);

  const reader = await backup.connect();
  await within("the first copy", reaches(reader, await commit(writer)));
  assert.deepEqual(await historyOf(reader), await historyOf(writer));
  await assert.rejects(
    commit(reader),
    (error) => error instanceof DatabaseError && error.code === "readOnly",
  );

  const writing = commit(writer, 60);
  await backup.kill9("a1");
  await commit(writer, 5);
  await backup.start("a1");
  const last = await writing;
  await within("the rest", reaches(reader, last));
  const { stdout } = await backup.ok("status");
  assert.match(stdout, /backup of shop, up to date/);

  await source.kill9(...source.nodes().map(({ name }) => name));
  const refused = await backup.neo("cluster", "promote");
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /without --yes: it is a backup of shop/);
  const promoted = await backup.ok("cluster", "promote", "--yes", "--json");
  assert.ok(String(promoted.json.lastTid) >= hexOf(last), "all that it had confirmed");
  assert.ok(await commit(reader) > last);
  assert.equal((await backup.ok("status", "--json")).json.backup, null);
});

test("N5: a backup of a cluster with certificates follows it by those that its URI names", async () => {
  await using source = await CliCluster.started({ ...SOURCE, masters: 1, tls: true });
  await using backup = await CliCluster.started({ ...BACKUP, tls: true });
  const writer = await source.connect();
  const last = await commit(writer, 3);
  await backup.ok("cluster", "follow", source.uri);
  const reader = await backup.connect();
  await within("the copy", reaches(reader, last));
  assert.deepEqual(await historyOf(reader), await historyOf(writer));
});

test("J1 N5: what a backup's admin hasn't copied yet isn't packed in the source (T13)", async () => {
  await using source = await CliCluster.started({ ...SOURCE, masters: 1 });
  await using backup = await CliCluster.started({ ...BACKUP, storages: 1, replicas: 0 });
  const writer = await source.connect();
  const first = await commit(writer, 3);
  await backup.ok("cluster", "follow", source.uri);
  const reader = await backup.connect();
  await within("the copy", reaches(reader, first));
  const storage = backup.pid("s1");
  process.kill(storage, "SIGSTOP"); // nothing can be copied
  await commit(writer, 3);
  const last = await commit(writer);
  const refused = await source.neo("pack", "--before", hexOf(last), "--yes");
  assert.equal(refused.exitCode, 6, refused.stdout);
  assert.match(refused.stderr, /client backup by a1 \(session \d+\) reads a snapshot/);
  process.kill(storage, "SIGCONT");
  await within("the rest", reaches(reader, last));
  assert.deepEqual(await historyOf(reader), await historyOf(writer));
});
