/**
 * A10 with a real primary, whose table changes because storages go and come: what is under way is judged by the cells that it needs,
 * and not by the version with which it began. `a10_table_changes_test.ts` has changes of every kind.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, Ttid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { STORE_WINDOW_BYTES } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet } from "./puppet.ts";
import { bytesOf, finishOf, oidAt, storeOf, textOf, voteOf } from "./words.ts";

const FOUR_COPIES = { storages: 4, replicas: 3, partitions: 1 };

function versionOf(stage: Stage): number {
  return bodiesOf(stage.storage("s1"), "tableChange").at(-1)?.version ?? 1;
}

/** Transactions that have finished, by how often. */
function finishesOf(stage: Stage): number[] {
  const counts = new Map<Ttid, number>();
  for (const { ttid } of bodiesOf(stage.master, "finish")) counts.set(ttid, (counts.get(ttid) ?? 0) + 1);
  return [...counts.values()];
}

/** s2 goes, comes back and has missed nothing, s3 goes: the table changes three times. */
async function loseTwo(stage: Stage): Promise<void> {
  stage.storage("s2").kill();
  await stage.run();
  stage.startStorage("s2");
  await stage.run();
  stage.storage("s3").kill();
  await stage.run();
  assert.equal(versionOf(stage), 4);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4O 5U");
}

test("A10: a transaction that was voted before two table changes finishes after them", async () => {
  const stage = await new Stage(FOUR_COPIES).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("voted"));
  stage.wires.hold("c1", "m1");
  const commit = tx.commit();
  await stage.run();
  await loseTwo(stage);
  stage.wires.free("c1", "m1");
  assert.ok(await stage.finish(commit) > 0n);
  assert.deepEqual(
    finishesOf(stage),
    [1, 2],
    "the first one made the client warm; s2 counts again, and must have it",
  );
});

test("A10: stores that were made before two table changes are taken after them", async () => {
  const stage = await new Stage(FOUR_COPIES).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("on its way"));
  stage.wires.hold("c1", "s1");
  const commit = tx.commit();
  await stage.run();
  await loseTwo(stage);
  stage.wires.free("c1", "s1");
  assert.ok(await stage.finish(commit) > 0n);
  const [, store] = bodiesOf(stage.storage("s1"), "store"); // behind the one that made the client warm
  assert.equal(store?.version, 1);
  assert.deepEqual(finishesOf(stage), [1, 2]);
});

test("A10: a large transaction commits though the table changes between its stores, and sends nothing twice", async () => {
  const stage = await new Stage(FOUR_COPIES).open();
  const [client, reader] = [await stage.warm("c1"), await stage.warm("c2")];
  const tx = await stage.finish(client.begin());
  const count = 24;
  const dataOf = (oid: number): Uint8Array => incompressible(STORE_WINDOW_BYTES / 8, oid);
  for (let oid = 0; oid < count; oid++) tx.store(oidAt(oid), dataOf(oid));
  const stored = (): number => bodiesOf(stage.storage("s1"), "store").length - 2; // two made clients warm
  const commit = tx.commit({ withinMs: 60_000 });
  await stage.until(() => stored() >= 4);
  stage.storage("s2").kill();
  await stage.until(() => versionOf(stage) === 2);
  assert.ok(stored() < count - 8, "most of it isn't even sent");
  stage.startStorage("s2");
  await stage.until(() => stored() >= count - 4);
  stage.storage("s3").kill();
  await stage.until(() => versionOf(stage) === 3);
  assert.ok(await stage.finish(commit) > 0n);
  assert.equal(stored(), count);
  assert.deepEqual(finishesOf(stage), [1, 1, 1]);
  const snapshot = await stage.finish(reader.snapshot());
  for (let oid = 0; oid < count; oid++) {
    assert.deepEqual((await stage.finish(snapshot.load(oidAt(oid))))?.data, dataOf(oid), `object ${oid}`);
  }
});

/** Bytes that zlib makes no smaller, other ones for each seed. */
function incompressible(length: number, seed: number): Uint8Array {
  let word = seed + 1;
  return new Uint8Array(length).map(() => {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    return word >>> 24;
  });
}

/** A client in the test's hand at a cluster of two copies. */
async function puppetScene() {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const { conn: master } = await puppet.dial("m1:1");
  const { session, epoch } = bodiesOf(puppet.actor, "welcome")[0]!;
  const store = storeOf({ ttid: ttidOf(session as ClientSession, 1), oid: 4, text: "everywhere" });
  const vote = async (name: string) => {
    const { conn } = await puppet.dial(`${name}:1`, { session, epoch });
    puppet.ask(conn, "store", store);
    const reply = puppet.ask(conn, "vote", voteOf([store]));
    await stage.run();
    return { conn, evidence: reply.answer!.evidence };
  };
  const finish = async (evidence: Body<"finish">["evidence"], more: Partial<Body<"finish">> = {}) => {
    const reply = puppet.ask(master, "finish", finishOf([store], evidence, more));
    await stage.run();
    return reply;
  };
  return { stage, puppet, vote, finish };
}

test("A10: a primary says what is missing and for which table, aborts nothing, and takes the next finish", async () => {
  const { stage, puppet, vote, finish } = await puppetScene();
  const first = await vote("s1");
  const early = await finish([first.evidence]);
  assert.equal(early.error?.code, "missing");
  assert.deepEqual(early.error?.code === "missing" && early.error.detail, {
    version: 1,
    cells: [{ partition: 0, node: 3 }],
  });
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  assert.ok(!hasHeard(stage.storage("s1"), "told abort"));
  const second = await vote("s2");
  const late = await finish([first.evidence, second.evidence]);
  const { tid } = late.answer!;
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  for (const { conn } of [first, second]) {
    const load = puppet.ask(conn, "load", { oid: oidAt(4), at: tid, version: 1 });
    await stage.run();
    assert.equal(textOf(load.answer?.revision.data), "everywhere");
  }
});

test("A10: a client that can't vote at what is missing names it failed, and the rest commits", async () => {
  const { stage, vote, finish } = await puppetScene();
  stage.wires.hold("s2", "s1"); // what is outdated stays so
  const { evidence } = await vote("s1");
  assert.equal((await finish([evidence])).error?.code, "missing");
  const stale = await finish([evidence], { failed: [{ node: 3 as never, session: 9 }] });
  assert.equal(stale.error?.code, "missing", "of another session of that node");
  const { session } = bodiesOf(stage.storage("s2"), "fence")[0]!;
  const late = await finish([evidence], { failed: [{ node: 3 as never, session }] });
  assert.ok(late.answer);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
});
