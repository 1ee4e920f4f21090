import assert from "node:assert/strict";
import { test } from "node:test";
import { toOid } from "../../core/ids.ts";
import { HEDGE_MS_MIN, READS_IN_FLIGHT_MAX } from "../../core/limits.ts";
import type { WireError } from "../../core/messages.ts";
import { asTid, follow, tableOf, welcomeOf } from "../../tests/machines.ts";
import { Hand, revisionOf } from "../../tests/reading_hand.ts";
import type { LoadedRevision } from "./calls.ts";

const slow: WireError = { code: "timedOut", message: "Cannot wait longer for the answer to load" };

function loaded(hand: Hand, call: number): readonly [string, bigint, bigint | null] {
  const { data, tid, next } = hand.ends.get(call) as LoadedRevision;
  return [new TextDecoder().decode(data!), tid, next];
}

/** Loads object `oid` at 100 from a storage that says that it is "one", of tid 40. */
function loadOne(hand: Hand, oid = 2): void {
  hand.call("load", { oid: toOid(oid), at: asTid(100) });
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
}

test("Reads answers from the cache without a message what it has read before (T43)", () => {
  const hand = new Hand();
  loadOne(hand);
  const again = hand.call("load", { oid: toOid(2), at: asTid(90) });
  const many = hand.call("loadMany", { oids: [toOid(2), toOid(2)], at: asTid(100) });
  assert.deepEqual(hand.asks, []);
  assert.deepEqual(loaded(hand, again), ["one", 40n, null]);
  assert.equal((hand.ends.get(many) as unknown[]).length, 2);
});

test("Reads asks for what the cache lacks of a loadMany, and for nothing else (T43)", () => {
  const hand = new Hand({ replicas: 1 });
  loadOne(hand, 2);
  hand.call("loadMany", { oids: [2, 6, 10].map((oid) => toOid(oid)), at: asTid(100) });
  assert.deepEqual(hand.next().ask.message.body, { oids: [6n, 10n], at: 100n, version: 1 });
});

test("Reads gives each program data of its own, that of the cache to nobody (T43)", () => {
  const hand = new Hand();
  const first = hand.call("load", { oid: toOid(2), at: asTid(100) });
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  (hand.ends.get(first) as LoadedRevision).data![0] = 0;
  const second = hand.call("load", { oid: toOid(2), at: asTid(100) });
  (hand.ends.get(second) as LoadedRevision).data![0] = 0;
  assert.equal(loaded(hand, hand.call("load", { oid: toOid(2), at: asTid(100) }))[0], "one");
});

test("Reads keeps several revisions, and answers an exact one as well (T47)", () => {
  const hand = new Hand();
  hand.call("load", { oid: toOid(2), at: asTid(30) });
  hand.answers(hand.next().ask, { revision: revisionOf("old", 20, { next: asTid(40) }) });
  loadOne(hand);
  assert.deepEqual(loaded(hand, hand.call("load", { oid: toOid(2), at: asTid(39) })), ["old", 20n, 40n]);
  assert.deepEqual(loaded(hand, hand.call("loadExact", { oid: toOid(2), tid: asTid(20) })), [
    "old",
    20n,
    40n,
  ]);
  assert.deepEqual(loaded(hand, hand.call("loadExact", { oid: toOid(2), tid: asTid(40) })), [
    "one",
    40n,
    null,
  ]);
  assert.deepEqual(hand.asks, []);
});

test("Reads ends what it has at a publication: the newer snapshot asks, the older one doesn't (T43)", () => {
  const hand = new Hand();
  loadOne(hand);
  hand.publishes(110, [2]);
  assert.deepEqual(loaded(hand, hand.call("load", { oid: toOid(2), at: asTid(100) })), ["one", 40n, 110n]);
  hand.call("load", { oid: toOid(2), at: asTid(110) });
  assert.equal(hand.asks.length, 1);
});

test("Reads gives an answer the end that was published while it was on its way (T43)", () => {
  const hand = new Hand();
  const call = hand.call("load", { oid: toOid(2), at: asTid(100) });
  hand.publishes(110, [2]);
  hand.publishes(120, [2]);
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.deepEqual(loaded(hand, call), ["one", 40n, 110n]);
  hand.call("load", { oid: toOid(2), at: asTid(115) });
  assert.equal(hand.asks.length, 1, "the cache doesn't take it for current");
});

test("Reads forgets what was current when a new session begins later, and keeps what has an end (T43)", () => {
  const hand = new Hand();
  loadOne(hand);
  hand.call("load", { oid: toOid(2), at: asTid(30) });
  hand.answers(hand.next().ask, { revision: revisionOf("old", 20, { next: asTid(40) }) });
  hand.takes(hand.bench.lost(hand.primary, { target: "primary" }));
  follow(hand.bench, welcomeOf({ table: tableOf(), lastTid: asTid(200), session: 2 }));
  assert.deepEqual(loaded(hand, hand.call("load", { oid: toOid(2), at: asTid(30) })), ["old", 20n, 40n]);
  hand.call("load", { oid: toOid(2), at: asTid(100) });
  assert.equal(hand.asks.length, 1);
});

test("Reads forgets everything when the database was truncated meanwhile (T43)", () => {
  const hand = new Hand();
  hand.call("load", { oid: toOid(2), at: asTid(30) });
  hand.answers(hand.next().ask, { revision: revisionOf("old", 20, { next: asTid(40) }) });
  hand.takes(hand.bench.lost(hand.primary, { target: "primary" }));
  follow(hand.bench, welcomeOf({ table: tableOf(), lastTid: asTid(100), session: 2, truncations: 1 }));
  hand.call("load", { oid: toOid(2), at: asTid(30) });
  assert.equal(hand.asks.length, 1);
});

test("ClientMachine.peek gives what the cache has, within what is published only (T43)", () => {
  const hand = new Hand();
  const { machine } = hand.bench;
  assert.equal(machine.peek(toOid(2), asTid(100)), undefined);
  loadOne(hand);
  const found = machine.peek(toOid(2), asTid(100))!;
  assert.deepEqual([found.tid, found.next], [40n, null]);
  found.data![0] = 0;
  assert.equal(new TextDecoder().decode(machine.peek(toOid(2), asTid(100))!.data!), "one");
  assert.equal(machine.peek(toOid(2), asTid(101)), undefined);
});

test("Reads asks once for an object that several want at the same snapshot, and each gets its own", () => {
  const hand = new Hand({}, {}, { cacheBytes: 0 });
  const calls = [1, 2, 3].map(() => hand.call("load", { oid: toOid(2), at: asTid(100) }));
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.deepEqual(hand.asks, []);
  (hand.ends.get(calls[0]!) as LoadedRevision).data![0] = 0;
  assert.deepEqual(calls.slice(1).map((call) => loaded(hand, call)[0]), ["one", "one"]);
});

test("Reads looks once more for those that wait when the load they wait for fails or shows another snapshot", () => {
  const hand = new Hand();
  const first = hand.call("load", { oid: toOid(2), at: asTid(100) }, 5);
  const second = hand.call("load", { oid: toOid(2), at: asTid(30) });
  hand.passes(5);
  assert.equal(hand.ends.get(first), "timedOut");
  const asked = hand.asks.splice(0).map(({ ask }) => ask);
  assert.deepEqual(asked.map(({ message }) => "at" in message.body && message.body.at), [100n, 30n]);
  hand.answers(asked[1]!, { revision: revisionOf("old", 20, { next: asTid(40) }) });
  assert.deepEqual(loaded(hand, second), ["old", 20n, 40n]);
});

test("Reads prefers the copy with the least under way among those that are connected (T42)", () => {
  const hand = new Hand({ replicas: 1 }, {}, { cacheBytes: 0 });
  for (const oid of [2, 6]) hand.call("load", { oid: toOid(oid), at: asTid(100) });
  const [first, second] = hand.asks.map(({ node }) => node);
  assert.equal(first, second, "one is connected, the other isn't");
  hand.fails(hand.next().ask, slow); // so the other one is tried
  hand.asks.length = 0;
  hand.passes(60_000);
  hand.ends.clear();
  const nodes = [1, 2, 3, 4].map((number) => {
    hand.call("load", { oid: toOid(2 + 4 * number), at: asTid(100) });
    return hand.asks.at(-1)!.node;
  });
  assert.deepEqual(new Set(nodes).size, 2, "both are connected now");
});

test("Reads comes back to a storage some time after it failed (T42, T49)", () => {
  const hand = new Hand({ replicas: 1 }, {}, { cacheBytes: 0 });
  hand.call("load", { oid: toOid(2), at: asTid(100) });
  const failed = hand.next();
  hand.fails(failed.ask, slow);
  const other = hand.next();
  assert.notEqual(other.node, failed.node);
  hand.answers(other.ask, { revision: revisionOf("one", 40) });
  hand.call("load", { oid: toOid(2), at: asTid(100) });
  assert.equal(hand.next().node, other.node, "not so soon");
  hand.passes(10_001);
  hand.call("load", { oid: toOid(6), at: asTid(100) });
  assert.equal(hand.next().node, failed.node, "it has nothing under way, and the other one has");
});

test("Reads keeps what is too much for one storage to itself, and sends it as answers come", () => {
  const hand = new Hand({ replicas: 0 }, {}, { cacheBytes: 0 });
  const calls = Array.from(
    { length: READS_IN_FLIGHT_MAX + 2 },
    (_, i) => hand.call("load", { oid: toOid(4 * i), at: asTid(100) }),
  );
  assert.equal(hand.asks.length, READS_IN_FLIGHT_MAX);
  while (hand.asks.length > 0) hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.deepEqual(calls.map((call) => loaded(hand, call)[0]), calls.map(() => "one"));
});

test("Reads has as many under way at a storage as it is configured (T51)", () => {
  const hand = new Hand({ replicas: 0 }, {}, { cacheBytes: 0 });
  const configure = (value: string | null): void =>
    hand.takes(
      hand.bench.told(hand.primary, "config", {
        revision: 1,
        isWhole: false,
        values: [{ key: "client.readsInFlight", value }],
      }),
    );
  configure("2");
  for (let i = 0; i < 6; i++) hand.call("load", { oid: toOid(4 * i), at: asTid(100) });
  assert.equal(hand.asks.length, 2);
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.equal(hand.asks.length, 2, "another takes its place");
  configure(null);
  hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.equal(hand.asks.length, 4, "all others");
});

test("Reads asks a second copy when the first takes longer than usual, and takes the first answer", () => {
  const hand = new Hand({ replicas: 1 }, {}, { cacheBytes: 0, hedges: true });
  const call = hand.call("load", { oid: toOid(2), at: asTid(100) });
  const first = hand.next();
  hand.passes(HEDGE_MS_MIN);
  const second = hand.next();
  assert.notEqual(second.node, first.node);
  hand.passes(50);
  assert.deepEqual(hand.asks, [], "once");
  hand.fails(second.ask, slow);
  assert.equal(hand.ends.has(call), false, "the first may still answer");
  hand.answers(first.ask, { revision: revisionOf("one", 40) });
  assert.deepEqual(loaded(hand, call), ["one", 40n, null]);
});

test("Reads that nobody wants any more don't stand in the way of those that wait behind them", () => {
  const hand = new Hand({ replicas: 0 }, {}, { cacheBytes: 0 });
  const load = (i: number): number => hand.call("load", { oid: toOid(4 * i), at: asTid(100) });
  for (let i = 0; i < READS_IN_FLIGHT_MAX; i++) load(i);
  const given = Array.from({ length: 2 * READS_IN_FLIGHT_MAX }, (_, i) => load(1_000 + i));
  const last = load(5_000);
  for (const call of given) hand.takes(hand.bench.give({ type: "cancel", call }));
  while (hand.asks.length > 0) hand.answers(hand.next().ask, { revision: revisionOf("one", 40) });
  assert.equal(loaded(hand, last)[0], "one");
});
