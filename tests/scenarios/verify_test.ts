/** An operator has the copies of partitions compared, and bad ones made anew (N8, X5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Partition, Tid } from "../../core/ids.ts";
import type { Answer } from "../../core/messages.ts";
import { hasHeard } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { addRow, assertSound, breakRow, loseRow, OperatorHand, revisionAt } from "./damage_kit.ts";

async function filled(stage: Stage): Promise<Tid> {
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (let oid = 0; oid < 6; oid++) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  return await stage.finish(tx.commit());
}

const ALL = { first: 0 as Partition, count: 64, from: "", repair: false };

/** `0 s1 equal`, with `!` behind what was repaired. */
function linesOf({ cells }: Answer<"verifyTable">): string[] {
  return cells.map(({ partition, name, state, repaired }) =>
    `${partition} ${name} ${state}${repaired ? "!" : ""}`
  );
}

test("16.5/146 copies that lack a row, have one too many or broken data are told; nothing is changed by that (N8)", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 4 }).open();
  const tid = await filled(stage);
  const operator = new OperatorHand(stage);
  const sound = await operator.ask("verifyTable", ALL);
  assert.deepEqual(new Set(sound.cells.map(({ state }) => state)), new Set(["equal"]));
  assert.equal(sound.cells.length, 12);
  assert.deepEqual([sound.partitions, sound.upTo, sound.next], [4, tid, null]);

  loseRow(stage, "s1", oidAt(1), tid);
  addRow(stage, "s2", oidAt(2), (tid - 4n) as Tid);
  breakRow(stage, "s3", oidAt(3), tid);
  const { table } = stage.master.machine.view;
  const untouched = await operator.ask("verifyTable", { ...ALL, count: 1 });
  assert.deepEqual(linesOf(untouched), ["0 s1 equal", "0 s2 equal", "0 s3 equal"]);
  assert.equal(untouched.next, 1);
  const found = await operator.ask("verifyTable", { ...ALL, first: 1 as Partition });
  const wanted = [
    ...["1 s1 different", "1 s2 different", "1 s3 different"],
    ...["2 s1 different", "2 s2 different", "2 s3 different"],
    ...["3 s1 equal", "3 s2 equal", "3 s3 broken"],
  ];
  assert.deepEqual(
    linesOf(found).sort(),
    wanted,
    "without a reference, all copies of a partition are suspected",
  );
  assert.equal(found.cells.find(({ state }) => state === "broken")?.broken, 1);

  const named = await operator.ask("verifyTable", { ...ALL, from: "s3" });
  const bad = linesOf(named).filter((line) => !line.endsWith("equal"));
  assert.deepEqual(
    bad,
    ["1 s1 different", "2 s2 different", "3 s3 broken"],
    "with one, exactly those that differ from it",
  );
  assert.equal(stage.master.machine.view.table, table);
});

test("16.5/147 with --repair bad copies are made anew and readable again; the last good one is never given up (N8, X5)", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 4 }).open();
  const tid = await filled(stage);
  const operator = new OperatorHand(stage);
  loseRow(stage, "s1", oidAt(1), tid);
  addRow(stage, "s2", oidAt(2), (tid - 4n) as Tid);
  breakRow(stage, "s3", oidAt(3), tid);
  for (const name of stage.names) breakRow(stage, name, oidAt(0), tid);

  const broken = await operator.ask("verifyTable", {
    ...ALL,
    first: 3 as Partition,
    repair: true,
    from: "s3",
  });
  assert.deepEqual(
    linesOf(broken).sort(),
    ["3 s1 equal", "3 s2 equal", "3 s3 broken"],
    "it can't be the model",
  );
  const plain = await operator.ask("verifyTable", { ...ALL, repair: true });
  assert.deepEqual(
    linesOf(plain).filter((line) => line.endsWith("!")),
    ["3 s3 broken!"],
    "all else is unsure",
  );
  assert.equal(textOf(revisionAt(stage, "s3", oidAt(3), tid)?.stored?.data), "object 3");
  const named = await operator.ask("verifyTable", { ...ALL, repair: true, from: "s3" });
  assert.deepEqual(linesOf(named).filter((line) => line.endsWith("!")).sort(), [
    "1 s1 different!",
    "2 s2 different!",
  ]);
  assert.deepEqual(linesOf(named).filter((line) => line.includes("broken")).length, 3, "nobody has it whole");
  assert.equal(stage.master.machine.view.table.match(/[23]U|4U/g)?.length, 12);
  assert.equal(revisionAt(stage, "s2", oidAt(2), (tid - 4n) as Tid), undefined);
  assert.ok(revisionAt(stage, "s1", oidAt(1), tid));
  for (const name of stage.names) loseRow(stage, name, oidAt(0), tid);
  assertSound(stage);
});

test("N8: a copy whose storage is away isn't counted on, and one that goes while it looks is unreachable", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  await filled(stage);
  const operator = new OperatorHand(stage);
  stage.storage("s3").kill();
  await stage.run();
  assert.deepEqual(linesOf(await operator.ask("verifyTable", ALL)), [
    "0 s1 equal",
    "0 s2 equal",
    "0 s3 outOfDate",
  ]);
  stage.storage("s2").store.holdsReads = true;
  const reply = await operator.begin("verifyTable", ALL);
  await stage.run();
  assert.equal(reply.answer, undefined);
  stage.storage("s2").kill();
  await stage.run();
  assert.deepEqual(linesOf(reply.answer!), ["0 s1 equal", "0 s2 unreachable", "0 s3 outOfDate"]);
  const refused = await operator.begin("verifyTable", { ...ALL, from: "s3" });
  await stage.run();
  assert.match(refused.error!.message, /no storage s3 runs/);
});

test("N8: copies are compared up to a tid that is published, while clients write", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  await filled(stage);
  const client = await stage.warm("c2");
  const operator = new OperatorHand(stage);
  stage.wires.hold("m1", "s2"); // its unlock doesn't come
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(77), bytesOf("new"));
  const committed = tx.commit();
  await stage.run();
  const reply = await operator.begin("verifyTable", ALL);
  await stage.run();
  stage.wires.free("m1", "s2");
  await stage.finish(committed);
  assert.deepEqual(linesOf(reply.answer!), ["0 s1 equal", "0 s2 equal"]);
});

for (const [gone, what] of [["s1", "a recovery"], ["s2", "the loss of its storage"]] as const) {
  test(`N8: ${what} ends a repair that is waited for`, async () => {
    const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
    const tid = await filled(stage);
    const operator = new OperatorHand(stage);
    breakRow(stage, "s2", oidAt(1), tid);
    const reply = await operator.begin("verifyTable", { ...ALL, repair: true });
    await stage.until(() => hasHeard(stage.storage("s2"), "told mend"));
    stage.storage("s1").store.holdsReads = true; // it can't be copied from
    await stage.run();
    assert.equal(reply.answer, undefined);
    stage.actor(gone).kill();
    await stage.run();
    if (gone === "s2") assert.deepEqual(linesOf(reply.answer!), ["0 s1 equal", "0 s2 broken"]);
    else assert.match(reply.error!.message, /the cluster recovers/);
  });
}

test("N8: a repair relies on copies that were looked at, not on one that came meanwhile", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  const tid = await filled(stage);
  stage.storage("s3").kill();
  await stage.run();
  const operator = new OperatorHand(stage);
  breakRow(stage, "s2", oidAt(1), tid);
  stage.storage("s2").store.holdsReads = true;
  const reply = await operator.begin("verifyTable", { ...ALL, repair: true });
  await stage.run();
  stage.startStorage("s3");
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4U");
  stage.storage("s2").store.free();
  await stage.run();
  assert.deepEqual(linesOf(reply.answer!), ["0 s1 equal", "0 s2 broken", "0 s3 outOfDate"]);
});

test("N8: a repair gives no copy up when the good one has gone since it was looked at", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const tid = await filled(stage);
  const operator = new OperatorHand(stage);
  breakRow(stage, "s2", oidAt(1), tid);
  stage.storage("s2").store.holdsReads = true;
  const reply = await operator.begin("verifyTable", { ...ALL, repair: true });
  await stage.run();
  stage.storage("s1").kill();
  await stage.run();
  stage.storage("s2").store.free();
  await stage.run();
  assert.deepEqual(linesOf(reply.answer!), ["0 s1 equal", "0 s2 broken"]);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
});
