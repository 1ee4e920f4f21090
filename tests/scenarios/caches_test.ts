/** What a client shows while transactions of its own and of others are published to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import type { Client } from "../../roles/client/library.ts";
import { bodiesOf, hasHeard } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { Puppet, puppetClient, serving } from "../hazards/puppet.ts";
import { bytesOf, finishOf, oidAt, storeOf, textOf, voteOf } from "../hazards/words.ts";
import { assertQuiet } from "./failures_kit.ts";
import { commitTexts, connectWarm, timesHeard } from "./kit.ts";
import type { Scene } from "./kit.ts";

const MIB = 1024 * 1024;
const X = oidAt(4);
const Y = oidAt(5);

/** X and Y, each in a storage of its own, and two clients that cache this much. */
async function opened(cacheBytes: number = MIB): Promise<{ stage: Stage; writer: Scene; reader: Scene }> {
  const stage = await new Stage({ storages: 2, replicas: 0, partitions: 2 }).open();
  const [writer, reader] = [
    await connectWarm(stage, "c1", cacheBytes),
    await connectWarm(stage, "c2", cacheBytes),
  ];
  await commitTexts(stage, writer, [[X, "old x"], [Y, "old y"]]);
  return { stage, writer, reader };
}

async function text(stage: Stage, source: Pick<Client, "snapshot">, oid = X): Promise<string | undefined> {
  const snapshot = await stage.finish(source.snapshot());
  return textOf((await stage.finish(snapshot.load(oid)))?.data);
}

test("16.3/059 a transaction that begins while the answer to an own finish is on its way shows what that has written", async () => {
  const { stage, writer } = await opened();
  const tx = await stage.finish(writer.client.begin());
  await stage.finish(tx.load(X));
  tx.store(X, bytesOf("new x"));
  const commit = tx.commit();
  await stage.until(() => stage.master.machine.view.pending === 1);
  const next = writer.client.begin();
  const [tid, begun] = await stage.finish(Promise.all([commit, next]));
  if (begun.at >= tid) assert.equal(textOf((await stage.finish(begun.load(X)))?.data), "new x");
  else {assert.equal(
      textOf((await stage.finish(begun.load(X)))?.data),
      "old x",
      "asked before it was published",
    );}
  assert.equal(await text(stage, writer.client), "new x");
});

for (const own of [true, false]) {
  const whose = own ? "own" : "foreign";
  test(`16.3/${own ? "060" : "066"} what begins before ${whose} news shows the old value whole, what begins behind it the new one`, async () => {
    const { stage, writer, reader } = await opened();
    const { client } = own ? writer : reader;
    const before = await stage.finish(client.snapshot());
    await stage.finish(before.load(X));
    await commitTexts(stage, writer, [[X, "new x"], [Y, "new y"]]);
    const after = await stage.finish(client.snapshot());
    const read = async (snapshot: typeof before) => {
      const found = await stage.finish(snapshot.loadMany([X, Y]));
      return found.map((one) => textOf(one?.data));
    };
    assert.deepEqual(await read(before), ["old x", "old y"]);
    assert.deepEqual(await read(after), ["new x", "new y"]);
    assert.deepEqual(await read(before), ["old x", "old y"], "the cache has both");
  });
}

test("16.3/066 a load that is under way when news of its object comes is no current revision afterwards", async () => {
  const { stage, writer, reader } = await opened();
  const before = await stage.finish(reader.client.snapshot());
  stage.wires.hold("s1", "c2");
  const load = before.load(X);
  await stage.run();
  await commitTexts(stage, writer, [[X, "new x"]]);
  stage.wires.free("s1", "c2");
  assert.equal(textOf((await stage.finish(load))?.data), "old x");
  assert.equal(await text(stage, reader.client), "new x");
  assert.equal(textOf((await stage.finish(before.load(X)))?.data), "old x");
});

test("16.3/061 an own write that is too large for the cache is read from the storages, as it is", async () => {
  const { stage, writer } = await opened(1_000);
  const large = "new ".repeat(1_000);
  await commitTexts(stage, writer, [[X, large]]);
  assert.equal(await text(stage, writer.client), large);
});

for (const cacheBytes of [0, MIB]) {
  test(`16.3/062 a snapshot shows the old value while news of a newer one is on its way, and when it is there (cache: ${cacheBytes})`, async () => {
    const { stage, writer, reader } = await opened(cacheBytes);
    const before = await stage.finish(reader.client.snapshot());
    stage.wires.hold("m1", "c2"); // the invalidation
    await commitTexts(stage, writer, [[X, "new x"]]);
    assert.equal(textOf((await stage.finish(before.load(X)))?.data), "old x");
    stage.wires.free("m1", "c2");
    await stage.run();
    assert.equal(textOf((await stage.finish(before.load(X)))?.data), "old x");
    assert.equal(await text(stage, reader.client), "new x");
  });
}

test("16.3/064 a commit that is published before a begin is shown by it, though its news was still on the way", async () => {
  const { stage, writer, reader } = await opened();
  await text(stage, reader.client); // in its cache
  stage.wires.hold("m1", "c2");
  await commitTexts(stage, writer, [[X, "new x"]]);
  const begin = reader.client.begin();
  await stage.run();
  stage.wires.free("m1", "c2"); // the news, and behind it the answer to begin
  const tx = await stage.finish(begin);
  assert.equal(textOf((await stage.finish(tx.load(X)))?.data), "new x");
  assert.equal(tx.at, stage.master.machine.view.lastTid);
});

test("16.3/065 loads of one object at one moment ask once; those of another don't wait for them", async () => {
  const { stage, writer, reader } = await opened();
  const snapshot = await stage.finish(reader.client.snapshot());
  const asked = (): number[] => stage.names.map((name) => timesHeard(stage, name, "asked load"));
  const before = asked();
  stage.wires.hold("s1", "c2");
  const [first, second] = [snapshot.load(X), snapshot.load(X)];
  assert.equal(textOf((await stage.finish(snapshot.load(Y)))?.data), "old y");
  assert.deepEqual(asked(), [before[0]! + 1, before[1]! + 1]);
  const tx = await stage.finish(writer.client.begin());
  tx.store(Y, bytesOf("new y"), { base: snapshot.at });
  const tid = await stage.finish(tx.commit());
  stage.wires.free("s1", "c2");
  const [one, two] = await stage.finish(Promise.all([first, second]));
  assert.deepEqual([one, one?.next], [two, null], "its news is of something else");
  assert.equal((await stage.finish(snapshot.load(Y)))?.next, tid, "it has ended since");
  assert.deepEqual(asked(), [before[0]! + 1, before[1]! + 1], "and is asked for no more");
});

test("16.3/067 the storage of a checked object takes part in the finish, and nothing of it stays or is told", async () => {
  const { stage, writer, reader } = await opened();
  const tx = await stage.finish(writer.client.begin());
  await stage.finish(tx.loadMany([X, Y]));
  tx.store(X, bytesOf("new x"));
  tx.check(Y);
  const tid = await stage.finish(tx.commit());
  const finish = bodiesOf(stage.master, "finish").at(-1)!;
  assert.deepEqual([finish.stored, finish.checked], [[X], [Y]]);
  for (const name of stage.names) {
    assert.ok(bodiesOf(stage.storage(name), "lock").some((lock) => lock.tid === tid), name);
  }
  assertQuiet(stage);
  assert.deepEqual(bodiesOf(stage.actor("c2"), "invalidate").at(-1), { tid, oids: [X] });
  const again = await stage.finish(reader.client.begin());
  await stage.finish(again.load(Y));
  again.store(Y, bytesOf("new y"));
  assert.ok(await stage.finish(again.commit()) > tid, "its lock is free");
});

test("16.3/069 a client that was away shows nothing stale when it is back", async () => {
  const { stage, writer, reader } = await opened();
  assert.equal(await text(stage, reader.client), "old x");
  for (const name of ["m1", ...stage.names]) {
    stage.wires.bar("c2", name);
    stage.wires.cut("c2", name);
  }
  await stage.run();
  await commitTexts(stage, writer, [[X, "new x"]]);
  for (const name of ["m1", ...stage.names]) stage.wires.unbar("c2", name);
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.equal(await text(stage, reader.client), "new x");
  const cached = await stage.finish(reader.client.snapshot({ sync: false }));
  assert.equal(textOf((await stage.finish(cached.load(X)))?.data), "new x");
});

test("16.3/070 a finish of a transaction that nobody knows is refused, and the cluster goes on", async () => {
  const { stage, writer } = await opened();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const { conn } = await puppet.dial("m1:1");
  const { session } = bodiesOf(puppet.actor, "welcome")[0]!;
  const own = puppet.ask(
    conn,
    "finish",
    finishOf([storeOf({ ttid: ttidOf(session as ClientSession, 9), oid: 4 })], []),
  );
  const foreign = puppet.ask(
    conn,
    "finish",
    finishOf([storeOf({ ttid: ttidOf(7_777 as ClientSession, 9), oid: 4 })], []),
  );
  await stage.run();
  assert.deepEqual([own.error?.code, foreign.error?.code], ["missing", "denied"]);
  await commitTexts(stage, writer, [[X, "new x"]]);
});

test("16.3/071 a client that its primary drops while it asks a storage goes on under its next session", async () => {
  const { stage, reader } = await opened(0);
  const snapshot = await stage.finish(reader.client.snapshot());
  stage.wires.hold("c2", "s1");
  const load = snapshot.load(X);
  await stage.run();
  stage.wires.cut("c2", "m1");
  await stage.until(() => hasHeard(stage.actor("c2"), "lost"));
  stage.wires.free("c2", "s1");
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.equal(textOf((await stage.finish(load))?.data), "old x");
});

test("16.3/072 a client that comes again has another session, whoever has come meanwhile: none is given twice", async () => {
  const { stage } = await opened();
  stage.wires.cut("c1", "m1");
  const other = await connectWarm(stage, "c3");
  await stage.pass(RETRY_DELAY_MS_MAX);
  const sessions = ["c1", "c2", "c3"].flatMap((name) =>
    bodiesOf(stage.actor(name), "welcome").map(({ session }) => session)
  );
  assert.equal(sessions.length, 4);
  assert.equal(new Set(sessions).size, 4);
  assert.ok(other);
});

test("16.3/074 a client that comes to a storage before its announcement waits for that, and is then served", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 3 }); // "gone"
  const peer = new Puppet(stage, "c9", stage.hello("client", { name: "c9", session: 4, epoch: 1 }), []);
  const { conn } = await peer.dial("s1:1");
  const body = storeOf({ ttid: ttidOf(4 as ClientSession, 1), oid: 4 });
  const reply = peer.ask(conn, "store", body);
  await stage.run();
  assert.deepEqual(reply, {}, "it isn't refused");
  primary.tell(primary.conn, "sessionOpened", { epoch: 1, session: 4 });
  await stage.run();
  assert.deepEqual(reply.answer, { lockless: false });
});

test("16.3/075 a client whose session is over is turned away, however late it comes; another one isn't", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  primary.tell(primary.conn, "sessionEnded", { epoch: 1, session: 1 });
  await stage.run();
  const late = new Puppet(stage, "c1", stage.hello("client", { name: "c1", session: 1, epoch: 1 }), []);
  assert.equal((await late.dial("s1:1")).error?.code, "sessionEnded");
  const { puppet, conn: live } = await puppetClient(stage, { name: "c2", session: 2 });
  const body = storeOf({ ttid: ttidOf(2 as ClientSession, 1), oid: 4 });
  const taken = puppet.ask(live, "store", body);
  const vote = puppet.ask(live, "vote", voteOf([body]));
  await stage.run();
  assert.ok(taken.answer && vote.answer);
});
