/** Storages look at what they hold; what is broken is found, and made anew from a good copy (N8, X5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { PART_BYTES_MAX, SCRUB_DELAY_MS, SCRUB_PASS_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { assertSound, breakRow, OperatorHand, revisionAt } from "./damage_kit.ts";

/** Objects 0 to 5, each with its number as text. */
async function filled(stage: Stage): Promise<Tid> {
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (let oid = 0; oid < 6; oid++) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  return await stage.finish(tx.commit());
}

function textAt(stage: Stage, name: string, oid: Oid, tid: Tid): string | undefined {
  return textOf(revisionAt(stage, name, oid, tid)?.stored?.data);
}

async function* streamOf(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(data);
}

const ALL_READABLE = "0: 2U 3U\n1: 2U 3U";

test("N8, X5: a storage finds a bit that has turned, and copies the row anew from the other copy", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  breakRow(stage, "s2", oidAt(3), tid);
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  assert.equal(textAt(stage, "s2", oidAt(3), tid), "object 3");
  assert.equal(stage.master.machine.view.table, ALL_READABLE);
  assertSound(stage);
  const [mend] = bodiesOf(stage.storage("s2"), "mend");
  assert.deepEqual(mend?.rows, [{ oid: 3n, tid }], "only the broken row is dropped");
  assert.equal(mend?.after, tid - 1n);
  assert.deepEqual(bodiesOf(stage.storage("s1"), "pick").length, 1, "and only what is missing is fetched");
  assert.equal(await new OperatorHand(stage).problemOf("s2"), null);
});

test("X5: of a value in parts every part is looked at, and so are a revision and the undo that shares its data", async () => {
  const stage = await new Stage().open();
  const client = await stage.connect("c1");
  const large = new Uint8Array(2 * PART_BYTES_MAX + 5).fill(7);
  const write = async (data: Uint8Array): Promise<Tid> => {
    const tx = await stage.finish(client.begin());
    await stage.finish(tx.load(oidAt(1)));
    await stage.finish(tx.storeStream(oidAt(1), streamOf(data)));
    return await stage.finish(tx.commit());
  };
  const first = await write(large);
  const undone = await write(large.toReversed());
  const none = new Uint8Array();
  const writes = [{ oid: oidAt(1), base: undone, data: null, link: first }];
  const note = { user: none, description: none, extension: none, status: " " };
  const { tid: last } = await stage.finish(client.call("commit", { writes, checks: [], ...note }));
  for (const tid of [first, last]) breakRow(stage, "s1", oidAt(1), tid);
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  assert.deepEqual(bodiesOf(stage.master, "damaged").map(({ rows }) => rows.length), [2]);
  assertSound(stage);
  assert.equal(stage.master.machine.view.table, ALL_READABLE);
});

test("N8: the last readable copy stays, and the cluster says what is broken until another copy comes", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  void stage.storage("s2").store.apply([], { durable: true }); // what it has is on its disk
  stage.storage("s2").kill();
  await stage.run();
  breakRow(stage, "s1", oidAt(3), tid);
  const operator = new OperatorHand(stage);
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O\n1: 2U 3O");
  assert.match(
    (await operator.problemOf("s1"))!,
    /its data in partitions 1 is damaged, .* restore from a backup/,
  );
  stage.startStorage("s2");
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.table, ALL_READABLE);
  assert.equal(textAt(stage, "s1", oidAt(3), tid), "object 3", "s2 has it whole");
  assert.equal(await operator.problemOf("s1"), null);
  assertSound(stage);
});

test("N8: copies that are broken in different rows mend each other, one after the other", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  breakRow(stage, "s1", oidAt(1), tid);
  breakRow(stage, "s2", oidAt(3), tid);
  breakRow(stage, "s1", oidAt(5), tid);
  await stage.pass(SCRUB_DELAY_MS + 5_000);
  assertSound(stage);
  assert.equal(stage.master.machine.view.table, ALL_READABLE);
  assert.equal(textAt(stage, "s2", oidAt(3), tid), "object 3");
});

test("N8: a row that no copy has whole is left where it is, and told", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  for (const name of stage.names) breakRow(stage, name, oidAt(3), tid);
  breakRow(stage, "s1", oidAt(5), tid);
  await stage.pass(SCRUB_DELAY_MS + 5_000);
  assert.equal(stage.master.machine.view.table, ALL_READABLE, "both have the other rows");
  const operator = new OperatorHand(stage);
  for (const name of stage.names) assert.match((await operator.problemOf(name))!, /is damaged/);
  assert.ok(revisionAt(stage, "s1", oidAt(3), tid));
});

test("N8: a storage that dies while a row is mended finds it again with its next pass", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  breakRow(stage, "s2", oidAt(3), tid);
  const s2 = stage.storage("s2");
  await stage.pass(SCRUB_DELAY_MS - 1);
  stage.storage("s1").store.holdsReads = true; // it can't say that it has the row
  await stage.pass(1_000);
  assert.ok(hasHeard(stage.master, "told damaged"));
  s2.kill();
  stage.storage("s1").store.free();
  await stage.pass(1_000);
  assert.ok(!hasHeard(s2, "told mend"));
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, ALL_READABLE);
  assert.notEqual(textAt(stage, "s2", oidAt(3), tid), "object 3", "nothing else has brought it");
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  assert.equal(textAt(stage, "s2", oidAt(3), tid), "object 3");
  assertSound(stage);
});

test("N8: what is found while no primary is there, or is told to one that goes, is told to the next", async () => {
  const stage = await new Stage().open();
  const tid = await filled(stage);
  breakRow(stage, "s2", oidAt(3), tid);
  await stage.pass(SCRUB_DELAY_MS - 1);
  stage.storage("s1").store.holdsReads = true;
  await stage.pass(1_000);
  assert.ok(hasHeard(stage.master, "told damaged"));
  stage.master.kill();
  stage.storage("s1").store.free();
  await stage.run();
  stage.startMaster();
  await stage.pass(5_000);
  assert.equal(textAt(stage, "s2", oidAt(3), tid), "object 3", "without another pass");
});

test("N8: a pass reads within its speed, rests when it is over, and begins again", async () => {
  const stage = await new Stage().open();
  await filled(stage);
  const { store } = stage.storage("s1");
  const scrubs = (): number => store.log.filter((line) => line === "read scrub").length;
  await stage.pass(SCRUB_DELAY_MS + 1_000);
  assert.equal(scrubs(), 2, "one page a partition");
  const due = stage.storage("s1").machine.due()!;
  assert.ok(due > stage.time.nowMs, "it doesn't wake up for nothing");
  await stage.pass(3 * SCRUB_DELAY_MS);
  assert.equal(scrubs(), 2);
  await stage.pass(SCRUB_PASS_MS / 100);
  assert.equal(scrubs(), 2);
});
