import assert from "node:assert/strict";
import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { RECOVER_OIDS } from "../../core/limits.ts";
import { CliCluster } from "./kit.ts";
import { Load } from "./load.ts";

test("neo cluster recover: all masters' disks are deleted; every acknowledged commit is there, and more follow (T39, B12)", async () => {
  await using cluster = await CliCluster.started({ masters: 3, storages: 2, partitions: 12 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(60);
  await load.rest();

  const running = await cluster.neo("cluster", "recover", "--yes", "shop");
  assert.equal(running.exitCode, 6, running.stderr);
  assert.match(running.stderr, /Cannot recover shop: .* run\b/);

  await cluster.stop();
  for (const { data } of cluster.nodes("master")) rmSync(join(data, "master.sqlite"));
  const shown = (await cluster.ok("cluster", "recover", "--json")).json;
  const tables = shown.tables as {
    id: string;
    holders: string[];
    unreadable: number;
    newestTid: string | null;
  }[];
  assert.deepEqual(tables.map(({ holders, unreadable }) => [holders, unreadable]), [[["s1", "s2"], 0]]);
  assert.ok(tables[0]!.newestTid);
  const typo = await cluster.neo("cluster", "recover", "--yes", "shup");
  assert.equal(typo.exitCode, 2, typo.stderr);
  assert.match(
    (await cluster.ok("cluster", "recover", "--yes", "shop")).stdout,
    /masters m1, m2, m3 begin anew/,
  );

  await cluster.start();
  const client = await cluster.connect();
  await load.check(client);
  const oid = await client.newOid();
  assert.ok(oid > RECOVER_OIDS, `oid ${oid} may have been given before`);
  await client.transact((tx) => tx.store(oid, Uint8Array.of(7)));
  assert.deepEqual((await (await client.snapshot()).load(oid))?.data, Uint8Array.of(7));
});

test("a storage that is away must be declared lost, and an old master's disk put back serves no more (T39, B12)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, partitions: 12 });
  const load = await Load.on(cluster);
  load.run();
  await load.acknowledge(20);
  await load.rest();
  await cluster.stop();
  const [s2, m1] = [join(cluster.node("s2").data, "storage.sqlite"), cluster.node("m1").data];
  renameSync(s2, `${s2}.away`);
  const silent = await cluster.neo("cluster", "recover", "--yes", "shop");
  assert.equal(silent.exitCode, 6, silent.stderr);
  assert.match(silent.stderr, /storages s2 aren't here/);
  assert.match(silent.stderr, /--lost s2/);
  renameSync(`${s2}.away`, s2);

  await cluster.ok("cluster", "recover", "--yes", "shop");
  await cluster.start();
  await load.check(await cluster.connect());
  await cluster.stop();
  const old = readdirSync(m1).find((name) => /^master\.sqlite\.before-\d+$/.test(name))!;
  renameSync(join(m1, "master.sqlite"), join(m1, "newest"));
  renameSync(join(m1, old), join(m1, "master.sqlite"));
  const refused = await cluster.neo("start", "--wait", "8");
  assert.notEqual(refused.exitCode, 0);
  assert.match((await cluster.neo("status")).stdout, /has seen a later epoch or table.*neo cluster recover/);
});
