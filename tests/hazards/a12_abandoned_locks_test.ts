/**
 * A12: locks that nobody ends. `finish` names every node that the transaction was sent to, so that those that don't lock it
 * abort it; what a storage holds for too long it settles with the primary, which refuses it for ever if it isn't
 * accepted. Time alone never drops a vote.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, Ttid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { TRANSACTION_TIMEOUT_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, serving } from "./puppet.ts";
import { bytesOf, finishOf, oidAt, storeOf, ttidAt, voteOf } from "./words.ts";

/** A client in the test's hand that voted for an object on both storages, and then hangs. */
async function hangingClient(stage: Stage): Promise<{ finish: () => ReturnType<Puppet["ask"]>; ttid: Ttid }> {
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const master = await puppet.dial("m1:1");
  const welcome = bodiesOf(puppet.actor, "welcome")[0]!;
  const ttid = ttidOf(welcome.session as ClientSession, 1);
  const store = storeOf({ ttid, oid: 4 });
  const votes = [];
  for (const name of stage.names) {
    const { conn } = await puppet.dial(`${name}:1`, { session: welcome.session, epoch: welcome.epoch });
    puppet.ask(conn, "store", store);
    votes.push(puppet.ask(conn, "vote", voteOf([store])));
  }
  await stage.run();
  const evidence = votes.map(({ answer }) => answer!.evidence);
  return { ttid, finish: () => puppet.ask(master.conn, "finish", finishOf([store], evidence)) };
}

function transactionsOn(stage: Stage): number[] {
  return stage.names.map((name) => stage.storage(name).machine.load.transactions);
}

test("A12: a node that voted and isn't counted is told to abort", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  stage.wires.hold("s2", "c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("x"));
  const commit = tx.commit();
  await stage.run();
  assert.equal(stage.storage("s2").machine.load.transactions, 1, "s2 has voted");
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2"); // the client doesn't know
  assert.ok(await stage.finish(commit) > 0n);
  assert.ok(hasHeard(stage.storage("s2"), "told abort"));
  assert.deepEqual(transactionsOn(stage), [0, 0]);
});

test("A12: what a hanging client holds is settled after its time, and refused for ever", async () => {
  const stage = await new Stage().open();
  const { finish } = await hangingClient(stage);
  const other = await stage.connect("c1");
  await stage.pass(TRANSACTION_TIMEOUT_MS - 1_000);
  assert.deepEqual(transactionsOn(stage), [1, 1], "its time isn't over");
  await stage.pass(2_000);
  assert.deepEqual(transactionsOn(stage), [0, 0]);
  const tx = await stage.finish(other.begin());
  tx.store(oidAt(4), bytesOf("mine"));
  assert.ok(await stage.finish(tx.commit()) > 0n, "the lock is free");
  const finished = finish();
  await stage.run();
  assert.equal(finished.error?.code, "aborted", "it wakes up, with evidence that was good once");
});

test("A12: one storage settles, and the other one's vote is worth nothing from there on", async () => {
  const stage = await new Stage().open();
  const { finish, ttid } = await hangingClient(stage);
  await stage.pass(TRANSACTION_TIMEOUT_MS - 100);
  stage.wires.hold("s1", "m1"); // its own question comes too late
  await stage.pass(200);
  assert.deepEqual(transactionsOn(stage), [1, 0]);
  const finished = finish();
  await stage.run();
  assert.equal(finished.error?.code, "aborted");
  assert.ok(!bodiesOf(stage.storage("s1"), "lock").some((lock) => lock.ttid === ttid));
});

test("A12: what is accepted is settled so, and its lock comes", async () => {
  const stage = await new Stage().open();
  const { finish } = await hangingClient(stage);
  await stage.pass(TRANSACTION_TIMEOUT_MS - 100);
  stage.wires.hold("m1", "s2");
  const finished = finish();
  await stage.pass(200); // s2 asks before it hears of the lock
  stage.wires.free("m1", "s2");
  await stage.run();
  const answers = stage.storage("s2").heard.filter(({ what }) => what === "answered settle");
  assert.deepEqual(answers.map(({ body }) => body), [{ accepted: true }]);
  assert.ok(finished.answer);
  assert.deepEqual(transactionsOn(stage), [0, 0]);
});

test("A12: without a primary, time alone drops no vote", async () => {
  const stage = await new Stage().open();
  await hangingClient(stage);
  stage.master.kill();
  await stage.pass(3 * TRANSACTION_TIMEOUT_MS);
  assert.deepEqual(transactionsOn(stage), [1, 1]);
});

test("A12: a store that waits for a newer table ends with its transaction", async () => {
  const stage = new Stage({ storages: 1, replicas: 0 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const ttid = ttidAt(1, 1);
  const early = puppet.ask(conn, "store", storeOf({ ttid, oid: 4, version: 2 }));
  const vote = puppet.ask(conn, "vote", voteOf([storeOf({ ttid, oid: 4, version: 2 })]));
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.parked, 2);
  puppet.tell(conn, "abort", { ttid, epoch: 0, nodes: [] });
  await stage.run();
  primary.table.apply(2, []);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 0, "nobody would ever end it");
  assert.deepEqual([early.error?.code, vote.error?.code], ["aborted", "aborted"]);
});

test("A12: a finish that is given up while it waits leaves no locks in the way of the next attempt", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(6), bytesOf("x"));
  stage.consensus.lags = true;
  stage.wires.hold("c1", "s2");
  const commit = tx.commit({ withinMs: 5_000 });
  commit.catch(() => undefined);
  await stage.run();
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2"); // s2 failed: its outdating must be held first, and isn't
  await stage.run();
  assert.equal(stage.master.machine.view.pending, 1);
  await stage.pass(5_000);
  assert.ok(hasHeard(stage.master, "asked outcome"));
  await assert.rejects(commit, { code: "timedOut" });
  assert.equal(stage.storage("s1").machine.load.transactions, 0, "nobody will ever finish it");
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  const next = await stage.finish(client.begin());
  next.store(oidAt(6), bytesOf("y"));
  assert.ok(await stage.finish(next.commit()) > 0n);
});
