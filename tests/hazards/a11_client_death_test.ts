/**
 * A11: a client dies between its finish and the locks, or its last store arrives after its end. What is accepted is locked
 * everywhere before the end of its session can be heard of; what is late locks nothing.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bodiesOf, hasHeard, placeOf } from "./actors.ts";
import type { Actor } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, ttidAt, voteOf } from "./words.ts";

/** Begins to commit a transaction of c1 that writes both partitions. */
async function beginCommit(stage: Stage): Promise<void> {
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  void tx.commit().catch(() => undefined); // the client dies
}

function assertOrder(actor: Actor<unknown>, ...whats: readonly string[]): void {
  whats.reduce((after, what) => placeOf(actor, what, after) + 1, 0);
}

test("A11: a client that dies at once behind its finish is committed on every copy", async () => {
  const stage = await new Stage().open();
  const survivor = await stage.connect("c2");
  await beginCommit(stage);
  await stage.until(() =>
    hasHeard(stage.actor("c1"), "answered vote") && stage.wires.waiting("c1", "m1") > 0
  );
  assert.ok(!hasHeard(stage.master, "asked finish"));
  stage.actor("c1").kill();
  stage.wires.deliver("c1", "m1"); // the finish and the end of the connection, in one round
  await stage.run();
  assertOrder(stage.master, "asked finish", "lost", "answered lock");
  for (const name of stage.names) {
    assertOrder(stage.storage(name), "asked lock", "told sessionEnded", "told unlock");
    assert.equal(stage.storage(name).machine.load.transactions, 0);
  }
  const after = await stage.finish(survivor.snapshot());
  for (const oid of [4, 5]) {
    assert.equal(textOf((await stage.finish(after.load(oidAt(oid))))?.data), `object ${oid}`);
  }
});

test("A11: a client that dies before its finish leaves nothing, and no lock", async () => {
  const stage = await new Stage().open();
  await beginCommit(stage);
  await stage.until(() =>
    hasHeard(stage.actor("c1"), "answered vote") && stage.wires.waiting("c1", "m1") > 0
  );
  stage.wires.lose("c1", "m1");
  stage.actor("c1").kill();
  await stage.run();
  assert.ok(!hasHeard(stage.master, "asked finish"));
  for (const name of stage.names) assert.equal(stage.storage(name).machine.load.transactions, 0);
  const other = await stage.connect("c2");
  const tx = await stage.finish(other.begin());
  tx.store(oidAt(4), bytesOf("mine"));
  assert.ok(await stage.finish(tx.commit()) > 0n);
});

test("A11: a late store of a client whose session is over locks nothing", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  stage.wires.hold("c1", "s1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(6), bytesOf("late"));
  void tx.commit().catch(() => undefined);
  await stage.run();
  assert.ok(stage.wires.waiting("c1", "s1") > 0, "the stores to s1 are on their way");
  stage.wires.cut("c1", "m1");
  await stage.until(() => hasHeard(stage.storage("s1"), "told sessionEnded"));
  stage.wires.deliver("c1", "s1");
  await stage.until(() => hasHeard(stage.storage("s1"), "lost"));
  assert.equal(bodiesOf(stage.storage("s1"), "store").filter(({ oid }) => oid === 6n).length, 0);
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
});

test("A11: a session that is over is refused, one that isn't announced yet waits", async () => {
  const stage = new Stage({ storages: 1, replicas: 0 });
  const primary = await serving(stage); // sessions 1, 2 and 3
  const storage = stage.storage("s1");
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 2 });
  await stage.run();
  const dead = await puppetClient(stage, { name: "c2", session: 2 });
  await stage.run();
  assert.ok(dead.puppet.actor.heard.some(({ error }) => error?.code === "sessionEnded"));
  const early = await puppetClient(stage, { name: "c4", session: 4 });
  const stored = early.puppet.ask(early.conn, "store", storeOf({ ttid: ttidAt(4, 1), oid: 4 }));
  await stage.run();
  assert.deepEqual(stored, {}, "neither taken nor refused");
  assert.equal(storage.machine.load.transactions, 0);
  primary.tell(primary.conn, "sessionOpened", { epoch: 1, session: 4 });
  await stage.run();
  assert.ok(stored.answer);
});

test("A11: the end of a session takes votes with it, and leaves what is locked", async () => {
  const stage = new Stage({ storages: 1, replicas: 0 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const votes = [1, 2].map((counter) => {
    const store = storeOf({ ttid: ttidAt(1, counter), oid: counter * 2 });
    puppet.ask(conn, "store", store);
    return puppet.ask(conn, "vote", voteOf([store]));
  });
  await stage.run();
  assert.ok(votes.every(({ answer }) => answer));
  const locked = primary.lock(ttidAt(1, 1), 100n as never);
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 1 });
  await stage.run();
  assert.ok(locked.answer);
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  primary.unlock(ttidAt(1, 1), 100n as never);
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
});

test("A11: a storage that is being started hears of the clients that are let in meanwhile", async () => {
  const stage = await new Stage().open();
  stage.storage("s2").kill();
  await stage.run();
  stage.startStorage("s2");
  await stage.until(() => hasHeard(stage.storage("s2"), "asked fence"));
  await stage.until(() => stage.wires.waiting("m1", "s2") > 0); // its start
  stage.wires.hold("s2", "m1"); // and nobody hears yet that it serves
  const client = await stage.connect("c1");
  stage.wires.free("s2", "m1");
  await stage.run();
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("everywhere"));
  assert.ok(await stage.finish(tx.commit()) > 0n, "s2 serves the client too");
});

test("A11: a storage that is fenced again ends its connection to a client, and not the client's commit", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  stage.wires.hold("c1", "s2");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(6), bytesOf("second"));
  const commit = tx.commit();
  await stage.run();
  stage.wires.hold("m1", "c1"); // the news that s2 was lost and came back
  stage.wires.cut("m1", "s2");
  await stage.run();
  assert.equal(bodiesOf(stage.storage("s2"), "fence").length, 2);
  assert.ok(stage.actor("c1").heard.some(({ error }) => error?.code === "sessionEnded"));
  stage.wires.free("m1", "c1"); // its session goes on
  stage.wires.free("c1", "s2"); // that copy has missed nothing: it counts again
  assert.ok(await stage.finish(commit) > 0n, "without waiting for the end of the commit's time");
});
