/** Broken rows are made anew while others read, copy, tell of broken rows too, or move the cell: nothing whole is lost. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SCRUB_DELAY_MS } from "../../core/limits.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt, textOf } from "../hazards/words.ts";
import { assertSound, breakRow, OperatorHand, revisionAt } from "./damage_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";

const X = oidAt(5);

test("N8: a load that meets the mending of its cell isn't answered from what is left", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const [writer, reader] = [
    await connectCaching(stage, "c0", 0),
    await connectCaching(stage, "c1", 1_000_000),
  ];
  await commitTexts(stage, writer, [[X, "old"]]);
  const tid = await commitTexts(stage, writer, [[X, "new"]]);
  breakRow(stage, "s2", X, tid);
  stage.wires.bar("c1", "s1");
  stage.wires.cut("c1", "s1");
  await stage.run();
  stage.wires.hold("s1", "m1"); // its word for the row
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  stage.wires.hold("m1", "s2");
  stage.wires.hold("c1", "s2");
  const snapshot = await stage.finish(reader.client.snapshot());
  const load = snapshot.load(X);
  load.catch(() => undefined);
  await stage.run();
  stage.wires.free("s1", "m1");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
  // in one round: the load, then `mend` with the table that outdates the cell
  stage.wires.deliver("c1", "s2");
  stage.wires.deliver("m1", "s2");
  stage.wires.free("c1", "s2");
  stage.wires.free("m1", "s2");
  stage.wires.unbar("c1", "s1");
  assert.equal(textOf((await stage.finish(load))?.data), "new");
});

test("N8: a copy whose source is mended in the round of its answer doesn't end without the mended row", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  const writer = await connectCaching(stage, "c0", 0);
  await commitTexts(stage, writer, [[X, "old"]]);
  stage.storage("s3").kill();
  await stage.run();
  const tid = await commitTexts(stage, writer, [[X, "new"]]);
  breakRow(stage, "s1", X, tid);
  await stage.pass(SCRUB_DELAY_MS - 50);
  stage.wires.hold("s2", "m1"); // its word for the row
  await stage.pass(300);
  assert.equal(bodiesOf(stage.master, "damaged").length, 1);
  stage.wires.hold("s3", "s1");
  stage.startStorage("s3");
  await stage.run();
  for (let message = 0; message < 2; message++) {
    stage.wires.deliver("s3", "s1");
    await stage.run();
  }
  stage.wires.hold("m1", "s1");
  stage.wires.free("s2", "m1");
  await stage.run();
  assert.deepEqual([stage.wires.waiting("s3", "s1"), stage.master.machine.view.table], [1, "0: 2O 3U 4O"]);
  stage.wires.deliver("s3", "s1");
  stage.wires.deliver("m1", "s1");
  stage.wires.free("m1", "s1");
  stage.wires.free("s3", "s1");
  await stage.pass(30_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4U");
  for (const name of stage.names) {
    assert.equal(textOf(revisionAt(stage, name, X, tid)?.stored?.data), "new", name);
  }
  assertSound(stage);
});

for (const lags of [false, true]) {
  const when = lags ? "while the masters' log lags" : "in one round";
  test(`N8: two copies that are broken in different rows vouch for each other ${when}: one of them stays readable`, async () => {
    const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
    const writer = await connectCaching(stage, "c0", 0);
    const tid = await commitTexts(stage, writer, [[oidAt(1), "one"], [oidAt(2), "two"]]);
    breakRow(stage, "s1", oidAt(1), tid);
    breakRow(stage, "s2", oidAt(2), tid);
    await stage.pass(SCRUB_DELAY_MS - 50);
    for (const name of stage.names) stage.wires.hold("m1", name);
    await stage.pass(500);
    if (lags) stage.consensus.lags = true;
    else for (const name of stage.names) stage.wires.hold(name, "m1");
    for (const name of stage.names) stage.wires.free("m1", name);
    await stage.run();
    if (lags) {
      stage.consensus.lags = false;
      stage.master.post({ type: "saved" });
    } else {
      for (const name of stage.names) stage.wires.deliver(name, "m1");
      for (const name of stage.names) stage.wires.free(name, "m1");
    }
    await stage.pass(30_000);
    assert.equal(stage.master.machine.view.table, "0: 2U 3U");
    assertSound(stage);
  });
}

test("N8: a broken cell that a tweak is discarding isn't created again", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  const writer = await connectCaching(stage, "c0", 0);
  const tid = await commitTexts(stage, writer, [[oidAt(1), "one"]]);
  const operator = new OperatorHand(stage);
  await operator.ask("setReplicas", { replicas: 1 });
  breakRow(stage, "s3", oidAt(1), tid);
  await stage.pass(SCRUB_DELAY_MS - 50);
  for (const name of stage.names) stage.wires.hold("m1", name);
  await stage.pass(500);
  stage.consensus.lags = true;
  await operator.begin("tweak", { ignored: [], dryRun: false });
  await stage.run();
  for (const name of stage.names) stage.wires.free("m1", name);
  await stage.run();
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.pass(10_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  assertSound(stage, ["s1", "s2"]);
});
