/**
 * A9: a ttid that repeats lets an outcome query give an older transaction's tid, which is a false acknowledgement. Sessions come from
 * held blocks and are never given twice; age, not the ttid, decides who gets a lock; tids don't depend on ttids.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, Ttid } from "../../core/ids.ts";
import { CLIENT_SESSION_MAX, sessionOf, ttidOf, ZERO_TID } from "../../core/ids.ts";
import { SESSION_BLOCK } from "../../core/limits.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Client } from "../../roles/client/library.ts";
import { Metadata } from "../../roles/master/metadata.ts";
import { hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, ttidAt } from "./words.ts";

async function commitOne(stage: Stage, client: Client, oid: number): Promise<{ tid: bigint; ttid: Ttid }> {
  const none = new Uint8Array();
  const write = { oid: oidAt(oid), base: ZERO_TID, data: bytesOf(`object ${oid}`) };
  const commit = { writes: [write], checks: [], user: none, description: none, extension: none, status: " " };
  return await stage.finish(client.call("commit", commit));
}

test("A9: no ttid is made twice, over clients, lost connections and crashes of the master", async () => {
  const stage = await new Stage().open();
  const [one, two] = [await stage.connect("c1"), await stage.connect("c2")];
  const made: Ttid[] = [];
  let oid = 0;
  const commitBoth = async (): Promise<void> => {
    for (const client of [one, two, one]) made.push((await commitOne(stage, client, ++oid)).ttid);
  };
  await commitBoth();
  stage.wires.cut("c1", "m1"); // the next session of the same client counts from 1 again
  await stage.pass(2_000);
  await commitBoth();
  for (let crash = 0; crash < 3; crash++) {
    stage.master.kill();
    stage.startMaster();
    await stage.pass(5_000);
    await commitBoth();
  }
  assert.equal(new Set(made).size, made.length);
  const sessions = made.map((ttid) => sessionOf(ttid));
  const afterCrash = sessions.slice(6);
  assert.ok(Math.min(...afterCrash) > SESSION_BLOCK, "a crash leaves the rest of its block unused");
});

test("A9: a session is given only once its block is held", async () => {
  const stage = await new Stage().open();
  stage.consensus.lags = true;
  const { actor, connected } = stage.startClient("c1");
  let isIn = false;
  void connected.then(() => {
    isIn = true;
  });
  await stage.run();
  assert.ok(hasHeard(stage.master, "identified"));
  assert.ok(!hasHeard(actor, "told welcome"), "no session of a block that a crash may lose");
  assert.ok(!hasHeard(stage.storage("s1"), "told sessionOpened"));
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.ok(isIn);
});

test("A9: an outcome is that of this ttid, and of no other in its home partition", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.connect("c1");
  const { ttid } = await commitOne(stage, client, 1);
  const { tid } = await commitOne(stage, client, 2);
  assert.ok(tid > 0n);
  const puppet = new Puppet(stage, "c2", stage.hello("client", { name: "c2" }), []);
  const { conn } = await puppet.dial("m1:1");
  const outcome = (of: bigint) => puppet.ask(conn, "outcome", { ttid: of as Ttid, home: 0 as never });
  const [before, exact, unused] = [outcome(ttid - 1n), outcome(ttid), outcome(ttid + 2n)];
  await stage.run();
  assert.equal(before.answer?.tid, null);
  assert.equal(unused.answer?.tid, null, "a later transaction isn't its outcome, nor is an earlier one");
  assert.ok(exact.answer?.tid !== null && exact.answer!.tid < tid);
});

test("A9: the older transaction gets the lock first, whatever its ttid", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  await serving(stage);
  const peers = [1, 2, 3].map((session) => puppetClient(stage, { name: `c${session}`, session }));
  const [holder, young, old] = [await peers[0]!, await peers[1]!, await peers[2]!];
  const ask = ({ puppet, conn }: typeof holder, session: number, ageMs: number) =>
    puppet.ask(conn, "store", storeOf({ ttid: ttidAt(session, 1), oid: 7, ageMs }));
  const first = ask(holder, 1, 900);
  await stage.run();
  const younger = ask(young, 2, 800); // the smaller ttid, and it came first
  await stage.run();
  const older = ask(old, 3, 100);
  await stage.run();
  assert.ok(first.answer && !younger.answer && !older.answer);
  holder.puppet.tell(holder.conn, "abort", { ttid: ttidAt(1, 1), epoch: 0, nodes: [] });
  await stage.run();
  assert.ok(older.answer, "the first attempt of session 3 began earliest");
  assert.ok(!younger.answer);
});

test("A9: tids follow the clock, however high the sessions are", async () => {
  const stage = new Stage();
  const metadata = Metadata.ofImage(stage.image);
  metadata.apply({ type: "sessionMark", session: CLIENT_SESSION_MAX - 2 * SESSION_BLOCK });
  stage.startMaster({ image: metadata.toImage() });
  for (const name of stage.names) stage.startStorage(name);
  await stage.run();
  const client = await stage.connect("c1");
  const { tid, ttid } = await commitOne(stage, client, 1);
  assert.ok(ttid > ttidOf((CLIENT_SESSION_MAX - 2 * SESSION_BLOCK) as ClientSession, 0));
  assert.ok(tid < ttid, "the ttid is far beyond the clock");
  assert.equal(dateOfTid(tid as never), stage.time.wallMs);
});
