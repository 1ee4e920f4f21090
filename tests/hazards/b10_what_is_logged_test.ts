/**
 * B10: what the masters' log says. An oid that a client chose itself is covered by a mark which is held before anybody can read the
 * object: else the next primary grants it again. And no actual phase is there: a primary that starts goes through recovery,
 * however well the one before it was running.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OID_BLOCK } from "../../core/limits.ts";
import { bodiesOf, placeOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

const SHAPE = { storages: 1, replicas: 0, partitions: 1 };
const FOREIGN = 5_000_000;

test("B10: a foreign oid beyond the mark is published only when a mark beyond it is held, and is never granted", async () => {
  const stage = await new Stage(SHAPE).open();
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(FOREIGN), bytesOf("mine"));
  stage.consensus.lags = true;
  const commit = tx.commit();
  await stage.run();
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, 1, "it is locked");
  assert.equal(bodiesOf(stage.storage("s1"), "unlock").length, 0, "and waits for the mark");
  assert.equal(stage.master.machine.view.pending, 1);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.finish(commit);
  stage.master.kill();
  await stage.run();
  stage.startMaster();
  await stage.pass(1_000);
  const [next] = await stage.finish(client.newOids(1));
  assert.ok(next! > oidAt(FOREIGN) && next! <= oidAt(FOREIGN + 2 * OID_BLOCK));
});

test("B10: a primary that starts recovers first, though the one before it was running", async () => {
  const stage = await new Stage(SHAPE).open();
  stage.master.kill();
  await stage.run();
  const next = stage.startMaster();
  assert.equal(next.machine.view.phase, "recovering");
  await stage.pass(1_000);
  placeOf(next, "answered start", placeOf(next, "answered fence"));
  assert.deepEqual([next.machine.view.phase, next.machine.view.epoch], ["running", 2]);
});
