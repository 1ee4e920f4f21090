import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packet } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import { ask } from "../core/machine.ts";
import { client, goodbye, Hand, news, pong, question, types } from "../tests/peers_hand.ts";

test("Peers gives each answer to the asker of its request, in whatever order they come (T12)", () => {
  const hand = new Hand();
  const conn = hand.open();
  for (const context of ["first", "second"]) {
    hand.does(ask(conn, "askTable", {}, { context, withinMs: 9_000 }));
  }
  assert.deepEqual(hand.said(conn), ["ask 1 askTable", "ask 2 askTable"]);
  const answer = (id: number): Packet => ({
    kind: "answer",
    id,
    message: { name: "askTable", body: { image: Uint8Array.of(id) } },
  });

  const events = hand.packets(conn, answer(2), news, { kind: "error", id: 1, error: goodbye });

  assert.deepEqual(events, [
    {
      type: "answered",
      conn,
      context: "second",
      message: { name: "askTable", body: { image: Uint8Array.of(2) } },
    },
    { type: "told", conn, message: { name: "phase", body: { phase: "running", epoch: 1 } } },
    { type: "failed", conn, context: "first", name: "askTable", error: goodbye },
  ]);
});

test("Peers gives a request and a notification to the machine, never to an asker (T12)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.does(ask(conn, "askTable", {}, { context: "mine", withinMs: 9_000 }));

  const events = hand.packets(conn, question(1), news); // the request's id is that of ours

  assert.deepEqual(types(events), ["asked", "told"]);
});

test("Peers ends a question once: at its deadline, and a later answer is nobody's (T12)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.does(ask(conn, "askTable", {}, { context: "mine", withinMs: 700 }));
  assert.deepEqual(hand.passes(699), []);

  const [event] = hand.passes(1);

  assert.ok(event?.type === "failed" && event.context === "mine");
  assert.equal(event.error.code, "timedOut");
  const late: Packet = {
    kind: "answer",
    id: 1,
    message: { name: "askTable", body: { image: Uint8Array.of() } },
  };
  assert.deepEqual(hand.packets(conn, late), []);
  assert.deepEqual(hand.transport.calls, [], "the connection stays");
});

test("Peers refuses the answer to one question under the id of another (T12)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.does(ask(conn, "askTable", {}, { context: "mine", withinMs: 9_000 }));

  const events = hand.packets(conn, pong(1));

  assert.deepEqual(types(events), ["failed", "lost"]);
  assert.deepEqual(hand.said(conn).at(-1), "error 0 malformed");
});

test("Peers fails every open question before it says that the connection is lost, and says it last", () => {
  const hand = new Hand();
  const conn = hand.open();
  for (const context of ["a", "b"]) hand.does(ask(conn, "askTable", {}, { context, withinMs: 9_000 }));

  const events = hand.peers.receive({ type: "closed", conn, reason: "reset" }, hand.nowMs);

  assert.deepEqual(types(events), ["failed", "failed", "lost"]);
  const last = events.at(-1);
  assert.ok(last?.type === "lost" && /reset/.test(last.error.message));
  assert.equal(hand.peers.size, 0);
  assert.equal(hand.peers.due(), undefined);
});

test("Peers fails a question to a connection that is gone at once", () => {
  const hand = new Hand();
  const events = hand.does(ask(99 as Conn, "askTable", {}, { context: "mine", withinMs: 9_000 }));
  assert.ok(events[0]?.type === "failed" && events[0].error.code === "lost");
});

test("Peers sends one answer to a request, and none to what nobody asked", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.packets(conn, question(7));
  const refusal = { do: "refuse", conn, id: 7, error: goodbye } as const;

  for (const id of [7, 7, 8]) hand.does({ ...refusal, id });

  assert.deepEqual(hand.said(conn), ["error 7 stopping"]);
});

const misuses: { what: string; packets: readonly Packet[]; code: string }[] = [
  { what: "uses a request id twice", packets: [question(1), question(1)], code: "malformed" },
  { what: "asks under id 0", packets: [question(0)], code: "malformed" },
  { what: "says hello again", packets: [{ kind: "hello", hello: client }], code: "malformed" },
];
for (const { what, packets, code } of misuses) {
  test(`Peers ends the connection of a peer that ${what}, and no other`, () => {
    const hand = new Hand();
    const [conn, other] = [hand.open(), hand.open()];

    assert.equal(hand.packets(conn, ...packets).at(-1)?.type, "lost");

    assert.deepEqual(hand.said(conn), [`error 0 ${code}`]);
    assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
    assert.deepEqual(types(hand.packets(other, question(1))), ["asked"]);
  });
}
