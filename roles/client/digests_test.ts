/** What a client makes of copies that come and go while it compares them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN } from "../../core/limits.ts";
import type { WireError } from "../../core/messages.ts";
import { asNode, asPartition, asTid, tableOf } from "../../tests/machines.ts";
import { Hand } from "../../tests/reading_hand.ts";

const notReadable: WireError = { code: "notReadable", message: "Cannot read partition 1" };
const found = { count: 3, digest: new Uint8Array(32) };
const request = { partition: asPartition(1), upTo: asTid(50) };

/** A comparison that has asked both copies, of which the second isn't readable any more. */
function refused(withinMs?: number) {
  const hand = new Hand();
  const call = hand.call("digests", request, withinMs);
  const [one, other] = [hand.next(), hand.next()];
  assert.deepEqual([one.node, other.node], [2, 3]);
  hand.fails(other.ask, notReadable);
  return { hand, call, one };
}

/** The primary tells that s2's copy isn't readable. */
function outdates(hand: Hand): void {
  const table = tableOf();
  const cells = [{ partition: asPartition(1), node: asNode(3), state: "outOfDate", since: 2 }];
  table.apply(2, cells as never);
  const body = { generation: 1, base: 1, version: 2, cells, digest: table.digest(sha256), epoch: 1 };
  hand.takes(hand.bench.told(hand.primary, "tableChange", body as never));
}

test("DigestCalls compares anew by the table that a storage was ahead with (N8)", () => {
  const { hand, call, one } = refused();
  hand.answers(one.ask, { count: 9, digest: new Uint8Array(32) });
  assert.ok(!hand.ends.has(call), "one of two says nothing");
  outdates(hand);
  const again = hand.next();
  assert.deepEqual([again.node, hand.asks], [2, []], "only the copy that is left");
  assert.deepEqual(again.ask.message, { name: "digest", body: { ...request, version: 2 } });
  hand.answers(again.ask, found);
  assert.deepEqual(hand.ends.get(call), [{ node: "s1", ...found }]);
});

test("DigestCalls asks once more without news, and takes no answer to an earlier question", () => {
  const { hand, call, one } = refused();
  hand.passes(RETRY_DELAY_MS_MAX);
  const again = [hand.next(), hand.next()];
  hand.answers(one.ask, { count: 9, digest: new Uint8Array(32) });
  for (const { ask } of again) hand.answers(ask, found);
  assert.deepEqual(hand.ends.get(call), ["s1", "s2"].map((node) => ({ node, ...found })));
  assert.equal(hand.bench.machine.due(), undefined, "nothing is left to wait for");
});

test("DigestCalls gives a comparison up when its time is over", () => {
  const { hand, call } = refused(RETRY_DELAY_MS_MAX / 2);
  hand.passes(RETRY_DELAY_MS_MAX / 2);
  assert.equal(hand.ends.get(call), "timedOut");
  assert.equal(hand.bench.machine.due(), undefined);
});

test("DigestCalls asks all again when one of them knew of a pack that another didn't know of yet (J2)", () => {
  const hand = new Hand();
  const call = hand.call("digests", request);
  const [one, other] = [hand.next(), hand.next()];
  hand.answers(one.ask, { ...found, packBound: asTid(9) });
  hand.answers(other.ask, { count: 4, digest: new Uint8Array(32), packBound: asTid(0) });
  assert.deepEqual([hand.ends.has(call), hand.asks], [false, []], "they say different things");
  hand.passes(RETRY_DELAY_MS_MIN);
  for (const { ask } of [hand.next(), hand.next()]) hand.answers(ask, { ...found, packBound: asTid(9) });
  assert.deepEqual(hand.ends.get(call), ["s1", "s2"].map((node) => ({ node, ...found })));
});
