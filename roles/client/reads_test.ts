import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256, zlibCompression } from "../../adapters/system.ts";
import { toOid, toTtid } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { LOAD_MANY_MAX, PAGE_TRANSACTIONS, RETRY_DELAY_MS_MIN } from "../../core/limits.ts";
import type { Answer, TransactionInfo, WireError } from "../../core/messages.ts";
import { asNode, asPartition, asTid, helloAs, LOST, tableOf, welcomeOf } from "../../tests/machines.ts";
import { Hand, revisionOf } from "../../tests/reading_hand.ts";
import type { Ask } from "../../tests/reading_hand.ts";
import type { Calls, LoadedRevision } from "./calls.ts";

const textOf = (found: unknown): string => new TextDecoder().decode((found as LoadedRevision).data!);
const timedOut: WireError = { code: "timedOut", message: "Cannot wait longer for the answer to load" };

test("Reads.load asks one readable copy with the snapshot and the table version, and gives what it says", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  const { ask } = hand.next();
  assert.deepEqual(ask.message, { name: "load", body: { oid: 2n, at: 50n, version: 1 } });
  assert.deepEqual(hand.asks, []);

  hand.answers(ask, { revision: revisionOf("hello", 40, { next: asTid(60), link: asTid(9) }) });

  const found = hand.ends.get(call) as LoadedRevision;
  assert.deepEqual([textOf(found), found.tid, found.next, found.link], ["hello", 40n, 60n, 9n]);
  assert.equal(hand.bench.machine.due(), undefined, "nothing is left to wait for (T10)");
});

test("Reads takes a revision's end beyond the client's last tid for open: that transaction isn't published here", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(100) });
  hand.answers(hand.next().ask, { revision: revisionOf("hello", 40, { next: asTid(101) }) });
  assert.equal((hand.ends.get(call) as LoadedRevision).next, null);
});

const nothings: { code: "oidUnknown" | "noSuchRevision" }[] = [{ code: "oidUnknown" }, {
  code: "noSuchRevision",
}];
for (const { code } of nothings) {
  test(`Reads.load gives undefined for ${code}, and asks nobody else`, () => {
    const hand = new Hand();
    const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
    hand.fails(hand.next().ask, { code, message: "Cannot load object 2" });
    assert.ok(hand.ends.has(call));
    assert.equal(hand.ends.get(call), undefined);
    assert.deepEqual(hand.asks, []);
  });
}

test("Reads gives compressed data as it was before", () => {
  const hand = new Hand();
  const plain = new Uint8Array(5_000).fill(7);
  const data = zlibCompression.compress(1, plain);
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  hand.answers(hand.next().ask, {
    revision: revisionOf("", 40, { compression: 1, data, checksum: sha256(data) }),
  });
  assert.deepEqual((hand.ends.get(call) as LoadedRevision).data, plain);
});

const failures: { what: string; error: WireError }[] = [
  { what: "is lost", error: LOST },
  { what: "doesn't answer in time", error: timedOut },
  { what: "has a disk that fails", error: { code: "ioError", message: "Cannot read" } },
  {
    what: "isn't readable there any more",
    error: { code: "notReadable", message: "Cannot read partition 2" },
  },
];
for (const { what, error } of failures) {
  test(`Reads asks another copy when the first ${what}`, () => {
    const hand = new Hand();
    const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
    const first = hand.next();
    hand.fails(first.ask, error);

    const second = hand.next();
    assert.notEqual(second.node, first.node);
    hand.answers(second.ask, { revision: revisionOf("hello", 40) });

    assert.equal(textOf(hand.ends.get(call)), "hello");
  });
}

test("Reads asks another copy when the data doesn't fit its checksum", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  const first = hand.next();
  hand.answers(first.ask, {
    revision: { ...revisionOf("hello", 40), data: new TextEncoder().encode("hullo") },
  });
  assert.equal(hand.ends.has(call), false);

  const second = hand.next();
  assert.notEqual(second.node, first.node);
  hand.answers(second.ask, { revision: revisionOf("hello", 40) });

  assert.equal(textOf(hand.ends.get(call)), "hello");
});

test("Reads starts over with a pause that grows when every copy has failed, and gives up at its deadline (T10)", () => {
  const hand = new Hand({ storages: 1, replicas: 0 });
  const startMs = hand.bench.now.monoMs;
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) }, 5_000);
  const pauses: number[] = [];
  while (!hand.ends.has(call)) {
    hand.fails(hand.next().ask, timedOut);
    const pauseMs = hand.bench.machine.due()! - hand.bench.now.monoMs;
    pauses.push(pauseMs);
    hand.passes(pauseMs - 1);
    assert.equal(hand.asks.length, 0);
    hand.passes(1);
  }

  assert.equal(hand.ends.get(call), "timedOut");
  assert.equal(hand.bench.now.monoMs, startMs + 5_000);
  assert.equal(pauses[0], RETRY_DELAY_MS_MIN);
  assert.ok(pauses[3]! > pauses[0]!);
});

test("Reads asks storages that run and have a readable cell, and no others", () => {
  const hand = new Hand();
  hand.bench.told(hand.primary, "nodes", {
    nodes: [{ index: asNode(2), name: "s1", role: "storage", address: "s1:1", state: "pending", session: 5 }],
  });
  hand.call("load", { oid: toOid(2), at: asTid(50) });
  assert.equal(hand.next().node, 3);

  const next = tableOf();
  const cells = [{ partition: asPartition(1), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  const body = { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 1 };
  hand.bench.told(hand.primary, "tableChange", body);
  hand.call("load", { oid: toOid(1), at: asTid(50) });
  assert.deepEqual(hand.asks, [], "s1 doesn't run, s2 isn't readable there");

  hand.takes(hand.bench.told(hand.primary, "nodes", {
    nodes: [{ index: asNode(2), name: "s1", role: "storage", address: "s1:1", state: "running", session: 5 }],
  }));
  const { node, ask } = hand.next();
  assert.equal(node, 2, "at once when the news comes");
  assert.deepEqual(ask.message, { name: "load", body: { oid: 1n, at: 50n, version: 2 } });
});

for (const first of [1, 2]) {
  test(`Reads prefers the storage that is connected, here s${first}, then one that hasn't failed`, () => {
    const hand = new Hand();
    const other = 3 - first;
    const stateOf = (state: string) => {
      const node = { index: asNode(other + 1), name: `s${other}`, role: "storage", address: `s${other}:1` };
      hand.takes(hand.bench.told(hand.primary, "nodes", { nodes: [{ ...node, state, session: 5 }] }));
    };
    stateOf("pending");
    hand.call("load", { oid: toOid(1), at: asTid(50) });
    const asked = hand.next();
    stateOf("running");
    for (const oid of [2, 3, 4]) {
      hand.call("load", { oid: toOid(oid), at: asTid(50) });
      assert.equal(hand.next().node, asked.node);
    }

    hand.fails(asked.ask, timedOut);

    assert.equal(hand.next().node, other + 1);
    hand.call("load", { oid: toOid(5), at: asTid(50) });
    assert.equal(hand.next().node, other + 1, "the one that failed comes behind");
  });
}

test("Reads.loadMany sends one message a storage and gives the objects in the order of its oids", () => {
  const hand = new Hand({ replicas: 0 });
  const oids = [5, 2, 9, 4].map(toOid);
  const call = hand.call("loadMany", { oids, at: asTid(50) });
  const asked = [hand.next(), hand.next()];
  assert.deepEqual(hand.asks, []);
  for (const { ask } of asked) {
    assert.ok(ask.message.name === "loadMany");
    const objects = ask.message.body.oids.map((oid) => ({
      oid,
      known: oid !== 9n,
      revision: oid === 9n ? null : revisionOf(`object ${oid}`, 40),
    }));
    hand.answers(ask, { objects });
  }

  const found = hand.ends.get(call) as (LoadedRevision | undefined)[];

  assert.deepEqual(found.map((one) => one && textOf(one)), ["object 5", "object 2", undefined, "object 4"]);
});

test("Reads.loadMany goes on at the same storage with what a cut answer left out", () => {
  const hand = new Hand({ storages: 1, replicas: 0 });
  const oids = Array.from({ length: LOAD_MANY_MAX + 500 }, (_, at) => toOid(at));
  const call = hand.call("loadMany", { oids, at: asTid(50) });
  const sizes: number[] = [];
  while (!hand.ends.has(call)) {
    const { ask } = hand.next();
    assert.ok(ask.message.name === "loadMany");
    const asked: readonly Oid[] = ask.message.body.oids;
    sizes.push(asked.length);
    const objects = asked.slice(0, 700).map((oid) => ({
      oid,
      known: true,
      revision: revisionOf(String(oid), 40),
    }));
    hand.answers(ask, { objects });
  }
  const found = hand.ends.get(call) as LoadedRevision[];

  assert.deepEqual(found.map((one) => Number(textOf(one))), oids.map(Number));
  assert.deepEqual(sizes.toSorted((a, b) => b - a), [1_000, 500, 300]);
});

test("Reads.loadMany of nothing is done at once", () => {
  const hand = new Hand();
  const call = hand.call("loadMany", { oids: [], at: asTid(50) });
  assert.deepEqual(hand.ends.get(call), []);
});

const info = (tid: number): TransactionInfo => ({
  tid: asTid(tid),
  ttid: toTtid(1),
  status: " ",
  user: new Uint8Array(),
  description: new Uint8Array(),
  extension: new Uint8Array(),
  oids: [],
});

/** What a storage that has these tids answers: a page, and up to where it is everything. */
function pageOf(ask: Ask, tids: readonly number[]): Answer<"transactions"> {
  assert.ok(ask.message.name === "transactions");
  const { partitions, after, upTo } = ask.message.body;
  const count = Math.min(ask.message.body.count, PAGE_TRANSACTIONS);
  const all = tids.filter((tid) =>
    partitions.includes(asPartition(tid % 4)) && tid > Number(after) && tid <= Number(upTo)
  );
  const page = all.slice(0, count);
  return { transactions: page.map(info), upTo: page.length < count ? upTo : asTid(page.at(-1)!) };
}

/** The result of a call, in numbers. */
function resultOf(hand: Hand, call: number): { tids: number[]; upTo: number } {
  const { transactions, upTo } = hand.ends.get(call) as Calls["transactions"]["result"];
  return { tids: transactions.map(({ tid }) => Number(tid)), upTo: Number(upTo) };
}

const upToTid = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);
const range = { after: asTid(0), upTo: asTid(90) as Tid };

test("Reads.transactions asks each partition once, one message a storage, and gives them in tid order", () => {
  const hand = new Hand({ replicas: 0 });
  const call = hand.call("transactions", { ...range, count: 50 });
  const asked = [hand.next(), hand.next()];
  for (const { ask } of asked.reverse()) hand.answers(ask, pageOf(ask, upToTid(90)));
  assert.deepEqual(resultOf(hand, call), { tids: upToTid(50), upTo: 50 });
});

test("Reads.transactions that has seen everything says so", () => {
  const hand = new Hand({ replicas: 0 });
  const call = hand.call("transactions", { ...range, count: 50 });
  for (const { ask } of [hand.next(), hand.next()]) hand.answers(ask, pageOf(ask, upToTid(20)));
  assert.deepEqual(resultOf(hand, call), { tids: upToTid(20), upTo: 90 });
});

test("Reads.transactions names none twice when it starts over while an answer is on its way", () => {
  const hand = new Hand({ replicas: 0 });
  const call = hand.call("transactions", { ...range, count: 50 });
  const [first, second] = [hand.next(), hand.next()];
  hand.fails(first.ask, timedOut);
  hand.passes(hand.bench.machine.due()! - hand.bench.now.monoMs);
  const again = hand.asks.splice(0);
  assert.deepEqual(again.map(({ node }) => node).sort(), [first.node, second.node].sort());

  hand.answers(second.ask, pageOf(second.ask, upToTid(20)));
  for (const { ask } of again.sort((a, b) => b.node - a.node)) hand.answers(ask, pageOf(ask, upToTid(20)));

  assert.deepEqual(resultOf(hand, call), { tids: upToTid(20), upTo: 90 });
});

test("Reads.transactions gives nothing behind what some storage hasn't told yet", () => {
  const hand = new Hand({ replicas: 0 });
  const call = hand.call("transactions", { after: asTid(0), upTo: asTid(5_000), count: 1_000 });
  // one storage has all the transactions of the beginning, and its page ends there
  const tids = upToTid(900).filter((tid) => tid % 2 === 0 || tid > 400);
  for (const { ask } of [hand.next(), hand.next()]) hand.answers(ask, pageOf(ask, tids));

  const found = resultOf(hand, call);

  assert.ok(found.upTo >= 200 && found.upTo < 400, `up to ${found.upTo}`);
  assert.deepEqual(found.tids, tids.filter((tid) => tid <= found.upTo), "no gap");
});

test("Reads ends a read with the error of a storage that no other storage would answer better", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  hand.fails(hand.next().ask, { code: "denied", message: "Cannot serve load" });
  assert.equal(hand.ends.get(call), "denied");
});

test("Reads goes on without a primary, from what is known", () => {
  const hand = new Hand();
  hand.takes(hand.bench.lost(hand.primary, { target: "primary" }));
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  hand.answers(hand.next().ask, { revision: revisionOf("hello", 40) });
  assert.equal(textOf(hand.ends.get(call)), "hello");
});

test("Reads of an ended session are asked again under the next one", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(50) });
  const { ask } = hand.next();
  hand.takes(hand.bench.lost(hand.primary, { target: "primary" }));
  const { conn } = hand.bench.reached("primary", helloAs("master"));
  hand.takes(hand.bench.told(conn, "welcome", welcomeOf({ epoch: 2, session: 9, lastTid: asTid(100) })));
  hand.fails(ask, { code: "sessionEnded", message: "Cannot serve", detail: { session: 1 } });

  while (!hand.ends.has(call)) {
    if (hand.asks.length === 0) hand.passes(hand.bench.machine.due()! - hand.bench.now.monoMs);
    else hand.answers(hand.next().ask, { revision: revisionOf("hello", 40) });
  }

  assert.equal(textOf(hand.ends.get(call)), "hello");
});
