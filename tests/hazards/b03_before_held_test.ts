/**
 * B3: a primary that starts storages before the outdating of the absent ones is held. Its successor may find the absent one
 * still readable, with a lock that the others have dropped. B1: the same for a `lock`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STARTUP_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt, textOf, tidAt } from "./words.ts";

/** One partition on s1, s2 and s3. */
const TRIPLE = { storages: 3, replicas: 2, partitions: 1 };

/**
 * A transaction that all have voted for, locked on s1 alone when the primary, s1 and the client die. The next primary has
 * waited for s1, and proposed that it is outdated.
 */
async function lockedOnAbsentee(stage: Stage): Promise<void> {
  const client = await stage.warm("c1");
  stage.wires.hold("m1", "s2");
  stage.wires.hold("m1", "s3");
  const tx = await stage.finish(client.begin());
  for (let oid = 4; oid < 4 + stage.shape.partitions; oid++) tx.store(oidAt(oid), bytesOf("in doubt"));
  void tx.commit().catch(() => undefined);
  await stage.run();
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, 2);
  for (const name of ["s2", "s3"]) stage.wires.lose("m1", name);
  for (const name of ["c1", "s1", "m1"]) stage.actor(name).kill();
  for (const name of ["s2", "s3"]) stage.wires.free("m1", name);
  stage.startMaster();
  await stage.run();
  stage.consensus.lags = true; // the other masters are slow
  await stage.pass(STARTUP_GRACE_MS);
}

/** An object as the database of a storage has it. */
function finalOn(stage: Stage, name: string, oid: number): string | undefined {
  const query = { read: "load", oid: oidAt(oid), at: tidAt(2 ** 62) };
  const { revision } = stage.storage(name).store.read(query) as {
    revision: { stored: { data: Uint8Array } } | null;
  };
  return textOf(revision?.stored.data);
}

test("B3: no storage is started before the outdating of the absent ones is held", async () => {
  const stage = await new Stage(TRIPLE).open();
  await lockedOnAbsentee(stage);
  for (const name of ["s2", "s3"]) {
    assert.equal(bodiesOf(stage.storage(name), "start").length, 1, "only that of the first primary");
    assert.equal(stage.storage(name).machine.load.transactions, 1, "the vote stands");
  }
  stage.master.kill(); // and nobody else has heard of the outdating
  stage.storage("s3").kill();
  stage.startStorage("s1");
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4O");
  assert.deepEqual(["s1", "s2"].map((name) => finalOn(stage, name, 4)), ["in doubt", "in doubt"]);
});

test("B3: once it is held, the absent one's lock counts no more", async () => {
  const stage = await new Stage(TRIPLE).open();
  await lockedOnAbsentee(stage);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "running");
  assert.equal(
    stage.storage("s2").machine.load.transactions,
    0,
    "dropped: no home cell that counts has it locked",
  );
  stage.master.kill();
  stage.storage("s3").kill();
  const back = stage.startStorage("s1");
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U 4O");
  assert.deepEqual(["s1", "s2"].map((name) => finalOn(stage, name, 4)), [undefined, undefined]);
  assert.equal(back.machine.load.transactions, 0);
});

test("B3: a lock on an outdated home cell decides nothing for those that haven't been started yet", async () => {
  const stage = await new Stage({ storages: 3, replicas: 1, partitions: 2 }).open(); // 0: s1 s2, 1: s3 s1
  await lockedOnAbsentee(stage);
  stage.wires.hold("m1", "s3");
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.equal(stage.storage("s2").machine.load.transactions, 0, "s2 was started and has dropped it");
  assert.equal(stage.storage("s3").machine.load.transactions, 1, "s3 wasn't, and has not");
  stage.wires.lose("m1", "s3");
  stage.master.kill();
  stage.wires.free("m1", "s3");
  stage.startStorage("s1");
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  assert.deepEqual(["s1", "s2"].map((name) => finalOn(stage, name, 4)), [undefined, undefined]);
  assert.equal(finalOn(stage, "s3", 5), undefined, "no half of it");
});

test("B1: no lock is sent before the outdating of what misses the transaction is held", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const client = await stage.warm("c1");
  stage.wires.hold("c1", "s2");
  stage.wires.hold("s2", "s1"); // what is outdated stays so
  stage.consensus.lags = true;
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("x"));
  const commit = tx.commit();
  await stage.run();
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2");
  await stage.run();
  assert.ok(hasHeard(stage.master, "asked finish"));
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, 1, "only that of what warmed the client up");
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  assert.ok(await stage.finish(commit) > 0n);
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, 2);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
});
