/**
 * C4 for whole nodes: their sockets take nothing for a while, so that much waits at the sender, in bulk and else. What arrives later is in
 * the order in which it was decided: nobody holds a lock that was given up, and nobody reads what the table took away.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_BYTES_MAX, STORE_WINDOW_BYTES } from "../../core/limits.ts";
import type { Client } from "../../roles/client/library.ts";
import type { Snapshot } from "../../roles/client/transaction.ts";
import { bodiesOf } from "./actors.ts";
import type { Actor } from "./actors.ts";
import { Stage } from "./kit.ts";
import { puppetClient, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

/** Several such objects fit into a window, and none into what a socket takes beside another. */
const LARGE_BYTES = STORE_WINDOW_BYTES / 8;

/** What one node has said to another since `from`, by the events of the other. */
function heardSince(actor: Actor<unknown>, from: number): string[] {
  return actor.heard.slice(from).map(({ what }) => what).filter((what) =>
    /^(asked|told|answered) /.test(what)
  );
}

/** Bytes that no compression makes smaller. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0, word = 1; at < length; at++) {
    word = (Math.imul(word, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = word >>> 16;
  }
  return bytes;
}

async function commitText(stage: Stage, client: Client, oid: number, text: string): Promise<bigint> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oidAt(oid)));
  tx.store(oidAt(oid), bytesOf(text));
  return await stage.finish(tx.commit());
}

/** Loads of absent objects that are asked one after the other: the first one fills the socket, the others wait behind it. */
async function loadsInTurn(
  stage: Stage,
  snapshot: Snapshot,
  oids: readonly number[],
): Promise<Promise<unknown>[]> {
  const loads: Promise<unknown>[] = [];
  for (const oid of oids) {
    loads.push(snapshot.load(oidAt(oid)));
    await stage.run();
  }
  return loads;
}

test("C4: a commit that is given up behind a full socket leaves no lock: its abort comes last", async () => {
  const stage = await new Stage({ storages: 1, replicas: 0 }).open();
  const [client, other] = [await stage.warm("c1"), await stage.warm("c2")];
  const snapshot = await stage.finish(client.snapshot());
  const s1 = stage.storage("s1");
  const { length: from } = s1.heard;
  stage.wires.jam("c1", "s1");
  const loads = await loadsInTurn(stage, snapshot, [1, 2]);
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), noise(LARGE_BYTES));
  const commit = tx.commit({ withinMs: 1_000 });
  commit.catch(() => undefined);
  await stage.pass(1_000);
  await assert.rejects(commit);
  assert.deepEqual(
    heardSince(s1, from),
    ["asked load", "told abort"],
    "only what its primary was told is there",
  );
  for (let writes = 0; writes < 30; writes++) {
    stage.wires.drain("c1", "s1");
    await stage.run();
  }
  assert.deepEqual(heardSince(s1, from), [
    "asked load",
    "told abort", // by the primary, which knows of the stores before they come
    "asked store",
    "asked store",
    "asked vote",
    "told abort",
    "asked load",
  ]);
  assert.equal(s1.machine.load.transactions, 0);
  assert.deepEqual(await stage.finish(Promise.all(loads)), [undefined, undefined]);
  assert.ok(await commitText(stage, other, 4, "free") > 0n);
});

test("C4: a vote behind a full socket finds all its stores, and the reads before it come later", async () => {
  const stage = await new Stage({ storages: 1, replicas: 0 }).open();
  const client = await stage.warm("c1");
  const snapshot = await stage.finish(client.snapshot());
  const s1 = stage.storage("s1");
  const { length: from } = s1.heard;
  stage.wires.jam("c1", "s1");
  const loads = await loadsInTurn(stage, snapshot, [1, 2, 3]);
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5, 6]) tx.store(oidAt(oid), noise(oid === 5 ? LARGE_BYTES : 10));
  const commit = tx.commit();
  await stage.run();
  stage.wires.unjam("c1", "s1");
  assert.ok(await stage.finish(commit) > 0n);
  await stage.finish(Promise.all(loads));
  const read = heardSince(s1, from).filter((what) => /load|store|vote/.test(what));
  assert.deepEqual(read, [
    "asked load",
    "asked store",
    "asked store",
    "asked store",
    "asked vote",
    "asked load",
    "asked load",
  ]);
  assert.equal(bodiesOf(s1, "vote").length, 2, "it never lacked a store");
});

test("C4: a commit that is given up before its connection is there sends nothing behind its abort", async () => {
  const stage = await new Stage({ storages: 1, replicas: 0 }).open();
  const [client, other] = [await stage.connect("c1"), await stage.warm("c2")];
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("given up"));
  stage.wires.hold("s1", "c1"); // c1 dials, and isn't answered yet
  const commit = tx.commit({ withinMs: 1_000 });
  commit.catch(() => undefined);
  await stage.pass(1_000);
  await assert.rejects(commit);
  stage.wires.free("s1", "c1");
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 0, "nobody would end it");
  assert.ok(await commitText(stage, other, 4, "free") > 0n);
});

test("C4: a client behind a full socket hears of the table before what was committed without a lost copy", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const [writer, reader] = [await stage.warm("c1"), await stage.warm("c2")];
  const c2 = stage.actor("c2");
  const { length: from } = c2.heard;
  stage.wires.jam("m1", "c2");
  await commitText(stage, writer, 4, "old"); // its invalidation fills the socket
  stage.storage("s2").kill();
  await stage.run();
  const tid = await commitText(stage, writer, 4, "new");
  const begun = reader.snapshot();
  await stage.run();
  assert.deepEqual(heardSince(c2, from), ["told invalidate"]);
  stage.wires.unjam("m1", "c2");
  const snapshot = await stage.finish(begun);
  const heard = heardSince(c2, from);
  assert.deepEqual(heard.filter((what) => what !== "told nodes"), [
    "told invalidate",
    "told tableChange",
    "told invalidate",
    "answered sync",
  ]);
  assert.equal(snapshot.at, tid);
  assert.equal(textOf((await stage.finish(snapshot.load(oidAt(4))))?.data), "new");
});

test("C4: a storage behind a full socket hears of a lock before the end of its session and its unlock", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.warm("c1");
  await stage.warm("c2");
  const s2 = stage.storage("s2");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("accepted"));
  stage.wires.hold("c1", "m1");
  const commit = tx.commit();
  commit.catch(() => undefined);
  await stage.run();
  const { length: from } = s2.heard;
  stage.wires.jam("m1", "s2");
  await stage.connect("c3"); // its announcement fills the socket
  stage.wires.free("c1", "m1");
  await stage.run();
  stage.actor("c1").kill();
  await stage.run();
  assert.deepEqual(heardSince(s2, from), ["told sessionOpened"]);
  stage.wires.unjam("m1", "s2");
  await stage.run();
  assert.deepEqual(heardSince(s2, from), [
    "told sessionOpened",
    "asked lock",
    "told sessionEnded",
    "answered settle",
    "told unlock",
  ]);
  for (const name of stage.names) assert.equal(stage.storage(name).machine.load.transactions, 0);
});

test("C4: a large answer waits for a slow reader, what its commits need to know doesn't, and both keep their order", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  const [young, old] = [
    await puppetClient(stage, { name: "c1", session: 1 }),
    await puppetClient(stage, { name: "c2", session: 2 }),
  ];
  const large = storeOf({ ttid: ttidAt(1, 1), oid: 4, text: "x".repeat(3 * FRAME_BYTES_MAX) });
  const small = storeOf({ ttid: ttidAt(1, 1), oid: 5 });
  for (const store of [large, small]) young.puppet.ask(young.conn, "store", store);
  young.puppet.ask(young.conn, "vote", voteOf([large, small]));
  await stage.run();
  primary.lock(ttidAt(1, 1), tidAt(10));
  await stage.run();
  primary.unlock(ttidAt(1, 1), tidAt(10));
  await stage.run();
  const { length: from } = young.puppet.actor.heard;
  stage.wires.jam("s1", "c1");
  for (const oid of [4, 5]) {
    young.puppet.ask(young.conn, "load", { oid: oidAt(oid), at: tidAt(10), version: 1 });
  }
  await stage.run();
  const mine = storeOf({ ttid: ttidAt(1, 2), oid: 6, ageMs: 50 });
  young.puppet.ask(young.conn, "store", mine);
  young.puppet.ask(young.conn, "vote", voteOf([mine]));
  await stage.run();
  const theirs = old.puppet.ask(old.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 6, ageMs: 1 }));
  await stage.run();
  assert.deepEqual(heardSince(young.puppet.actor, from), [], "the first chunk is all that the socket took");
  stage.wires.drain("s1", "c1");
  await stage.run();
  assert.deepEqual(heardSince(young.puppet.actor, from), [
    "answered store",
    "answered vote",
    "told deadlock",
  ]);
  young.puppet.tell(young.conn, "relock", { ttid: ttidAt(1, 2), oid: oidAt(6) });
  await stage.run();
  assert.ok(theirs.answer, "the older one goes on, while the large answer still waits");
  stage.wires.unjam("s1", "c1");
  await stage.run();
  assert.deepEqual(heardSince(young.puppet.actor, from).slice(3), ["answered load", "answered load"]);
});
