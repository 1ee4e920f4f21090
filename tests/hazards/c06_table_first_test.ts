/**
 * C6: a client that hears of a transaction before it hears that a node missed it reads its snapshot from that node. To each peer, in
 * one lane: table changes first, then the unlocks, invalidations and answers that rely on them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { messages } from "../../core/messages.ts";
import type { Name } from "../../core/messages.ts";
import type { Actor } from "./actors.ts";
import { bodiesOf, hasHeard, placeOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient } from "./puppet.ts";
import { bytesOf, oidAt, textOf } from "./words.ts";

/** The place of the last such event. */
function lastOf(actor: Actor<unknown>, what: string): number {
  const at = actor.heard.findLastIndex((one) => one.what === what);
  assert.ok(at >= 0, `${actor.name} heard: ${what}`);
  return at;
}

/** c1 commits, c2 follows; s2 goes before it has answered its lock. */
async function lostBetween(): Promise<{ stage: Stage; commit: Promise<bigint> }> {
  const stage = await new Stage({ partitions: 1 }).open();
  const [client] = [await stage.warm("c1"), await stage.warm("c2")];
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("new"));
  const commit = tx.commit();
  await stage.until(() => bodiesOf(stage.storage("s2"), "lock").length === 3);
  stage.wires.lose("s2", "m1");
  stage.consensus.lags = true;
  stage.storage("s2").kill();
  await stage.run();
  return { stage, commit };
}

test("C6: a transaction that a lost node may miss isn't published before that node's outdating is held", async () => {
  const { stage, commit } = await lostBetween();
  assert.ok(hasHeard(stage.master, "lost") && bodiesOf(stage.storage("s1"), "lock").length === 3);
  assert.equal(bodiesOf(stage.storage("s1"), "unlock").length, 2);
  assert.deepEqual(bodiesOf(stage.actor("c2"), "invalidate"), []);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  assert.ok(await stage.finish(commit) > 0n);
});

test("C6: committer, follower and storage hear of the table first, and then of the transaction", async () => {
  const { stage, commit } = await lostBetween();
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.finish(commit);
  const [c1, c2, s1] = [stage.actor("c1"), stage.actor("c2"), stage.storage("s1")];
  assert.ok(placeOf(c1, "told tableChange") < lastOf(c1, "answered finish"));
  assert.ok(placeOf(c2, "told tableChange") < lastOf(c2, "told invalidate"));
  assert.ok(placeOf(s1, "told tableChange") < lastOf(s1, "told unlock"));
});

test("C6: what must stay in order goes in one lane", () => {
  const names: readonly Name[] = [
    ..."table tableChange nodes phase welcome invalidate finish sync outcome".split(" ") as Name[],
    ..."fence start lock unlock abort fate sessionOpened sessionEnded askTable settle".split(" ") as Name[],
    ..."store check vote".split(" ") as Name[],
  ];
  for (const name of names) assert.equal(messages[name].lane, "commit", name);
});

test("C6: nobody reads a new snapshot from a node that was outdated and doesn't know", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const [writer, reader] = [await stage.warm("c1"), await stage.warm("c2")];
  const before = await stage.finish(reader.snapshot());
  stage.wires.hold("c2", "s1");
  const early = before.load(oidAt(4));
  await stage.run();
  stage.wires.cut("c2", "s1"); // from here on the reader would rather ask s2
  assert.equal(await stage.finish(early), undefined);
  stage.wires.cut("m1", "s2"); // s2 goes on without a primary, and clients still reach it
  stage.wires.hold("s2", "s1"); // and it won't catch up
  await stage.until(() => hasHeard(stage.master, "lost"));
  stage.wires.hold("s2", "m1");
  const tx = await stage.finish(writer.begin());
  tx.store(oidAt(4), bytesOf("new"));
  const tid = await stage.finish(tx.commit());
  assert.equal(stage.storage("s2").machine.load.phase, "orphaned");
  assert.equal(bodiesOf(stage.storage("s2"), "tableChange").length, 0);
  const asked = bodiesOf(stage.storage("s2"), "load").length;
  const snapshot = await stage.finish(reader.snapshot());
  assert.equal(snapshot.at, tid);
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(4))))?.data), "new");
  assert.equal(bodiesOf(stage.storage("s2"), "load").length, asked, "it has a copy, and isn't asked");
  const { session } = bodiesOf(stage.actor("c2"), "welcome")[0]!;
  const stubborn = await puppetClient(stage, { name: "c9", session, at: "s2:1" });
  const load = stubborn.puppet.ask(stubborn.conn, "load", { oid: oidAt(4), at: tid, version: 2 });
  await stage.run();
  assert.deepEqual(load, {}, "it waits for the table that the reader has");
  stage.wires.free("s2", "m1");
  await stage.pass(5_000);
  assert.ok(load.error, "it was fenced: the reader is sent away");
  const again = await puppetClient(stage, { name: "c9", session, at: "s2:1" });
  const refused = again.puppet.ask(again.conn, "load", { oid: oidAt(4), at: tid, version: 2 });
  await stage.run();
  assert.equal(refused.error?.code, "notReadable");
});
