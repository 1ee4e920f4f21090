import assert from "node:assert/strict";
import { test } from "node:test";
import type { Packet } from "../core/codec.ts";
import type { Conn } from "../core/ids.ts";
import { toOid, ZERO_TID } from "../core/ids.ts";
import {
  CONNECT_TIMEOUT_MS,
  EARLY_BYTES_MAX,
  FRAME_BYTES_MAX,
  HELLO_BYTES_MAX,
  HELLO_TIMEOUT_MS,
  KEEPALIVE_MISSED_MAX,
  KEEPALIVE_MS,
  PATIENCE_MS,
  QUEUED_BYTES_MAX,
  REQUESTS_IN_FLIGHT_MAX,
  UNIDENTIFIED_MAX,
  WRITE_TIMEOUT_MS,
} from "../core/limits.ts";
import { ask, tell } from "../core/machine.ts";
import type { PeerEvent } from "../core/machine.ts";
import type { Hello, WireError } from "../core/messages.ts";
import { bytesOfPackets, FakeTransport, helloBytes } from "../tests/fakes.ts";
import { helloAs, LOST } from "../tests/machines.ts";
import { Peers } from "./peer.ts";
import type { PeerEffect } from "./peer.ts";

const client = helloAs("client", { name: "web" });

/** The peers of a storage, on a transport in our hand. */
class Hand {
  readonly transport = new FakeTransport();
  readonly peers = new Peers<string>(this.transport, {
    hello: helloAs("storage", { name: "s1" }),
    serves: ["client", "storage"],
  });
  nowMs = 1_000;

  /** A connection comes in; nothing is said yet. */
  accepts(): Conn {
    const conn = this.transport.conn();
    assert.deepEqual(this.peers.receive({ type: "accepted", conn, remote: "elsewhere" }, this.nowMs), []);
    return conn;
  }

  hears(conn: Conn, bytes: Uint8Array): PeerEvent<string>[] {
    const events = this.peers.receive({ type: "bytes", conn, bytes }, this.nowMs);
    this.peers.send(this.nowMs);
    return events;
  }

  packets(conn: Conn, ...packets: readonly Packet[]): PeerEvent<string>[] {
    return this.hears(conn, bytesOfPackets(...packets));
  }

  does(effect: PeerEffect<string>): PeerEvent<string>[] {
    const events = this.peers.perform(effect, this.nowMs);
    this.peers.send(this.nowMs);
    return events;
  }

  passes(ms: number): PeerEvent<string>[] {
    this.nowMs += ms;
    const events = this.peers.tick(this.nowMs);
    this.peers.send(this.nowMs);
    return events;
  }

  /** A client that is identified and accepted. */
  open(hello: Hello = client): Conn {
    const conn = this.accepts();
    this.hears(conn, helloBytes(hello));
    this.does({ do: "accept", conn });
    this.transport.takeWrites(conn);
    return conn;
  }

  /** What the other end of a connection has read. */
  said(conn: Conn): string[] {
    return this.transport.takePackets(conn).map((packet) => {
      if (packet.kind === "error") return `error ${packet.id} ${packet.error.code}`;
      if (packet.kind === "tell") return `tell ${packet.message.name}`;
      if (packet.kind === "ask" || packet.kind === "answer") {
        return `${packet.kind} ${packet.id} ${packet.message.name}`;
      }
      return packet.kind;
    });
  }
}

const question = (id: number): Packet => ({
  kind: "ask",
  id,
  withinMs: 5_000,
  message: { name: "load", body: { oid: toOid(id), at: ZERO_TID, version: 1 } },
});
const news: Packet = { kind: "tell", message: { name: "phase", body: { phase: "running", epoch: 1 } } };
const pong = (id: number): Packet => ({ kind: "answer", id, message: { name: "ping", body: {} } });
const goodbye: WireError = { code: "stopping", message: "Cannot go on: the test ends" };
const types = (events: readonly PeerEvent<string>[]) => events.map(({ type }) => type);

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

test("Peers holds no more than a bounded amount for a peer that isn't accepted", () => {
  const hand = new Hand();
  const conn = hand.accepts();
  hand.hears(conn, helloBytes(client));
  hand.said(conn);
  const image = new Uint8Array(FRAME_BYTES_MAX - 100);
  const bytes = bytesOfPackets({ kind: "tell", message: { name: "table", body: { image, epoch: 0 } } });
  const fitting = Math.floor(EARLY_BYTES_MAX / (bytes.length - 4));
  for (let i = 0; i < fitting; i++) assert.deepEqual(hand.hears(conn, bytes), []);

  assert.deepEqual(types(hand.hears(conn, bytes)), ["lost"]);

  assert.deepEqual(hand.said(conn), ["error 0 tooLarge"]);
});

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

  assert.deepEqual(hand.transport.calls, [`destroy ${conn}`]);
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
  while (events.length === 0) {
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
