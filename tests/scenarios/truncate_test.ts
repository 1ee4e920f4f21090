/** Everything behind a tid is deleted, everywhere, whatever dies on the way (N7, B10). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { MAX_TID } from "../../core/ids.ts";
import { STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { DatabaseAnswers } from "../../core/ports.ts";
import { bodiesOf, hasHeard } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { puppetClient, serving } from "../hazards/puppet.ts";
import { oidAt, storeOf, tidAt, ttidAt, voteOf } from "../hazards/words.ts";
import { assertSound, OperatorHand } from "./damage_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";
import type { Scene } from "./kit.ts";

/** Objects 0 to 3 have these texts, one transaction each time; gives the tids. */
async function written(stage: Stage, scene: Scene, ...texts: readonly string[]): Promise<Tid[]> {
  const tids: Tid[] = [];
  for (const text of texts) {
    const all = [0, 1, 2, 3].map((oid) => [oidAt(oid), text] as const);
    tids.push(await commitTexts(stage, scene, all));
  }
  return tids;
}

async function read(
  stage: Stage,
  { client }: Pick<Scene, "client">,
  oid: Oid = oidAt(1),
): Promise<string | undefined> {
  const snapshot = await stage.finish(client.snapshot());
  const found = await stage.finish(snapshot.load(oid));
  return found && new TextDecoder().decode(found.data);
}

/** Tids of the transactions that a storage has. */
function tidsAt(stage: Stage, name: string): Tid[] {
  const partitions = Array.from({ length: stage.shape.partitions }, (_, at) => at);
  const query = { read: "transactions", partitions, after: 0n, upTo: MAX_TID, count: 100 };
  const found = stage.storage(name).store.read(query) as DatabaseAnswers["transactions"];
  return found.transactions.map(({ tid }) => tid);
}

test("16.2/044 a truncation reaches all nodes though they die before and while they do it; caches are cleared (N7)", async () => {
  const stage = await new Stage().open();
  const scene = await connectCaching(stage, "c1", 1_000_000);
  const [, kept, third, last] = await written(stage, scene, "one", "two", "three", "four");
  const operator = new OperatorHand(stage);
  assert.equal(await read(stage, scene), "four");
  const old = await stage.finish(scene.client.snapshot({ at: third! }));
  await stage.finish(old.load(oidAt(1))); // a revision in the cache that has an end
  const highest = await stage.finish(scene.client.newOid());

  const noOp = await operator.begin("truncate", { tid: last! });
  await stage.run();
  assert.match(noOp.error!.message, /nothing is behind that: the last tid is/);
  const future = await operator.begin("truncate", { tid: (last! + 1n) as Tid });
  await stage.run();
  assert.match(future.error!.message, /nothing is behind that/);

  // s1 dies with a vote, before it hears of it
  const open = await stage.finish(scene.client.begin());
  open.store(oidAt(1), new Uint8Array([1]));
  stage.wires.hold("c1", "m1"); // its finish
  const lost = open.commit().then(() => "committed", (error: Error) => error.message);
  await stage.run();
  stage.storage("s1").kill();
  stage.wires.hold("m1", "s2");
  const reply = await operator.begin("truncate", { tid: kept! });
  await stage.run();
  assert.deepEqual(reply.answer, { number: 1, lastTid: last });
  stage.storage("s2").kill(); // it hasn't heard of it either
  stage.wires.free("m1", "s2");
  stage.wires.free("c1", "m1");
  await stage.run();
  for (const holds of [true, false]) { // twice while it does it
    const s2 = stage.startStorage("s2");
    if (holds) s2.store.holdsSaves = true;
    else s2.store.holdsReads = true;
    await stage.pass(1_000);
    assert.ok(hasHeard(s2, "told truncated"));
    assert.equal(stage.master.machine.view.phase, "recovering");
    s2.kill();
  }
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U\n1: 2U 3U");
  assert.equal(stage.master.machine.view.lastTid, kept);
  for (const name of stage.names) assert.deepEqual(tidsAt(stage, name).at(-1), kept);
  assertSound(stage);
  assert.notEqual(await lost, "committed");

  assert.equal(await read(stage, scene), "two", "the client's cache knows nothing else");
  const [next] = await written(stage, scene, "five");
  assert.ok(next! > last!, "no tid is given twice");
  assert.ok(await stage.finish(scene.client.newOid()) > highest, "nor is an oid");
  const between = await stage.finish(scene.client.snapshot({ at: third! }));
  const found = await stage.finish(between.load(oidAt(1)));
  assert.equal(new TextDecoder().decode(found?.data), "two");
});

test("B10, N7: a node that was away while the cluster was truncated, twice, does both before anything else", async () => {
  const stage = await new Stage().open();
  const scene = await connectCaching(stage, "c1", 0);
  const [first, second, third] = await written(stage, scene, "one", "two", "three");
  void stage.storage("s2").store.apply([], { durable: true });
  stage.storage("s2").kill();
  await stage.run();
  const operator = new OperatorHand(stage);
  await operator.ask("truncate", { tid: first! });
  await stage.pass(STARTUP_GRACE_MS);
  await written(stage, scene, "four", "five");
  const tids = tidsAt(stage, "s1");
  await operator.ask("truncate", { tid: tids.at(-2)! }); // a later tid: alone it would leave what the first took
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(await read(stage, scene), "four");
  const s2 = stage.startStorage("s2");
  await stage.until(() => s2.store.log.some((line) => line.includes("truncate truncate")));
  assert.deepEqual(tidsAt(stage, "s2").at(-1), first);
  assert.deepEqual(bodiesOf(s2, "truncated").map(({ cuts }) => cuts.map(({ number }) => number)), [[1, 2]]);
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U\n1: 2U 3U");
  assertSound(stage);
  for (const gone of [second, third]) assert.ok(!tidsAt(stage, "s2").includes(gone!));
  s2.kill();
  await stage.run();
  const again = stage.startStorage("s2");
  await stage.pass(5_000);
  assert.ok(!again.store.log.some((line) => line.includes("truncate")), "what was done isn't done again");
});

test("N7: what is locked behind the tid is dropped with it, also at a node that comes back; what is voted is judged", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const ttids = [1, 2, 3].map((counter) => ttidAt(1, counter));
  for (const [at, ttid] of ttids.entries()) {
    const store = storeOf({ ttid, oid: at });
    puppet.ask(conn, "store", store);
    puppet.ask(conn, "vote", voteOf([store]));
  }
  await stage.run();
  primary.lock(ttids[0]!, tidAt(10));
  primary.lock(ttids[1]!, tidAt(20));
  await stage.run();
  primary.epoch = 2;
  primary.tell(primary.conn, "truncated", { epoch: 2, cuts: [{ number: 1, tid: tidAt(15) }] });
  const fenced = primary.fence();
  await stage.run();
  assert.deepEqual(fenced.answer?.locks, [{ ttid: ttids[0], tid: 10n }]);
  assert.deepEqual(fenced.answer?.votes.map(({ ttid }) => ttid).sort(), [ttids[0], ttids[2]]);
  stage.storage("s1").kill();
  stage.startStorage("s1");
  await stage.run();
  primary.epoch = 3;
  const again = primary.fence();
  await stage.run();
  assert.deepEqual(again.answer?.locks, [{ ttid: ttids[0], tid: 10n }]);
});

test("N7: operation ends with the decision: nothing is accepted or given a tid behind it, and it outlives its primary", async () => {
  const stage = await new Stage().open();
  const scene = await connectCaching(stage, "c1", 0);
  const [kept, last] = await written(stage, scene, "one", "two");
  const operator = new OperatorHand(stage);
  stage.consensus.lags = true;
  const reply = await operator.begin("truncate", { tid: kept! });
  await stage.run();
  assert.equal(reply.answer, undefined, "it isn't held");
  assert.equal(stage.master.machine.view.phase, "recovering");
  for (const name of stage.names) assert.equal(tidsAt(stage, name).at(-1), last);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.until(() => reply.answer !== undefined);
  stage.master.kill();
  await stage.run();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.lastTid, kept);
  assert.equal(await read(stage, scene), "one");
  stage.time.wallMs -= 86_400_000; // tids don't follow a clock that goes back
  assert.ok((await written(stage, scene, "three"))[0]! > last!);
});

test("N7: nobody copies from a storage that hasn't been fenced in the same epoch: it may have what was truncated", async () => {
  const stage = await new Stage().open();
  const other = await puppetClient(stage);
  const behind = await other.puppet.dial("s1:1", { role: "storage", name: "s2", epoch: 0 });
  assert.equal(behind.error?.code, "staleEpoch");
  const level = await other.puppet.dial("s1:1", { role: "storage", name: "s2", epoch: 1 });
  assert.equal(level.error, undefined);
});

test("N7: after a truncation to a tid between two transactions a storage that was away catches up without a new commit", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const scene = await connectCaching(stage, "c1", 0);
  const [first] = await written(stage, scene, "one");
  await stage.pass(5_000);
  const [last] = await written(stage, scene, "two");
  stage.storage("s2").kill();
  await stage.run();
  const between = (first! + (last! - first!) / 2n) as Tid;
  await new OperatorHand(stage).ask("truncate", { tid: between });
  await stage.pass(2 * STARTUP_GRACE_MS);
  stage.startStorage("s2");
  await stage.pass(60_000);
  assert.deepEqual(
    [stage.master.machine.view.phase, stage.master.machine.view.table],
    ["running", "0: 2U 3U"],
  );
  assertSound(stage);
});

test("N7: what a storage begins to copy before a truncation doesn't bring back what is behind it", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const scene = await connectCaching(stage, "c1", 0);
  const [kept] = await written(stage, scene, "one");
  stage.storage("s2").kill();
  await stage.run();
  await written(stage, scene, "two", "three");
  stage.wires.hold("s2", "s1");
  stage.startStorage("s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
  stage.wires.hold("m1", "s1"); // s1 is fenced later: it lets the old hello in
  await new OperatorHand(stage).ask("truncate", { tid: kept! });
  await stage.pass(1_100);
  assert.equal(stage.wires.waiting("s2", "s1"), 2, "s2 has begun to connect anew, too");
  stage.wires.free("s2", "s1");
  await stage.run();
  stage.wires.free("m1", "s1");
  await stage.pass(20_000);
  assert.equal(stage.master.machine.view.phase, "running");
  assert.deepEqual(tidsAt(stage, "s2"), [kept]);
  assertSound(stage);
});
