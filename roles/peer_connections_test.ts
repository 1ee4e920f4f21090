import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packet } from "../core/codec.ts";
import { toOid, ZERO_TID } from "../core/ids.ts";
import type { Conn } from "../core/ids.ts";
import {
  CONNECT_TIMEOUT_MS,
  FRAME_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  QUEUED_BYTES_MAX,
  REQUESTS_IN_FLIGHT_MAX,
  UNIDENTIFIED_MAX,
  WRITE_TIMEOUT_MS,
} from "../core/limits.ts";
import { ask, tell } from "../core/machine.ts";
import type { PeerEvent } from "../core/machine.ts";
import { bytesOfPackets, helloBytes } from "../tests/fakes.ts";
import { helloAs, LOST } from "../tests/machines.ts";
import { client, goodbye, Hand, news, pong, question, types } from "../tests/peers_hand.ts";

test("Peers takes a bounded number of requests at once from one peer", () => {
  const hand = new Hand();
  const conn = hand.open();
  const sync = (id: number): Packet => ({
    kind: "ask",
    id,
    withinMs: 1,
    message: { name: "sync", body: {} },
  });
  for (let id = 1; id <= REQUESTS_IN_FLIGHT_MAX; id++) {
    assert.deepEqual(types(hand.packets(conn, sync(id))), ["asked"]);
  }

  const events = hand.packets(conn, sync(REQUESTS_IN_FLIGHT_MAX + 1));

  assert.deepEqual(types(events), ["lost"]);
  assert.deepEqual(hand.said(conn), ["error 0 tooLarge"]);
});

test("Peers keeps a bounded number of connections that haven't said who they are", () => {
  const hand = new Hand();
  const conns = Array.from({ length: UNIDENTIFIED_MAX }, () => hand.accepts());
  const over = hand.accepts();
  assert.deepEqual(hand.transport.calls, [`destroy ${over}`]);

  hand.hears(conns[0]!, helloBytes(client));
  hand.peers.receive({ type: "closed", conn: conns[1]!, reason: "gone" }, hand.nowMs);
  const [first, second, third] = [hand.accepts(), hand.accepts(), hand.accepts()];

  const destroyed = [first, second, third].filter((conn) => hand.transport.calls.includes(`destroy ${conn}`));
  assert.deepEqual(destroyed, [third], "identified and gone ones make room, one each");
});

test("Peers ends a connection that never says who it is, without a word to its machine", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  assert.deepEqual(hand.passes(HELLO_TIMEOUT_MS - 1), []);
  assert.deepEqual(hand.transport.calls, []);

  assert.deepEqual(hand.passes(1), []);

  assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
  const [told] = hand.transport.takePackets(conn);
  assert.equal(told?.kind === "error" && told.error.code, "timedOut", "its peer hears why");
});

test("Peers sends its hello when a connection is made, and nothing before (T45)", () => {
  const hand = new Hand();
  const hello = helloAs("storage", { name: "s1", epoch: 7 });
  hand.does({ do: "connect", address: "m1:1", target: "primary", hello });
  const conn = 1 as Conn;
  hand.does(ask(conn, "askTable", {}, { context: "early", withinMs: 9_000 }));
  assert.deepEqual(hand.transport.takeWrites(conn), []);

  hand.peers.receive({ type: "connected", conn }, hand.nowMs);
  hand.peers.send(hand.nowMs);

  const packets = hand.transport.takePackets(conn);
  assert.deepEqual(packets[0], { kind: "hello", hello });
  assert.deepEqual(packets.map(({ kind }) => kind), ["hello", "ask"], "then what waited for it");
});

test("Peers tells who wanted a connection when it is made, refused, or can't be made", () => {
  const hand = new Hand();
  const connect = (): Conn => {
    hand.does({ do: "connect", address: "m1:1", target: "primary", hello: helloAs("storage") });
    return Number(hand.transport.calls.at(-1)!.split(" ").at(-1)) as Conn;
  };
  const [made, refused, failed, silent, mute] = [connect(), connect(), connect(), connect(), connect()];
  for (const conn of [made, refused, mute]) hand.peers.receive({ type: "connected", conn }, hand.nowMs);
  const master = helloAs("master", { name: "m1" });

  assert.deepEqual(hand.hears(made, helloBytes(master)), [
    { type: "identified", conn: made, hello: master, incoming: false, target: "primary" },
  ]);
  assert.deepEqual(hand.packets(refused, { kind: "error", id: 0, error: goodbye }), [
    { type: "lost", conn: refused, error: goodbye, target: "primary" },
  ]);
  const [lost] = hand.peers.receive({ type: "closed", conn: failed, reason: "refused" }, hand.nowMs);
  assert.ok(lost?.type === "lost" && lost.target === "primary");
  const late = hand.passes(CONNECT_TIMEOUT_MS + HELLO_TIMEOUT_MS);
  const ends = late.filter((event) => event.type === "lost");
  assert.deepEqual(ends.map(({ conn }) => conn).sort(), [silent, mute]);
  assert.ok(ends.every(({ error, target }) => error.code === "timedOut" && target === "primary"));
});

test("Peers asks a silent peer whether it is there, and loses it after three heartbeats", () => {
  const hand = new Hand();
  const conn = hand.open();
  const startMs = hand.nowMs;
  const beats: string[] = [];
  let events: PeerEvent<string>[] = [];
  for (let looks = 0; looks < 10 && events.length === 0; looks++) {
    const due = hand.peers.due()!;
    assert.equal((due - startMs) % KEEPALIVE_MS, 0, "it wakes for heartbeats only");
    events = hand.passes(due - hand.nowMs);
    beats.push(...hand.said(conn));
  }

  assert.deepEqual(beats, ["ask 1 ping", "ask 2 ping", "ask 3 ping"]);
  assert.equal(hand.nowMs, startMs + (KEEPALIVE_MISSED_MAX + 1) * KEEPALIVE_MS);
  assert.ok(events[0]?.type === "lost" && events[0].error.code === "lost");
  assert.deepEqual(hand.transport.calls, [`destroy ${conn}`]);
});

test("Peers takes other times for the connections that are there, at once, and loses none by that alone (T51)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.passes(KEEPALIVE_MS - 1);
  assert.deepEqual(hand.said(conn), []);
  const times = { keepaliveMs: 100, primaryKeepaliveMs: 50, writeTimeoutMs: 1_000 };
  assert.deepEqual(hand.does({ do: "retime", times }), []);
  assert.deepEqual(hand.passes(0), [], "it was silent for longer than it may be now, and is asked first");
  assert.deepEqual(hand.said(conn), ["ask 1 ping"]);
  assert.equal(hand.peers.due(), hand.nowMs + 100);
  assert.deepEqual(hand.packets(conn, pong(1)), []);
  const startMs = hand.nowMs;
  let events: PeerEvent<string>[] = [];
  while (events.length === 0) events = hand.passes(hand.peers.due()! - hand.nowMs);
  assert.ok(events[0]?.type === "lost");
  assert.equal(hand.nowMs, startMs + (KEEPALIVE_MISSED_MAX + 1) * 100);

  const [silent, stuck] = [hand.open(), hand.open()];
  hand.does({ do: "retime", times: { ...times, keepaliveMs: 9_000 } });
  hand.transport.full.add(stuck);
  hand.does(tell(stuck, "phase", { phase: "running", epoch: 1 }));
  const dropped = hand.passes(1_000);
  assert.deepEqual(dropped.map((event) => event.type === "lost" && event.conn), [stuck]);
  assert.deepEqual(hand.said(silent), [], "it may be silent for longer now");
});

test("Peers keeps a peer that answers heartbeats, and asks none of one that speaks", () => {
  const hand = new Hand();
  const [answers, speaks] = [hand.open(), hand.open()];
  for (let id = 1; id <= 10; id++) {
    hand.packets(speaks, question(id));
    assert.deepEqual(hand.passes(KEEPALIVE_MS - 1), []);
    hand.packets(speaks, news);
    assert.deepEqual(hand.passes(1), []);
    assert.deepEqual(hand.said(speaks), []);
    assert.deepEqual(hand.said(answers), [`ask ${id} ping`]);
    assert.deepEqual(hand.packets(answers, pong(id)), [], "its machine hears nothing of it");
  }
});

test("Peers sends what waits when the network takes it, without any input of a peer (T23)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.transport.full.add(conn);
  for (const context of ["a", "b", "c"]) {
    hand.does(ask(conn, "askTable", {}, { context, withinMs: 90_000 }));
  }
  assert.deepEqual(hand.said(conn), ["ask 1 askTable"], "the socket took one and said enough");

  hand.transport.full.delete(conn);
  assert.deepEqual(hand.peers.receive({ type: "drained", conn }, hand.nowMs), []);
  hand.peers.send(hand.nowMs);

  assert.deepEqual(hand.said(conn), ["ask 2 askTable", "ask 3 askTable"]);
});

test("Peers lets a heartbeat and a commit overtake the bulk that waits for a socket", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.packets(conn, question(7));
  hand.transport.full.add(conn);
  const data = new Uint8Array(3 * FRAME_BYTES_MAX);
  const revision = {
    tid: ZERO_TID,
    next: null,
    compression: 0,
    checksum: data.subarray(0, 32),
    data,
    link: null,
  };
  hand.does({ do: "answer", conn, id: 7, message: { name: "load", body: { revision } } });
  hand.does(tell(conn, "phase", { phase: "running", epoch: 1 }));
  hand.packets(conn, { kind: "ask", id: 9, withinMs: 1, message: { name: "ping", body: {} } });
  hand.transport.full.delete(conn);
  hand.peers.receive({ type: "drained", conn }, hand.nowMs);
  hand.peers.send(hand.nowMs);

  assert.deepEqual(hand.said(conn), ["answer 9 ping", "tell phase", "answer 7 load"]);
});

test("Peers drops a peer that reads nothing, though it goes on speaking (T23)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.transport.full.add(conn);
  hand.does(tell(conn, "phase", { phase: "running", epoch: 1 }));
  for (let waited = 0; waited + 1_000 < WRITE_TIMEOUT_MS; waited += 1_000) {
    assert.deepEqual(hand.passes(1_000), []);
    hand.packets(conn, news);
  }

  const events = hand.passes(1_000);

  assert.deepEqual(types(events), ["lost"]);
  assert.ok(events[0]?.type === "lost" && /reads nothing for 15000 ms/.test(events[0].error.message));
  assert.deepEqual(hand.transport.calls, [`destroy ${conn}`]);
});

test("Peers doesn't wait for ever for a connection that it closes (T23)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.transport.full.add(conn);
  hand.does({ do: "reject", conn, error: goodbye });
  hand.passes(WRITE_TIMEOUT_MS);
  assert.deepEqual(hand.transport.calls, [`destroy ${conn}`]);
});

test("Peers drops a peer for which too much waits", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.transport.full.add(conn);
  const image = new Uint8Array(FRAME_BYTES_MAX - 1_000);
  const copies = Math.ceil(QUEUED_BYTES_MAX / image.length) + 1;

  const events = hand.does(tell(Array<Conn>(copies).fill(conn), "table", { image, epoch: 1 }));

  assert.deepEqual(types(events), ["lost"]);
  assert.deepEqual(hand.transport.calls, [`destroy ${conn}`]);
});

test("Peers encodes a notification once for all its receivers", () => {
  const hand = new Hand();
  const conns = [hand.open(), hand.open(), hand.open()];

  hand.does(tell(conns, "phase", { phase: "running", epoch: 1 }));

  const writes = conns.map((conn) => hand.transport.takeWrites(conn));
  assert.deepEqual(writes.map(({ length }) => length), [1, 1, 1]);
  assert.equal(new Set(writes.map(([bytes]) => bytes)).size, 1);
});

test("Peers makes one write of all that a round says to a peer in one lane", () => {
  const hand = new Hand();
  const conn = hand.open();
  for (let i = 0; i < 5; i++) {
    hand.peers.perform(tell(conn, "phase", { phase: "running", epoch: i }), hand.nowMs);
  }
  assert.deepEqual(hand.transport.takeWrites(conn), []);

  hand.peers.send(hand.nowMs);

  const writes = hand.transport.takeWrites(conn);
  assert.equal(writes.length, 1);
});

test("Peers carries a large value in chunks, as one answer to one request (T19)", () => {
  const hand = new Hand();
  const conn = hand.open();
  const data = new Uint8Array(5 * FRAME_BYTES_MAX).map((_, at) => at % 253);
  const revision = {
    tid: ZERO_TID,
    next: null,
    compression: 0,
    checksum: new Uint8Array(32),
    data,
    link: null,
  };
  const store: Packet = {
    kind: "answer",
    id: 1,
    message: { name: "load", body: { revision } },
  };
  hand.does(
    ask(conn, "load", { oid: toOid(1n), at: ZERO_TID, version: 1 }, { context: "big", withinMs: 9_000 }),
  );
  const bytes = bytesOfPackets(store);
  const events: PeerEvent<string>[] = [];
  for (let at = 0; at < bytes.length; at += 100_000) {
    events.push(...hand.hears(conn, bytes.subarray(at, at + 100_000)));
  }

  assert.deepEqual(types(events), ["answered"]);
  const [event] = events;
  assert.ok(event?.type === "answered" && event.context === "big" && event.message.name === "load");
  assert.deepEqual(event.message.body.revision.data, data);

  hand.packets(conn, question(4));
  hand.said(conn);
  hand.does({ do: "answer", conn, id: 4, message: { name: "load", body: { revision } } });
  const writes = hand.transport.takeWrites(conn);
  assert.ok(writes.every((write) => write.length < FRAME_BYTES_MAX), "no write is as long as the value");
});

test("Peers says why it rejects, behind what was said before, and hears nothing more (T21)", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.peers.perform(tell(conn, "phase", { phase: "stopping", epoch: 1 }), hand.nowMs);
  hand.peers.perform({ do: "reject", conn, error: goodbye }, hand.nowMs);
  hand.peers.send(hand.nowMs);

  assert.deepEqual(hand.said(conn), ["tell phase", "error 0 stopping"]);
  assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
  assert.deepEqual(hand.packets(conn, question(1), news), []);
});

test("Peers closes without a reason, but with all that was said before", () => {
  const hand = new Hand();
  const conn = hand.open();
  hand.peers.perform(tell(conn, "phase", { phase: "stopping", epoch: 1 }), hand.nowMs);

  const events = hand.does({ do: "close", conn, error: LOST });

  assert.deepEqual(types(events), ["lost"]);
  assert.deepEqual(hand.said(conn), ["tell phase"]);
  assert.deepEqual(hand.transport.calls, [`close ${conn}`]);
});

test("Peers that are idle want to be woken for heartbeats only, and not at all without a connection (T10)", () => {
  const hand = new Hand();
  assert.equal(hand.peers.due(), undefined);

  const conn = hand.open();
  assert.equal(hand.peers.due(), hand.nowMs + KEEPALIVE_MS);

  hand.peers.receive({ type: "closed", conn, reason: "gone" }, hand.nowMs);
  assert.equal(hand.peers.due(), undefined);
});
