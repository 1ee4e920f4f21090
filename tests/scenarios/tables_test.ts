/** News of the cluster that come while something else is under way: a storage that goes, a table that changes during a start. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { STARTUP_GRACE_MS } from "../../core/limits.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { bodiesOf, hasHeard, placeOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { puppetClient, PuppetPrimary } from "../hazards/puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, ttidAt } from "../hazards/words.ts";
import { commitTexts, connectCaching, connectWarm, timesHeard } from "./kit.ts";

const PAIR = { storages: 2, replicas: 1, partitions: 1 };
const X = oidAt(5);

/** The primary loses s1, which itself goes on, and whose connections to clients stay. */
function loseFirst(stage: Stage): void {
  stage.wires.bar("s1", "m1");
  stage.wires.cut("s1", "m1");
}

test("16.1/021 a storage that the cluster has lost is dropped: nothing waits for it, nothing more is asked of it", async () => {
  const stage = await new Stage(PAIR).open();
  const scene = await connectWarm(stage, "c1");
  const tid = await commitTexts(stage, scene, [[X, "text"]]);
  const snapshot = await stage.finish(scene.client.snapshot());
  stage.wires.hold("s1", "c1"); // it seems to be slow
  const tx = await stage.finish(scene.client.begin());
  tx.store(X, bytesOf("new"), { base: tid });
  const [load, commit] = [snapshot.load(X), tx.commit()];
  await stage.run();
  const { heard } = stage.storage("s1");
  const conn = heard.find(({ what }) => what === "asked load")?.conn;
  assert.deepEqual(scene.actor.machine.load, { commits: 1, reads: 1 });
  loseFirst(stage);
  assert.equal(textOf((await stage.finish(load))?.data), "text", "asked of another");
  await stage.finish(commit);
  assert.deepEqual(scene.actor.machine.load, { commits: 0, reads: 0 });
  stage.wires.free("s1", "c1");
  await stage.run();
  assert.ok(heard.some(({ what, ...of }) => what === "lost" && of.conn === conn), "the connection is closed");
  assert.equal(stage.storage("s1").machine.load.phase, "orphaned", "it would still answer");
  const coming = timesHeard(stage, "s1", "identified");
  const later = await stage.finish(scene.client.snapshot());
  assert.equal(textOf((await stage.finish(later.load(X)))?.data), "new");
  await stage.finish(later.loadMany([X, oidAt(6)]));
  await commitTexts(stage, scene, [[X, "newer"]]);
  assert.equal(timesHeard(stage, "s1", "identified"), coming, "it isn't even connected again");
});

test("16.1/021 a connection that is being made to a storage which the cluster loses isn't waited for", async () => {
  const stage = await new Stage(PAIR).open();
  await commitTexts(stage, await connectCaching(stage, "c1", 0), [[X, "text"]]);
  const scene = await connectCaching(stage, "c2", 0);
  const snapshot = await stage.finish(scene.client.snapshot());
  stage.wires.hold("c2", "s1");
  const load = snapshot.load(X);
  await stage.run();
  assert.equal(scene.actor.machine.load.reads, 1);
  const atMs = stage.time.nowMs;
  loseFirst(stage);
  assert.equal(textOf((await stage.finish(load))?.data), "text");
  assert.equal(stage.time.nowMs, atMs, "not by a deadline");
  assert.deepEqual(scene.actor.machine.load, { commits: 0, reads: 0 });
});

/** The table that a storage's disk has. */
function savedTable(stage: Stage, name: string): string {
  stage.storage(name).kill();
  const disk = stage.disk(name).open();
  assert.ok(disk.state.image);
  return PartitionTable.ofImage(disk.state.image).toString();
}

test("16.1/022 a table change that comes before a storage's first read is answered is taken, and then it serves", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  const scene = await connectWarm(stage, "c1");
  await commitTexts(stage, scene, [[X, "one"]]);
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.hold("s2", "s1"); // it won't catch up
  const s2 = stage.startStorage("s2");
  s2.store.holdsReads = true; // what its disk holds, which its answer to the fence needs
  await stage.run();
  assert.ok(hasHeard(s2, "asked fence") && !hasHeard(s2, "asked start"));
  stage.storage("s3").kill();
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3O 4O");
  assert.ok(hasHeard(s2, "told tableChange") && !hasHeard(s2, "asked start"));
  s2.store.free();
  await stage.run();
  assert.equal(s2.machine.load.phase, "serving");
  const tid = await commitTexts(stage, scene, [[X, "two"]]);
  const { evidence } = bodiesOf(stage.master, "finish").at(-1)!;
  assert.deepEqual(
    evidence.map(({ node, cells }) => [node, cells.map(({ since, locked }) => [since, locked])]),
    [[2, [[1, true]]], [3, [[2, false]]]],
    "it takes part, as a copy that is out of date",
  );
  assert.ok(tid > 0n && s2.machine.load.parked === 0);
  assert.equal(savedTable(stage, "s2"), "0: 2U 3O 4O");
});

test("16.1/022 a change that outdates an absent copy reaches the others before they are started: UUO", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  await commitTexts(stage, await connectWarm(stage, "c1"), [[X, "one"]]);
  for (const name of ["c1", "m1", ...stage.names]) stage.actor(name).kill();
  await stage.run();
  stage.startMaster();
  const [s1, s2] = [stage.startStorage("s1"), stage.startStorage("s2")];
  await stage.pass(STARTUP_GRACE_MS - 1_000);
  assert.ok(!hasHeard(s1, "told tableChange"), "the third may still come");
  await stage.pass(1_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4O");
  for (const storage of [s1, s2]) {
    assert.ok(placeOf(storage, "told tableChange") < placeOf(storage, "asked start"));
    assert.equal(storage.machine.load.phase, "serving");
  }
  await commitTexts(stage, await connectWarm(stage, "c2"), [[X, "two"]]);
  for (const name of ["s1", "s2"]) assert.equal(savedTable(stage, name), "0: 2U 3U 4O");
});

test("16.1/022 a storage judges what comes after its start by the change that came before it", async () => {
  const stage = new Stage(PAIR);
  const primary = new PuppetPrimary(stage);
  const s1 = stage.startStorage("s1");
  await stage.run();
  s1.store.holdsReads = true;
  const fenced = primary.fence();
  await stage.run();
  const version = primary.table.version + 1;
  const cells = [{
    partition: 0 as Partition,
    node: 2 as NodeIndex,
    state: "outOfDate" as const,
    since: version,
  }];
  primary.table.apply(version, cells);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  await stage.run();
  assert.deepEqual(fenced, {});
  s1.store.free();
  await stage.run();
  assert.equal(fenced.answer?.version, version, "it says which table it has");
  primary.start();
  await stage.run();
  const { puppet, conn } = await puppetClient(stage);
  const store = puppet.ask(conn, "store", storeOf({ ttid: ttidAt(1, 1), oid: 5, version }));
  const load = puppet.ask(conn, "load", { oid: X, at: 0n as never, version });
  await stage.run();
  assert.deepEqual(store.answer, { lockless: true });
  assert.equal(load.error?.code, "notReadable");
});
