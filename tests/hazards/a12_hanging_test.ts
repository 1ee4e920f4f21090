/**
 * A12: clients that hang at other places than behind their vote, and questions of `settle` that go wrong.
 * `a12_abandoned_locks_test.ts` has the rule itself.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConflictError } from "../../core/errors.ts";
import type { ClientSession, Tid, Ttid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import {
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  REQUEST_TIMEOUT_MS,
  TRANSACTION_TIMEOUT_MS,
} from "../../core/limits.ts";
import type { Client } from "../../roles/client/library.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

async function commitText(stage: Stage, client: Client, text: string): Promise<Tid> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oidAt(4)));
  tx.store(oidAt(4), bytesOf(text));
  return await stage.finish(tx.commit());
}

test("A12: a client that hangs before its vote doesn't keep its locks either", async () => {
  const stage = await new Stage(SOLO).open();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  await puppet.dial("m1:1");
  const { session, epoch } = bodiesOf(puppet.actor, "welcome")[0]!;
  const { conn } = await puppet.dial("s1:1", { session, epoch });
  const ttid = ttidOf(session as ClientSession, 1);
  const stores = [4, 5].map((oid) => storeOf({ ttid, oid }));
  for (const store of stores) puppet.ask(conn, "store", store);
  await stage.run();
  const other = await stage.connect("c1");
  await stage.pass(TRANSACTION_TIMEOUT_MS - 1_000);
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  await stage.pass(2_000);
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
  assert.ok(await commitText(stage, other, "mine") > 0n);
  const late = puppet.ask(conn, "vote", voteOf(stores));
  await stage.run();
  assert.equal(late.error?.code, "lacks", "it wakes up, and nothing of it is here");
});

/** A storage with a vote of session 1, whose primary is in the test's hand. */
async function votedScene() {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const ttid: Ttid = ttidAt(1, 1);
  const store = storeOf({ ttid, oid: 4 });
  puppet.ask(conn, "store", store);
  puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  return { stage, primary, ttid, count: () => stage.storage("s1").machine.load.transactions };
}

test("A12: a settle that isn't answered drops nothing, and is asked again", async () => {
  const { stage, primary, ttid, count } = await votedScene();
  await stage.pass(TRANSACTION_TIMEOUT_MS);
  assert.equal(primary.question("settle").body.ttid, ttid);
  await stage.pass(REQUEST_TIMEOUT_MS);
  assert.ok(hasHeard(stage.storage("s1"), "failed settle"));
  assert.equal(count(), 1);
  await stage.pass(TRANSACTION_TIMEOUT_MS - REQUEST_TIMEOUT_MS);
  primary.answer(primary.question("settle"), "settle", { accepted: true });
  await stage.run();
  assert.equal(count(), 1, "its lock is coming");
  await stage.pass(TRANSACTION_TIMEOUT_MS);
  primary.answer(primary.question("settle"), "settle", { accepted: false });
  await stage.run();
  assert.equal(count(), 0);
});

test("A12: a settle that another epoch's primary was asked decides nothing in this one", async () => {
  const { stage, primary, ttid, count } = await votedScene();
  await stage.pass(TRANSACTION_TIMEOUT_MS);
  const settle = primary.question("settle");
  primary.epoch = 2;
  const fenced = primary.fence();
  await stage.run();
  assert.deepEqual(fenced.answer?.votes.map((vote) => vote.ttid), [ttid]);
  primary.answer(settle, "settle", { accepted: false });
  await stage.run();
  assert.equal(count(), 1, "verification decides");
});

test("A12: a finish that waits for the table isn't refused by a settle, and commits", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("parked"));
  stage.wires.hold("c1", "m1");
  const commit = tx.commit({ withinMs: 2 * TRANSACTION_TIMEOUT_MS });
  await stage.run();
  stage.consensus.lags = true;
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.free("c1", "m1");
  await stage.run();
  assert.equal(stage.master.machine.view.pending, 1, "the outdating of s2 isn't held");
  await stage.pass(TRANSACTION_TIMEOUT_MS);
  assert.ok(hasHeard(stage.master, "asked settle"));
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  assert.ok(await stage.finish(commit) > 0n);
});

for (
  const { title, meanwhile } of [
    { title: "and another has changed what it wrote: it gets a conflict", meanwhile: true },
    { title: "and nobody has touched what it wrote: it commits, once", meanwhile: false },
  ]
) {
  test(`A12: a client that is stopped between vote and finish stops nobody, ${title}`, async () => {
    const stage = await new Stage({ partitions: 1 }).open();
    const [stopped, other] = [await stage.warm("c1"), await stage.warm("c2")];
    const before = await commitText(stage, other, "before");
    const tx = await stage.finish(stopped.begin());
    await stage.finish(tx.load(oidAt(4)));
    tx.store(oidAt(4), bytesOf("late"));
    for (const name of stage.names) stage.wires.hold(name, "c1");
    const commit = tx.commit({ withinMs: 3 * TRANSACTION_TIMEOUT_MS });
    commit.catch(() => undefined); // the test looks at it when it is over
    await stage.run();
    assert.equal(stage.storage("s1").machine.load.transactions, 1, "it has voted");
    for (const name of ["m1", ...stage.names]) {
      stage.wires.hold(name, "c1");
      stage.wires.hold("c1", name);
    }
    await stage.pass((KEEPALIVE_MISSED_MAX + 2) * KEEPALIVE_MS);
    for (const name of stage.names) {
      assert.equal(stage.storage(name).machine.load.transactions, 0, "it is silent");
    }
    await stage.pass(TRANSACTION_TIMEOUT_MS);
    if (meanwhile) await commitText(stage, other, "meanwhile");
    for (const name of ["m1", ...stage.names]) {
      stage.wires.free(name, "c1");
      stage.wires.free("c1", name);
    }
    await stage.pass(10_000);
    const snapshot = await stage.finish(other.snapshot());
    const found = textOf((await stage.finish(snapshot.load(oidAt(4))))?.data);
    if (meanwhile) {
      await assert.rejects(stage.finish(commit), ConflictError);
      assert.equal(found, "meanwhile");
    } else {
      assert.ok(await stage.finish(commit) > before);
      assert.equal(found, "late");
    }
    assert.equal(stage.master.machine.view.table, "0: 2U 3U", "nobody was taken for dead");
  });
}
