/**
 * B7: an empty or swapped disk comes back under an old name, and the table says that it is readable. Identity is the disk's random id:
 * an unknown one has no cells and no voice. And a storage obeys no primary that knows less than itself.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { STARTUP_GRACE_MS } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, serving } from "./puppet.ts";
import { bytesOf, oidAt, textOf } from "./words.ts";

async function commitOne(stage: Stage): Promise<void> {
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  await stage.finish(tx.commit());
}

async function killAll(stage: Stage): Promise<void> {
  for (const name of ["m1", ...stage.names]) stage.actor(name).kill();
  await stage.run();
}

test("B7: a new disk under an old name isn't admitted, and the copies that are left go on without it", async () => {
  const stage = await new Stage().open();
  await commitOne(stage);
  await killAll(stage);
  stage.startMaster();
  stage.startStorage("s1");
  const stranger = stage.startStorage("s2", { newDisk: "made yesterday" });
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O\n1: 2U 3O");
  assert.ok(stranger.heard.some(({ error }) => error?.code === "unknownNode"));
  for (const name of ["fence", "start", "lock"] as const) assert.deepEqual(bodiesOf(stranger, name), []);
  const client = await stage.connect("c2");
  const snapshot = await stage.finish(client.snapshot());
  for (const oid of [4, 5]) {
    assert.equal(textOf((await stage.finish(snapshot.load(oidAt(oid))))?.data), `object ${oid}`);
  }
  const status = await stage.finish(client.call("status", {}));
  const found = status.nodes.filter(({ name }) => name === "s2");
  assert.deepEqual(found.map(({ state }) => state), ["unavailable", "unknown"]);
  assert.match(found[1]!.problem!, /its disk id isn't in the registry/);
});

test("B7: without the only copy's own disk the cluster waits for it, whatever comes under its name", async () => {
  const stage = await new Stage({ replicas: 0 }).open();
  await commitOne(stage);
  await killAll(stage);
  stage.startMaster();
  stage.startStorage("s1");
  const own = stage.disk("s2");
  const stranger = stage.startStorage("s2", { newDisk: "made yesterday" });
  await stage.pass(3 * STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "recovering");
  stranger.kill();
  stage.startStorage("s2", { disk: own });
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  const client = await stage.connect("c2");
  const snapshot = await stage.finish(client.snapshot());
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(5))))?.data), "object 5");
});

test("B7: a storage refuses a primary whose table is older than its own, and keeps its epoch", async () => {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  const primary = await serving(stage);
  const first = primary.table.toImage();
  primary.table.apply(3, [{ partition: 0 as Partition, node: 3 as NodeIndex, state: "outOfDate", since: 3 }]);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  await stage.run();
  const rows = [[{ node: 2 as NodeIndex, state: "upToDate", since: 1 } as const]];
  const newer = new PartitionTable({ generation: 2, version: 1, replicas: 0, rows }).toImage();
  const refused = primary.fence({ epoch: 7, image: first });
  const other = PartitionTable.ofImage(first);
  other.apply(3, [{ partition: 0 as Partition, node: 2 as NodeIndex, state: "outOfDate", since: 3 }]);
  const contradicted = primary.fence({ epoch: 7, image: other.toImage() });
  const taken = primary.fence({ epoch: 6 });
  const recovered = primary.fence({ epoch: 8, image: newer });
  const generation = primary.fence({ epoch: 9 });
  await stage.run();
  assert.equal(refused.error?.code, "staleTable");
  assert.equal(contradicted.error?.code, "staleTable", "the same version, and another history");
  assert.ok(taken.answer, "the refused one's epoch wasn't taken over");
  assert.ok(recovered.answer, "a newer generation wins with any version");
  assert.equal(generation.error?.code, "staleTable");
});

test("B7: the table that a storage has seen survives its crash", async () => {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  const primary = await serving(stage);
  const first = primary.table.toImage();
  primary.table.apply(2, [{ partition: 0 as Partition, node: 3 as NodeIndex, state: "outOfDate", since: 2 }]);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  await stage.run();
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.run();
  const [older, same] = [primary.fence({ epoch: 2, image: first }), primary.fence({ epoch: 2 })];
  await stage.run();
  assert.equal(older.error?.code, "staleTable");
  assert.ok(same.answer);
});

test("B7: a master whose disk went back in time decides nothing while a storage knows better", async () => {
  const stage = await new Stage().open();
  stage.storage("s2").kill(); // its copy is outdated: the table moves on, and s1 alone has what follows
  await stage.run();
  await commitOne(stage);
  stage.master.kill();
  const old = stage.startMaster({ image: stage.image });
  stage.startStorage("s2");
  await stage.pass(3 * STARTUP_GRACE_MS);
  assert.equal(old.machine.view.phase, "recovering", "s2 alone would do, by the old table");
  assert.deepEqual(bodiesOf(stage.storage("s2"), "start"), []);
  assert.equal(old.machine.view.epoch, 1, "and it doesn't climb over the epochs of others");
  old.kill();
  stage.startMaster();
  await stage.pass(5_000);
  const client = await stage.connect("c2");
  const snapshot = await stage.finish(client.snapshot());
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(5))))?.data), "object 5");
});

test("B7: a master that runs on an old disk ends operation when it hears of something newer", async () => {
  const stage = await new Stage().open();
  stage.storage("s2").kill();
  await stage.run();
  await commitOne(stage);
  stage.master.kill();
  stage.storage("s1").kill();
  const old = stage.startMaster({ image: stage.image });
  stage.startStorage("s2");
  await stage.pass(3 * STARTUP_GRACE_MS);
  assert.equal(old.machine.view.phase, "running", "nobody there knows better");
  stage.startStorage("s1");
  await stage.pass(3 * STARTUP_GRACE_MS);
  assert.equal(old.machine.view.phase, "recovering");
  const admin = new Puppet(stage, "a1", stage.hello("admin", { name: "a1" }), []);
  const { conn } = await admin.dial("m1:1");
  const status = admin.ask(conn, "status", {});
  await stage.run();
  assert.match(
    status.answer?.waitingFor ?? "",
    /^the newest metadata: storage s1 has seen a later epoch or table; .*`neo cluster recover`$/,
  );
});
