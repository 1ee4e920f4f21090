/** Clusters that start again, with some of their nodes: who is waited for, and what is kept of what was under way. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { FAILOVER_GRACE_MS, RETRY_DELAY_MS_MAX, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { bodiesOf, hasHeard } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import {
  assertQuiet,
  assertText,
  heldOn,
  history,
  opened,
  PAIR,
  SINGLE,
  timesCommitted,
  trying,
  writeOver,
} from "./failures_kit.ts";
import { commitTexts, connectWarm, FileDisk, timesHeard } from "./kit.ts";

/** Processes die, in this order, each loss noticed before the next. */
async function killAll(stage: Stage, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    stage.actor(name).kill();
    await stage.run();
  }
}

/** The master starts, and these storages. */
async function startWith(stage: Stage, ...names: readonly string[]): Promise<void> {
  stage.startMaster();
  for (const name of names) stage.startStorage(name);
  await stage.pass(STARTUP_GRACE_MS);
}

const view = (stage: Stage) => stage.master.machine.view;

test("16.2/024 a cluster starts without one of two copies, once that has had its time to come", async () => {
  const { stage } = await opened();
  await killAll(stage, "c1", "c2", "m1", "s1", "s2");
  await startWith(stage, "s2");
  assert.deepEqual([view(stage).phase, view(stage).table], ["running", "0: 2O 3U\n1: 2O 3U"]);
  const { client } = await connectWarm(stage, "c3");
  const { nodes } = await stage.finish(client.view());
  assert.deepEqual(nodes.map(({ name, state }) => [name, state]), [["s1", "unavailable"], ["s2", "running"]]);
  await writeOver(stage, { client });
});

test("16.2/025 storages that stop one after another, the last one alone for a while, both come back: all is readable without an operator", async () => {
  const { stage, other } = await opened();
  await killAll(stage, "s1");
  await writeOver(stage, other, "alone");
  await killAll(stage, "s2", "m1", "c1", "c2");
  await startWith(stage, "s1", "s2");
  assert.deepEqual([view(stage).phase, view(stage).table], ["running", "0: 2U 3U\n1: 2U 3U"]);
  await writeOver(stage, await connectWarm(stage, "c3"));
});

test("16.2/026 only the one comes back that stopped first: what it may lack isn't given up without an operator", async () => {
  const { stage, other } = await opened();
  await killAll(stage, "s1");
  await writeOver(stage, other, "alone");
  await killAll(stage, "s2", "m1", "c1", "c2");
  await startWith(stage, "s1");
  await stage.pass(10 * STARTUP_GRACE_MS);
  assert.equal(view(stage).phase, "recovering");
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS);
  await assertText(stage, (await connectWarm(stage, "c3")).client, "alone");
});

test("16.2/026 of two that were whole when everything stopped either one is enough", async () => {
  const { stage } = await opened();
  await killAll(stage, "m1", "c1", "c2", "s1", "s2");
  await startWith(stage, "s1");
  assert.deepEqual([view(stage).phase, view(stage).table], ["running", "0: 2U 3O\n1: 2U 3O"]);
  await writeOver(stage, await connectWarm(stage, "c3"));
});

test("16.2/027 T17 all storages lose the primary right after they have locked: verification commits, the client learns it, oids go on", async () => {
  const play = await opened(SINGLE);
  const { stage, writer, other } = play;
  for (const name of stage.names) stage.wires.hold(name, "m1");
  const [oid] = await stage.finish(writer.client.newOids(1));
  const tx = await stage.finish(writer.client.begin());
  tx.store(oidAt(900_000), bytesOf("beyond")); // known from rows that aren't final only
  tx.store(oid!, bytesOf("granted"));
  const commit = tx.commit();
  await stage.run();
  const { tid } = bodiesOf(stage.storage("s1"), "lock").at(-1)!;
  for (const name of stage.names) {
    stage.wires.cut(name, "m1");
    stage.wires.free(name, "m1");
  }
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(await stage.finish(commit), tid);
  const snapshot = await stage.finish(other.client.snapshot());
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(900_000))))?.data), "beyond");
  const [next] = await stage.finish(other.client.newOids(1));
  assert.ok(next! > oidAt(900_000));
});

test("16.2/029 T17 the primary and its client die before anybody has locked: it is dropped everywhere, what was published before isn't", async () => {
  const play = await opened();
  const { stage } = play;
  for (const name of stage.names) stage.wires.hold("m1", name);
  await trying(play);
  await stage.run();
  for (const name of stage.names) stage.wires.lose("m1", name);
  await killAll(stage, "m1", "c1", "c2", "s1", "s2");
  for (const name of stage.names) {
    stage.wires.free("m1", name);
    assert.ok(heldOn(stage, name).includes(1), "its vote is on disk");
    stage.disk(name).crash(0);
  }
  await startWith(stage, "s1", "s2");
  const later = await connectWarm(stage, "c3");
  await assertText(stage, later.client, "old");
  assertQuiet(stage);
  await writeOver(stage, later);
  for (const name of stage.names) {
    stage.storage(name).kill();
    assert.ok(!heldOn(stage, name).includes(1), "and goes from it");
    stage.disk(name).crash(0);
  }
});

test("16.2/030 T17 a lock of a storage without readable cells counts no more: the cluster went on without it", async () => {
  const play = await opened();
  const { stage } = play;
  stage.wires.hold("m1", "s2");
  await trying(play); // T1
  await stage.run();
  stage.wires.lose("m1", "s2");
  for (const name of ["m1", "c1", "c2", "s1", "s2"]) stage.actor(name).kill();
  stage.wires.free("m1", "s2");
  await stage.run();
  assert.ok(heldOn(stage, "s1").includes(1), "s1 has locked it");
  stage.disk("s1").crash(0);
  await startWith(stage, "s2");
  assert.equal(view(stage).table, "0: 2O 3U\n1: 2O 3U");
  const second = await connectWarm(stage, "c3");
  await commitTexts(stage, second, PAIR.map((oid) => [oid, "T2"]));
  await killAll(stage, "m1", "c3");
  stage.startStorage("s1");
  stage.startMaster();
  await stage.pass(2 * STARTUP_GRACE_MS);
  assert.deepEqual(bodiesOf(stage.storage("s1"), "lock"), [], "nobody completes it");
  const third = await connectWarm(stage, "c4");
  assert.equal(view(stage).table, "0: 2U 3U\n1: 2U 3U");
  await assertText(stage, third.client, "T2");
  assert.equal(await timesCommitted(stage, third.client), 0);
});

test("16.2/031 T17 a storage that lost its primary just after it had locked drops that at its next start, and copies it", async () => {
  const play = await opened();
  const { stage, other } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  stage.wires.bar("s1", "m1");
  stage.wires.cut("s1", "m1");
  await stage.run();
  assert.ok(result.tid, "the cluster goes on without it");
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  stage.storage("s1").kill();
  await stage.run();
  assert.ok(heldOn(stage, "s1").includes(1));
  stage.disk("s1").crash(0);
  stage.wires.unbar("s1", "m1");
  stage.startStorage("s1");
  await stage.pass(FAILOVER_GRACE_MS);
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
  assert.equal(view(stage).table, "0: 2U 3U\n1: 2U 3U");
  await assertText(stage, other.client, "new");
});

test("16.2/034 a client whose connections to storages are gone connects again, and commits", async () => {
  const play = await opened();
  const { stage, other } = play;
  const before = (): void => {
    for (const name of stage.names) stage.wires.cut("c1", name);
  };
  const result = await trying(play, { before });
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.ok(result.tid, result.error?.message);
  assert.deepEqual(bodiesOf(stage.master, "finish").at(-1)?.failed, []);
  await assertText(stage, other.client, "new");
});

test("16.2/035 a history that is read over new connections is complete", async () => {
  const { stage, other } = await opened();
  const known = await history(stage, other.client);
  for (const name of stage.names) stage.wires.cut("c2", name);
  assert.deepEqual(await history(stage, other.client), known);
  assert.ok(known.length >= 3);
});

test("16.2/037 a storage that was dropped isn't in the table after a restart, and is a stranger when it comes", async () => {
  const { stage, other } = await opened();
  const operator = new Puppet(stage, "a1", stage.hello("admin", { name: "a1" }), []);
  const { conn } = await operator.dial("m1:1");
  const dropped = operator.ask(conn, "dropNode", { name: "s1" });
  await stage.run();
  assert.ok(dropped.answer, dropped.error?.message);
  await writeOver(stage, other, "alone");
  for (const name of ["m1", "c1", "c2", "s2", "a1"]) stage.actor(name).kill();
  await startWith(stage, "s2");
  assert.deepEqual([view(stage).phase, view(stage).table], ["running", "0: 3U\n1: 3U"]);
  stage.startStorage("s1");
  await stage.pass(FAILOVER_GRACE_MS);
  assert.equal(view(stage).table, "0: 3U\n1: 3U");
  await assertText(stage, (await connectWarm(stage, "c3")).client, "alone");
});

test("16.2/039 a connection between primary and an only copy ends: operation ends, and goes on by itself when it is back", async () => {
  const { stage, other } = await opened(SINGLE);
  stage.wires.cut("s1", "m1");
  await stage.until(() => view(stage).phase === "recovering");
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.equal(view(stage).phase, "running");
  await writeOver(stage, other);
});

test("16.2/040 a cluster that stops finishes what is accepted, begins nothing, and is whole when it starts again", async () => {
  const play = await opened();
  const { stage, writer } = play;
  stage.wires.hold("s1", "m1");
  const result = await trying(play);
  await stage.run();
  stage.master.terminate();
  await stage.run();
  const { connected } = stage.startClient("c9");
  connected.catch(() => undefined); // it is turned away
  stage.wires.free("s1", "m1");
  await stage.run();
  assert.ok(result.tid, result.error?.message);
  assert.ok(stage.actor("m1").ended, "the primary has ended");
  assert.equal(stage.actor("m1").ended?.error, undefined);
  assert.ok(!hasHeard(stage.actor("c9"), "told welcome"));
  const late = writer.client.begin({ withinMs: 1_000 });
  late.catch(() => undefined); // looked at below
  await stage.pass(1_000);
  await assert.rejects(late, { code: "timedOut" });
  for (const name of [...stage.names, "c1", "c2", "c9"]) stage.actor(name).kill();
  await startWith(stage, "s1", "s2");
  assert.equal(view(stage).table, "0: 2U 3U\n1: 2U 3U");
  const later = await connectWarm(stage, "c3");
  await assertText(stage, later.client, "new");
  assert.equal(await timesCommitted(stage, later.client), 1);
});

test("16.2/041 a new cluster waits for all storages without which a partition has no copy", async () => {
  const stage = new Stage({ storages: 3, replicas: 0, partitions: 3 });
  stage.startMaster();
  for (const name of ["s1", "s2"]) stage.startStorage(name);
  await stage.pass(10 * STARTUP_GRACE_MS);
  assert.equal(view(stage).phase, "recovering");
  stage.startStorage("s3");
  await stage.run();
  assert.equal(view(stage).phase, "running");
});

test("16.2/042 what is given up after its vote leaves no row", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  using file = new FileDisk(stage, "s1");
  stage.startMaster();
  stage.startStorage("s1", { disk: file.disk });
  await stage.run();
  const { client } = await connectWarm(stage, "c1");
  await connectWarm(stage, "c2"); // flushes what c1 has left
  const before = file.rows;
  const controller = new AbortController();
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("voted"));
  const votes = timesHeard(stage, "c1", "answered vote");
  const commit = tx.commit({ signal: controller.signal });
  commit.catch(() => undefined); // given up
  await stage.until(() =>
    timesHeard(stage, "s1", "asked vote") > votes + 1 && file.rows.ttrans > before.ttrans
  );
  controller.abort();
  await stage.run();
  assert.equal(
    stage.actor("c1").heard.filter(({ what }) => what === "answered finish").length,
    1,
    "the first one's",
  );
  const other = await connectWarm(stage, "c3");
  assert.ok(other);
  assert.deepEqual([file.rows.ttrans - before.ttrans, file.rows.tobj - before.tobj, file.orphans], [0, 0, 0]);
});

test("16.2/052 a lock's answer that comes when operation has ended is ignored, and its connection stays", async () => {
  const play = await opened(SINGLE);
  const { stage, other } = play;
  stage.wires.hold("s2", "m1");
  const result = await trying(play);
  await stage.run();
  assert.equal(view(stage).pending, 1);
  stage.storage("s1").kill();
  await stage.until(() => view(stage).phase === "recovering");
  const greetings = timesHeard(stage, "s2", "identified");
  const locks = timesHeard(stage, "m1", "answered lock");
  stage.wires.free("s2", "m1");
  await stage.run();
  assert.equal(timesHeard(stage, "m1", "answered lock"), locks + 1);
  assert.equal(timesHeard(stage, "s2", "identified"), greetings, "it needn't come again");
  stage.startStorage("s1");
  await stage.pass(STARTUP_GRACE_MS);
  assert.ok(result.tid, result.error?.message);
  await assertText(stage, other.client, "new");
  assert.equal(await timesCommitted(stage, other.client), 1);
});

test("16.2/055 an operator whose primary goes while it handles a command hears so at once", async () => {
  const { stage } = await opened();
  const operator = new Puppet(stage, "a1", stage.hello("admin", { name: "a1" }), []);
  const { conn } = await operator.dial("m1:1");
  stage.wires.hold("m1", "a1");
  const asked = operator.ask(conn, "tweak", { ignored: [], dryRun: true });
  await stage.run();
  stage.wires.lose("m1", "a1");
  stage.wires.free("m1", "a1");
  stage.master.kill();
  await stage.run();
  assert.equal(asked.error?.code, "lost");
});

test("16.2/056 a peer that speaks another version is told so, and its connection ends", async () => {
  const { stage } = await opened();
  for (const role of ["client", "storage"] as const) {
    const peer = new Puppet(stage, `x-${role}`, stage.hello(role, { name: "x" }), []);
    for (const address of ["m1:1", "s1:1"]) {
      const { error } = await peer.dial(address, { versionMin: 900, versionMax: 901 });
      assert.equal(error?.code, "wrongVersion", `${role} at ${address}`);
      assert.match(error.message, /900 to 901/);
    }
  }
});

test("16.2/057 a peer that breaks the protocol while more of it arrives is told why, and both ends are closed", async () => {
  const { stage, other } = await opened();
  const transport = stage.wires.transport("x");
  const events: { readonly type: string; readonly bytes?: Uint8Array }[] = [];
  transport.onEvent((event) => events.push(event));
  const conn = transport.connect("m1:1");
  await stage.run();
  transport.write(conn, Uint8Array.of(0, 0, 0, 4, 1, 2, 3, 4)); // a frame that is none
  for (let more = 0; more < 5; more++) transport.write(conn, new Uint8Array(1_000).fill(more));
  await stage.run();
  const said = Buffer.concat(events.flatMap(({ bytes }) => (bytes ? [bytes] : []))).toString("latin1");
  assert.match(said, /Cannot /);
  assert.equal(events.at(-1)?.type, "closed");
  await writeOver(stage, other);
});
