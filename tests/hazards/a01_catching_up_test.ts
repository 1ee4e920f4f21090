/**
 * A1, A2, A3, A7, A8, A19: a copy that is out of date becomes readable while clients write. Each of the ways in which it could
 * do so without a transaction that was acknowledged, with real machines on both sides.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tid } from "../../core/ids.ts";
import type { Client } from "../../roles/client/library.ts";
import type { Transaction } from "../../roles/client/transaction.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { bytesOf, oidAt } from "./words.ts";

const X = oidAt(5);
const OUT = "0: 2U 3O";
const BOTH = "0: 2U 3U";

/** Two copies, of which s2's is out of date and can't copy yet; and two clients that are connected everywhere. */
async function lagging(): Promise<{ stage: Stage; client: Client; other: Client }> {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const [client, other] = [await stage.warm("c1"), await stage.warm("c2")];
  stage.storage("s2").kill();
  await stage.run();
  await write(stage, other, "first");
  stage.wires.hold("s1", "s2");
  stage.startStorage("s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, OUT);
  return { stage, client, other };
}

async function begin(stage: Stage, client: Client, text: string): Promise<Transaction> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(X));
  tx.store(X, bytesOf(text));
  return tx;
}

async function write(stage: Stage, client: Client, text: string): Promise<Tid> {
  return await stage.finish((await begin(stage, client, text)).commit());
}

/** Both copies are readable, and have it. */
function assertBoth(stage: Stage, text: string): void {
  assert.equal(stage.master.machine.view.table, BOTH, stage.problems);
  assert.deepEqual([storedAt(stage, "s1", X), storedAt(stage, "s2", X)], [text, text]);
}

test("A1: a vote without a lock of a storage that has restarted since counts no more, though the table is the same", async () => {
  const { stage, client } = await lagging();
  const tx = await begin(stage, client, "T");
  stage.wires.hold("c1", "m1");
  const commit = tx.commit();
  await stage.run();
  assert.equal(stage.storage("s2").machine.load.transactions, 1, "it has voted there, too");
  stage.storage("s2").kill();
  stage.wires.free("s1", "s2");
  await stage.run();
  stage.startStorage("s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, BOTH, "it has caught up, with what was published");
  assert.equal(storedAt(stage, "s2", X), "first");
  stage.wires.free("c1", "m1");
  await stage.finish(commit);
  const [early, late] = bodiesOf(stage.master, "finish").slice(-2);
  assert.equal(early?.ttid, late?.ttid, "answered missing, brought there, finished again");
  assertBoth(stage, "T");
});

test("A2: a copy that was told how far to come before a transaction which it misses isn't readable without it", async () => {
  const { stage, client } = await lagging();
  stage.wires.bar("c1", "s2"); // its transaction won't be there
  stage.wires.cut("c1", "s2");
  const targets = bodiesOf(stage.master, "catchUp").length;
  assert.ok(targets > 0, "s2 knows a target, and waits for the rows up to it");
  const tid = await write(stage, client, "T");
  assert.ok(!bodiesOf(stage.storage("s2"), "lock").some((lock) => lock.tid === tid));
  assert.equal(storedAt(stage, "s2", X), undefined);
  stage.wires.free("s1", "s2");
  await stage.run();
  assertBoth(stage, "T");
  assert.ok(bodiesOf(stage.master, "catchUp").length > targets + 1, "the first target wasn't enough");
});

test("A3: a target is published: what is only allocated may not have reached the source", async () => {
  const { stage, client, other } = await lagging();
  stage.storage("s2").kill();
  await stage.run();
  const tx = await begin(stage, client, "T");
  stage.wires.hold("m1", "s1"); // its lock
  const commit = tx.commit();
  await stage.run();
  assert.equal(stage.master.machine.view.pending, 1, "it has its tid");
  stage.wires.free("s1", "s2");
  stage.startStorage("s2");
  await stage.run();
  const covered = (): (bigint | null)[] =>
    bodiesOf(stage.master, "catchUp").flatMap(({ cells }) => cells.map((cell) => cell.covered));
  const { lastTid } = stage.master.machine.view;
  assert.ok(covered().every((tid) => tid === null || tid <= lastTid), "not even asked to come further");
  assert.equal(stage.master.machine.view.table, OUT, "it misses what isn't published yet");
  stage.wires.free("m1", "s1");
  await stage.finish(commit);
  assertBoth(stage, "T");
  await write(stage, other, "later");
  assertBoth(stage, "later");
});

test("A7: writes that were taken without a lock keep newcomers waiting once their copy is readable", async () => {
  const { stage, client, other } = await lagging();
  const [mine, theirs] = [await begin(stage, client, "mine"), await begin(stage, other, "theirs")];
  stage.wires.hold("c1", "m1");
  const first = mine.commit();
  await stage.run();
  stage.wires.free("s1", "s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, BOTH, "mine doesn't hold it up: it isn't accepted");
  const stored = (): number => stage.actor("c2").heard.filter(({ what }) => what === "answered store").length;
  const before = stored();
  const second = theirs.commit();
  await stage.run();
  assert.deepEqual(stage.names.map((name) => stage.storage(name).machine.load.transactions), [2, 2]);
  assert.equal(stored(), before, "theirs waits at both");
  stage.wires.free("c1", "m1");
  await stage.finish(first);
  await assert.rejects(stage.finish(second), { code: "conflict" });
  assertBoth(stage, "mine");
});

test("A7 16.4/090: two that were taken without a lock by the copy that is left count for nothing: both are checked anew", async () => {
  const { stage, client, other } = await lagging();
  const [mine, theirs] = [await begin(stage, client, "mine"), await begin(stage, other, "theirs")];
  for (const name of ["c1", "c2"]) stage.wires.hold(name, "m1");
  const commits = [mine.commit(), theirs.commit()];
  for (const commit of commits) commit.catch(() => undefined); // looked at below
  await stage.run();
  assert.equal(stage.storage("s2").machine.load.transactions, 2, "one of them waits for its lock at s1");
  stage.wires.free("s1", "s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, BOTH);
  stage.storage("s1").kill();
  for (const name of ["c1", "c2"]) stage.wires.free(name, "m1");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
  const ends = await Promise.allSettled(commits.map((commit) => stage.finish(commit)));
  assert.deepEqual(
    ends.map(({ status }) => status),
    ["fulfilled", "rejected"],
    "no locks are left in the way",
  );
  await assert.rejects(commits[1]!, { code: "conflict" });
  const ttids = bodiesOf(stage.master, "finish").map(({ ttid }) => ttid);
  assert.equal(new Set(ttids.slice(-3)).size, 3, "mine as two transactions, theirs as one");
  assert.equal(storedAt(stage, "s2", X), "mine");
});

test("A8: a storage that is lost while its copy becomes readable, and comes back before that is settled, misses nothing", async () => {
  const { stage, client } = await lagging();
  stage.consensus.lags = true; // the entry that makes it readable is proposed, and isn't held
  stage.wires.free("s1", "s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, OUT);
  stage.storage("s2").kill();
  await stage.run();
  stage.startStorage("s2");
  await stage.run();
  const commit = (await begin(stage, client, "T")).commit();
  await stage.run();
  assert.equal(
    stage.storage("s2").machine.load.phase,
    "seeking",
    "it isn't admitted before its outdating is held",
  );
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.finish(commit);
  await stage.pass(1_000);
  assertBoth(stage, "T");
});

test("A19: what a copy missed while it was away is filled, though it has newer rows already", async () => {
  const { stage, client, other } = await lagging();
  const missed = await begin(stage, other, "unused");
  missed.abort();
  stage.wires.free("s1", "s2");
  await stage.run();
  assertBoth(stage, "first");
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2");
  stage.wires.hold("s1", "s2");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(7), bytesOf("ten"));
  await stage.finish(tx.commit()); // s2 is named failed, stays in session, and lacks it
  assert.equal(stage.master.machine.view.table, OUT);
  await write(stage, other, "eleven"); // taken without a lock
  assert.deepEqual([storedAt(stage, "s2", oidAt(7)), storedAt(stage, "s2", X)], [undefined, "eleven"]);
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.free("s1", "s2");
  stage.startStorage("s2");
  await stage.run();
  assertBoth(stage, "eleven");
  assert.equal(storedAt(stage, "s2", oidAt(7)), "ten");
});
