/**
 * B13 and B5: who counts as lost, and when. A silent storage stops everybody's publication, so a missing lock has a time of
 * its own; the last readable copy is never given up; wall clocks decide nothing of this; and a cluster that comes back
 * waits for less than one that starts.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FAILOVER_GRACE_MS,
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  LOCK_TIMEOUT_MS,
  STARTUP_GRACE_MS,
} from "../../core/limits.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

const DAY_MS = 86_400_000;

async function write(stage: Stage, name: string): Promise<void> {
  const client = await stage.warm(name);
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf(name), { base: (await stage.finish(tx.load(oidAt(4))))?.tid ?? 0n as never });
  await stage.finish(tx.commit());
}

test("B13: a storage that doesn't lock is lost by its own time, before its silence alone would tell", async () => {
  assert.ok(LOCK_TIMEOUT_MS < KEEPALIVE_MS * (KEEPALIVE_MISSED_MAX + 1));
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const client = await stage.warm("c1");
  stage.wires.hold("s1", "m1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("T"));
  const commit = tx.commit({ withinMs: 2 * LOCK_TIMEOUT_MS });
  await stage.pass(LOCK_TIMEOUT_MS - 1);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  await stage.pass(1);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
  await stage.finish(commit);
});

test("B13: a storage that is silent while nothing is asked of it is lost by its heartbeats, not before", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  stage.wires.hold("s1", "m1");
  await stage.pass(KEEPALIVE_MS * KEEPALIVE_MISSED_MAX);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  await stage.pass(2 * KEEPALIVE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
});

test("B13: the last readable copy is never outdated: operation ends, and it is waited for", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  await write(stage, "c1");
  stage.storage("s1").kill();
  await stage.run();
  stage.storage("s2").kill();
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
  assert.equal(stage.master.machine.view.phase, "recovering");
  stage.startStorage("s1"); // it lacks nothing, but nobody can know
  await stage.pass(10 * STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "recovering");
  stage.startStorage("s2");
  await stage.pass(FAILOVER_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", "and s1 has caught up");
});

test("B13: a storage that is absent at a cold start is waited for", async () => {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  stage.startMaster();
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS - 1);
  assert.equal(stage.master.machine.view.phase, "recovering", "s1 may come");
  await stage.pass(1);
  assert.deepEqual([stage.master.machine.view.phase, stage.master.machine.view.table], [
    "running",
    "0: 2O 3U",
  ]);
});

test("B13: one that is lost later is waited for for less: everybody is", async () => {
  assert.ok(FAILOVER_GRACE_MS < STARTUP_GRACE_MS);
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  stage.startMaster();
  for (const name of stage.names) stage.startStorage(name);
  await stage.until(() => stage.master.machine.view.phase === "starting");
  stage.storage("s1").kill();
  await stage.pass(FAILOVER_GRACE_MS - 1);
  assert.equal(stage.master.machine.view.phase, "recovering");
  await stage.pass(1);
  assert.deepEqual([stage.master.machine.view.phase, stage.master.machine.view.table], [
    "running",
    "0: 2O 3U",
  ]);
});

for (const jumpMs of [DAY_MS, -DAY_MS]) {
  test(`B5: a wall clock that jumps by ${jumpMs / DAY_MS} day moves no deadline, and no tid back`, async () => {
    const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
    await write(stage, "c1");
    const { lastTid } = stage.master.machine.view;
    stage.time.wallMs += jumpMs;
    await stage.pass(KEEPALIVE_MS);
    assert.deepEqual(
      [stage.master.machine.view.phase, stage.master.machine.view.table],
      ["running", "0: 2U 3U"],
      "nobody is taken for dead",
    );
    assert.equal(stage.actor("c1").heard.filter(({ what }) => what === "lost").length, 0);
    await write(stage, "c2");
    assert.ok(stage.master.machine.view.lastTid > lastTid);
  });
}
