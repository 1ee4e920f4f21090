/** T9: notices by multicast come in the order of their connections, whatever the network does to datagrams. */
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ZERO_TID } from "../core/ids.ts";
import { LISTENING_MS, NOTICE_GRACE_MS, NOTICES_KEPT_MAX, NOTICES_MISSED_MAX } from "../core/limits.ts";
import { ANSWERED, MulticastWorld } from "./multicast_world.ts";

type Step =
  | { readonly does: "say"; readonly to: number }
  | {
    readonly does: "bring" | "lose" | "land" | "double" | "forge";
    readonly who: number;
    readonly which: number;
  }
  | { readonly does: "pass"; readonly ms: number };

const who = fc.nat(3);
const which = fc.nat(7);
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ does: fc.constant("say" as const), to: fc.integer({ min: 1, max: 15 }) }),
  },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("bring" as const), who, which }) },
  {
    weight: 8,
    arbitrary: fc.record({
      does: fc.constantFrom("lose" as const, "land", "land", "double", "forge"),
      who,
      which,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 30 }) }),
  },
);

function run(world: MulticastWorld, step: Step): void {
  if (step.does === "pass") return world.passes(step.ms);
  if (step.does === "say") return world.say(world.listeners.filter((_, index) => step.to & (1 << index)));
  const listener = world.listeners[step.who]!;
  const { flying } = listener.air;
  const index = flying.length > 0 ? step.which % flying.length : 0;
  if (step.does === "bring") world.brings(listener);
  else if (step.does === "lose") flying.splice(index, 1);
  else if (step.does === "forge") {
    const bytes = flying[index]?.slice();
    if (bytes === undefined) return;
    bytes[step.which * 7 % bytes.length]! ^= 1; // its stream, number, text or code
    world.hears(listener, { type: "datagram", bytes });
  } else world.lands(listener, index, step.does === "double");
}

test("T9 notices come whole, once and in their connection's order, under loss, doubles, shuffling and forgery", () => {
  let datagrams = 0;
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 120 }), fc.nat(2), (steps, deaf) => {
      const world = new MulticastWorld(4, deaf);
      for (const step of steps) {
        run(world, step);
        for (const [index, { told }] of world.listeners.entries()) {
          assert.deepEqual(
            told,
            world.expected[index]!.slice(0, told.length),
            "nothing comes before its turn",
          );
        }
      }
      for (const { air } of world.listeners) air.flying.length = 0; // what still flies is lost
      for (let round = 0; round < 4; round++) {
        world.settle();
        world.passes(NOTICE_GRACE_MS);
      }
      world.settle();
      assert.deepEqual(world.listeners.map(({ told }) => told), world.expected);
      assert.deepEqual(world.listeners.flatMap(({ lost }) => lost), []);
      datagrams += world.air.sent;
    }),
    { numRuns: 300 },
  );
  assert.ok(datagrams > 300, `only ${datagrams} datagrams were sent: nothing is shown`);
});

test("T9 a notice to many is one datagram, and the place of it is all that its connections carry", () => {
  const world = new MulticastWorld(3, 0);
  const before = world.air.sent;

  world.say(world.listeners);

  assert.equal(world.air.sent, before + 1);
  for (const { far } of world.listeners) {
    assert.deepEqual(world.transport.takePackets(far), [
      { kind: "tell", message: { name: "notice", body: { number: 1 } } },
    ]);
  }
});

test("T9 what is said to one, is too long, or goes to fewer than two who hear, stays on the connection", () => {
  const world = new MulticastWorld(3, 2);
  const before = world.air.sent;
  world.say(world.listeners);
  world.say([world.listeners[2]!]);
  const image = new Uint8Array(2_000);
  const all = new MulticastWorld(2, 0);
  const message = { name: "table", body: { image, epoch: 1 } } as const;
  const sent = all.air.sent;
  all.peers.perform({ do: "tell", conns: all.listeners.map(({ far }) => far), message }, all.nowMs);

  assert.equal(world.air.sent, before);
  assert.equal(all.air.sent, sent);
});

test("T9 what comes behind a lost notice waits until it was asked for", () => {
  const world = new MulticastWorld(2, 0);
  const [one] = world.listeners;
  world.say(world.listeners);
  one!.air.flying.length = 0;
  world.say([one!]);
  world.brings(one!);
  assert.deepEqual(one!.told, []);

  world.passes(NOTICE_GRACE_MS);
  world.settle();

  assert.deepEqual(one!.told, [1, 2]);
});

test("T9 an answer isn't heard before the notices that were said before it (C4)", () => {
  const world = new MulticastWorld(2, 0);
  const [one] = world.listeners;
  const message = { name: "sync", body: {} } as const;
  one!.peers.perform({ do: "ask", conn: one!.near, message, context: "", withinMs: 1_000 }, world.nowMs);
  one!.peers.send(world.nowMs);
  world.brings(one!);
  world.say(world.listeners);
  one!.air.flying.length = 0;
  const body = { lastTid: ZERO_TID, wallMs: 0 };
  world.peers.perform({ do: "answer", conn: one!.far, id: 1, message: { name: "sync", body } }, world.nowMs);
  world.peers.send(world.nowMs);
  world.brings(one!);
  assert.deepEqual(one!.told, []);

  world.passes(NOTICE_GRACE_MS);
  world.settle();

  assert.deepEqual(one!.told, [1, ANSWERED]);
});

test("T9 a notice that isn't kept any more costs the connection of who missed it", () => {
  const world = new MulticastWorld(2, 0);
  const [one, other] = world.listeners;
  for (let count = 0; count <= NOTICES_KEPT_MAX; count++) {
    world.say(world.listeners);
    one!.air.flying.length = 0;
    world.lands(other!, 0);
    world.brings(other!);
  }
  world.brings(one!);
  world.passes(NOTICE_GRACE_MS);
  world.brings(one!);

  assert.deepEqual(world.transport.calls, [`destroy ${one!.far}`]);
  assert.deepEqual(one!.told, []);
  assert.equal(other!.told.length, NOTICES_KEPT_MAX + 1);
});

test("T9 who hears no datagrams any more is told on its connection, and by multicast again once they come through", () => {
  const world = new MulticastWorld(2, 0);
  const lose = (): void => world.listeners.forEach(({ air }) => air.flying.length = 0);
  for (let count = 0; count < NOTICES_MISSED_MAX; count++) {
    world.say(world.listeners);
    lose();
    for (const listener of world.listeners) world.brings(listener);
    world.passes(NOTICE_GRACE_MS);
    for (const listener of world.listeners) for (; world.brings(listener); lose());
  }
  const sent = world.air.sent;
  world.say(world.listeners);
  assert.equal(world.air.sent, sent, "it was told on the connections");

  world.passes(LISTENING_MS);
  world.settle();
  const tried = world.air.sent;
  world.say(world.listeners);

  assert.equal(world.air.sent, tried + 1);
  world.settle();
  assert.deepEqual(world.listeners.map(({ told }) => told), world.expected);
});
