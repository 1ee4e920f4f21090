import assert from "node:assert/strict";
import { test } from "node:test";
import { EARLY_BYTES_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX, PATIENCE_MS } from "../core/limits.ts";
import type { Hello, WireError } from "../core/messages.ts";
import { bytesOfPackets, helloBytes } from "../tests/fakes.ts";
import { helloAs } from "../tests/machines.ts";
import { client, Hand, news, pong, question, types } from "../tests/peers_hand.ts";

const beforeHello: { what: string; bytes: Uint8Array }[] = [
  { what: "a request", bytes: bytesOfPackets(question(1)) },
  { what: "a notification", bytes: bytesOfPackets(news) },
  { what: "an answer", bytes: bytesOfPackets(pong(1)) },
  {
    what: "a heartbeat",
    bytes: bytesOfPackets({ kind: "ask", id: 1, withinMs: 1, message: { name: "ping", body: {} } }),
  },
  { what: "text of another protocol", bytes: new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n") },
  { what: "a frame that is larger than a hello may be", bytes: Uint8Array.of(0, 0, HELLO_BYTES_MAX >> 8, 1) },
  { what: "an empty frame", bytes: Uint8Array.of(0, 0, 0, 0) },
];
for (const { what, bytes } of beforeHello) {
  test(`Peers answers ${what} before the hello with malformed, tells its machine nothing, and closes (T16)`, () => {
    const hand = new Hand();
    const conn = hand.accepts();

    assert.deepEqual(hand.hears(conn, bytes), []);

    assert.deepEqual(hand.said(conn), ["error 0 malformed"]);
    assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
    assert.deepEqual(hand.hears(conn, bytesOfPackets({ kind: "hello", hello: client }, question(1))), []);
  });
}

const refused: { what: string; hello: Hello; code: string; names: RegExp }[] = [
  {
    what: "of another cluster",
    hello: { ...client, cluster: "bank" },
    code: "wrongCluster",
    names: /"test".*"bank"/,
  },
  {
    what: "of another version",
    hello: { ...client, versionMin: 8, versionMax: 9 },
    code: "wrongVersion",
    names: /1 to 1.*8 to 9/,
  },
  {
    what: "of a role that isn't served",
    hello: helloAs("admin"),
    code: "wrongRole",
    names: /storage.*client.*admin/,
  },
];
for (const { what, hello, code, names } of refused) {
  test(`Peers tells a peer ${what} both sides' values as ${code}, then closes (T16)`, () => {
    const hand = new Hand();
    const conn = hand.accepts();

    const events = hand.hears(conn, bytesOfPackets({ kind: "hello", hello }, question(1)));

    assert.deepEqual(events, [], "its machine hears nothing");
    const [packet] = hand.transport.takePackets(conn);
    assert.ok(packet?.kind === "error" && packet.id === 0);
    assert.equal(packet.error.code, code);
    assert.match(packet.error.message, names);
    assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
  });
}

test("Peers tells its machine of a peer once it has said who it is, and answers with its own hello (T16)", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  const bytes = helloBytes(client);

  assert.deepEqual(hand.hears(conn, bytes.subarray(0, 9)), []);
  const events = hand.hears(conn, bytes.subarray(9));

  assert.deepEqual(events, [{ type: "identified", conn, hello: client, incoming: true }]);
  assert.deepEqual(hand.said(conn), ["hello"]);
});

test("Peers keeps what an early peer says until it is accepted, then delivers it in order (T11)", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  hand.hears(conn, helloBytes(client));
  assert.deepEqual(hand.packets(conn, question(1), news), []);
  assert.deepEqual(hand.packets(conn, question(2)), []);

  const events = hand.does({ do: "accept", conn });

  assert.deepEqual(types(events), ["asked", "told", "asked"]);
  assert.deepEqual(types(hand.packets(conn, question(3))), ["asked"]);
});

const patiences = [
  { says: 3_000, waits: 3_000 },
  { says: 10 * PATIENCE_MS, waits: PATIENCE_MS },
];
for (const { says, waits } of patiences) {
  test(`Peers lets a peer that would wait ${says} ms wait for ${waits} ms, then it is told why (T11, T37)`, () => {
    const hand = new Hand();
    const conn = hand.accepts();
    hand.hears(conn, helloBytes({ ...client, patienceMs: says }));
    hand.said(conn);

    assert.deepEqual(hand.passes(waits - 1), []);
    assert.deepEqual(hand.passes(1), [{ type: "impatient", conn }]);

    const error: WireError = { code: "timedOut", message: "Cannot serve yet: waiting for the primary" };
    assert.deepEqual(types(hand.does({ do: "reject", conn, error })), ["lost"]);
    const packets = hand.transport.takePackets(conn);
    assert.deepEqual(packets, [{ kind: "error", id: 0, error }]);
    assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
  });
}

test("Peers answers the heartbeats of a peer that waits, so that it isn't taken for dead (T11)", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  hand.hears(conn, helloBytes(client));
  hand.said(conn);

  const events = hand.packets(conn, { kind: "ask", id: 5, withinMs: 1, message: { name: "ping", body: {} } });

  assert.deepEqual(events, []);
  assert.deepEqual(hand.said(conn), ["answer 5 ping"]);
});

test("Peers stops reading from a peer that says much before it is accepted, and goes on then (T11)", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  hand.hears(conn, helloBytes(client));
  const image = new Uint8Array(FRAME_BYTES_MAX - 100);
  const bytes = bytesOfPackets({ kind: "tell", message: { name: "table", body: { image, epoch: 0 } } });
  const fitting = Math.floor(EARLY_BYTES_MAX / (bytes.length - 4));
  for (let i = 0; i < fitting; i++) assert.deepEqual(hand.hears(conn, bytes), []);
  assert.deepEqual(hand.transport.calls, []);

  hand.hears(conn, bytes);
  assert.deepEqual(hand.transport.calls, [`pause ${conn}`]);
  const events = hand.does({ do: "accept", conn });

  assert.deepEqual(hand.transport.calls, [`pause ${conn}`, `resume ${conn}`]);
  assert.equal(events.length, fitting + 1, "nothing of it is lost");
});
