/** What every `Transport` promises. An adapter is done when its test file calls this and passes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Later } from "../../adapters/system.ts";
import type { Conn } from "../../core/ids.ts";
import { SOCKET_BYTES_MAX, WRITE_TIMEOUT_MS } from "../../core/limits.ts";
import type { Transport } from "../../core/ports.ts";
import { assertBytes, FILL_BYTES, ManualTimers, patternOf, Probe } from "./transport_probe.ts";

/** Where transports can reach one another. */
export interface TransportNetwork {
  transport(): Transport;
}

interface Fixture {
  readonly timers: ManualTimers;
  node(): Probe;
  /** A node that listens, one that is connected to it, and a way to let everything pass that is on its way. */
  pair(): Promise<Pair>;
}

interface Pair {
  readonly a: Probe;
  readonly b: Probe;
  readonly aConn: Conn;
  readonly bConn: Conn;
  readonly address: string;
  /** A whole exchange on a connection of its own: what was possible before has happened then. */
  settle(): Promise<void>;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

async function connected(a: Probe, b: Probe, address: string): Promise<{ aConn: Conn; bConn: Conn }> {
  const before = b.of("accepted").length;
  const aConn = a.connect(address);
  await a.one("connected", aConn);
  await b.until("accepted", () => b.of("accepted").length > before);
  return { aConn, bConn: b.of("accepted").at(-1)?.conn ?? assert.fail() };
}

async function pairOf(a: Probe, b: Probe): Promise<Pair> {
  const address = await b.listen();
  const fence = await connected(a, b, address);
  let turns = 0;
  const settle = async () => {
    turns++;
    for (let hop = 0; hop < 3; hop++) {
      a.write(fence.aConn, Uint8Array.of(turns));
      await b.until("the fence", () => b.received(fence.bConn).length === 3 * (turns - 1) + hop + 1);
      b.write(fence.bConn, Uint8Array.of(turns));
      await a.until("the fence", () => a.received(fence.aConn).length === 3 * (turns - 1) + hop + 1);
    }
  };
  return { a, b, address, ...await connected(a, b, address), settle };
}

/** Runs `body`, ends all nodes, and looks at what must hold whatever happened. */
async function withNetwork(
  make: (later: Later) => TransportNetwork,
  body: (fixture: Fixture) => Promise<void>,
) {
  const timers = new ManualTimers();
  const network = make(timers.later);
  const nodes: Probe[] = [];
  const node = () => {
    const probe = new Probe(network.transport());
    nodes.push(probe);
    return probe;
  };
  try {
    await body({ timers, node, pair: () => pairOf(node(), node()) });
  } finally {
    const ended = Promise.all(nodes.map((probe) => probe.shutdown()));
    timers.fire();
    await ended;
  }
  for (const probe of nodes) {
    assert.deepEqual(probe.violations.slice(0, 5), []);
    assert.deepEqual(probe.unclosed, [], "each connection is closed once");
  }
  assert.deepEqual(timers.waits, [], "no timer is left");
}

type Case = readonly [promise: string, body: (fixture: Fixture) => Promise<void>];

const opening: readonly Case[] = [
  ["listen() gives a real address for port 0, and more than one", async ({ node }) => {
    const b = node();
    const first = await b.listen();
    const second = await b.listen();
    assert.match(first, /:[1-9]\d*$/);
    assert.notEqual(first, second);
    for (const address of [first, second]) await connected(node(), b, address);
    assert.equal(b.of("accepted").length, 2);
    assert.ok(b.of("accepted").every(({ remote }) => remote.length > 0));
  }],
  ["listen() is refused where somebody listens, until that ends", async ({ node }) => {
    const b = node();
    const address = await b.listen();
    const c = node();
    await assert.rejects(c.listen(address), /Cannot listen on/);
    await b.shutdown();
    assert.equal(await c.listen(address), address);
    await connected(node(), c, address);
  }],
  ["connect() to nobody is closed once, with a reason", async ({ node }) => {
    const b = node();
    const address = await b.listen();
    await b.shutdown();
    const a = node();
    const conn = a.connect(address);
    await a.one("closed", conn);
    assert.deepEqual(a.events.map(({ type }) => type), ["closed"]);
    assert.ok((a.of("closed")[0]?.reason ?? "").length > 0);
  }],
  ["connect() to what is no address is closed, and doesn't throw", async ({ node }) => {
    const a = node();
    for (
      const address of ["", "nowhere", "127.0.0.1", "127.0.0.1:65536", "::1:80", "a b:1", "127.0.0.1:-1"]
    ) {
      await a.one("closed", a.connect(address));
    }
    assert.equal(a.of("closed").length, 7);
    assert.equal(a.of("connected").length, 0);
  }],
  ["write() before connected reaches the other side", async ({ node }) => {
    const [a, b] = [node(), node()];
    const conn = a.connect(await b.listen());
    a.write(conn, bytesOf("early"));
    const bConn = await b.one("accepted");
    await b.until("the text", () => b.text(bConn) === "early");
    await a.one("connected", conn);
  }],
  ["close() before connected flushes, and destroy() before connected just ends", async ({ node }) => {
    const [a, b] = [node(), node()];
    const address = await b.listen();
    const closing = a.connect(address);
    a.write(closing, bytesOf("last words"));
    a.close(closing);
    const bConn = await b.one("accepted");
    await b.one("closed", bConn);
    await a.one("closed", closing);
    assert.equal(b.text(bConn), "last words");

    const destroyed = a.connect(address);
    a.destroy(destroyed);
    await a.one("closed", destroyed);
    assert.deepEqual(a.of("connected"), []);
  }],
  ["the sink may call the transport, for the connection too that an event is about", async ({ node }) => {
    const [a, b] = [node(), node()];
    b.react = ({ type, conn }) => type === "accepted" && b.destroy(conn);
    a.react = ({ type, conn }) => type === "connected" && a.write(conn, bytesOf("hello"));
    const conn = a.connect(await b.listen());
    await a.one("closed", conn);
    await b.one("closed");
    assert.deepEqual(b.events.map(({ type }) => type), ["accepted", "closed"]);
  }],
];

const flowing: readonly Case[] = [
  ["bytes arrive whole and in order, both ways at once", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    const whole = patternOf(300_000);
    for (let at = 0, length = 1; at < whole.length; at += length, length = length * 3 % 7_919) {
      a.write(aConn, whole.slice(at, at + length));
      b.write(bConn, whole.slice(at, at + length));
    }
    await b.until("everything", () => b.received(bConn).length >= whole.length);
    await a.until("everything", () => a.received(aConn).length >= whole.length);
    assertBytes(b.received(bConn), whole);
    assertBytes(a.received(aConn), whole);
  }],
  ["bytes events are plain Uint8Arrays, whose slice() copies", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    a.write(aConn, bytesOf("plain"));
    await b.one("bytes", bConn);
    const bytes = b.of("bytes", bConn)[0]?.bytes;
    assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype);
  }],
  ["what is queued leaves as soon as it can, without anything coming in (T23)", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    let sent = 0;
    for (let turn = 1; turn <= 5; turn++) {
      sent += a.fill(aConn).length;
      await a.until("drained", () => a.of("drained", aConn).length === turn);
    }
    await b.until("everything", () => b.received(bConn).length === sent);
    assert.equal(a.of("bytes", aConn).length, 0);
  }],
  ["a reader that stops holds the writer back, which is told once when it may go on", async ({ pair }) => {
    const { a, b, aConn, bConn, settle } = await pair();
    b.setReading(bConn, false);
    const sent = a.fill(aConn);
    assert.ok(sent.length > SOCKET_BYTES_MAX);
    assert.equal(a.write(aConn, new Uint8Array()), false, "still too much");
    await settle();
    assert.equal(b.received(bConn).length, 0);
    assert.deepEqual(a.of("drained"), []);

    b.setReading(bConn, true);
    await a.one("drained", aConn);
    await b.until("everything", () => b.received(bConn).length >= sent.length);
    await settle();

    assertBytes(b.received(bConn), sent);
    assert.equal(a.of("drained", aConn).length, 1);
    assert.equal(a.write(aConn, bytesOf("more")), true);
  }],
  ["a writer that was always welcome is told nothing", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    b.setReading(bConn, false);
    const most = Math.ceil(a.fill(aConn).length / FILL_BYTES);
    const other = await connected(a, b, await b.listen());
    b.setReading(other.bConn, false);
    // Less than a window full by half of what may be queued.
    const sent = a.fill(other.aConn, most - Math.ceil(SOCKET_BYTES_MAX / 2 / FILL_BYTES));
    b.setReading(other.bConn, true);
    await b.until("everything", () => b.received(other.bConn).length === sent.length);
    assert.equal(a.of("drained", aConn).length, 0);
  }],
  ["setReading(false) counts at once, also within the sink", async ({ pair }) => {
    const { a, b, aConn, bConn, settle } = await pair();
    b.react = ({ type, conn }) => type === "bytes" && conn === bConn && b.setReading(bConn, false);
    const sent = patternOf(400_000);
    a.write(aConn, sent);
    await b.one("bytes", bConn);
    await settle();
    const seen = b.of("bytes", bConn).length;
    assert.equal(seen, 1);
    b.react = () => {};
    b.setReading(bConn, true);
    await b.until("the rest", () => b.received(bConn).length === sent.length);
    assertBytes(b.received(bConn), sent);
  }],
];

const ending: readonly Case[] = [
  ["close() flushes what is queued; both sides are closed once, after all bytes", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    const sent = patternOf(12_000_000);
    a.write(aConn, sent);
    a.close(aConn);
    await b.one("closed", bConn);
    await a.one("closed", aConn);
    assertBytes(b.received(bConn), sent);
    assert.equal(b.events.findLast(({ conn }) => conn === bConn)?.type, "closed");
  }],
  ["close() brings its last words to a peer that goes on sending, and reads late", async ({ pair }) => {
    const { a, b, aConn, bConn, settle } = await pair();
    a.setReading(aConn, false);
    b.setReading(bConn, false);
    b.fill(bConn);
    await settle();
    const words = patternOf(1_000_000);
    a.write(aConn, words);
    a.close(aConn);
    await settle();
    b.setReading(bConn, true);
    await b.one("closed", bConn);
    await a.one("closed", aConn);
    assertBytes(b.received(bConn), words);
    assert.equal(a.of("bytes", aConn).length, 0, "nobody wants what comes after close()");
  }],
  ["close() on both sides at once closes each once", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    a.write(aConn, bytesOf("bye"));
    b.write(bConn, bytesOf("bye"));
    a.close(aConn);
    b.close(bConn);
    await a.one("closed", aConn);
    await b.one("closed", bConn);
  }],
  ["close() on both sides with much on its way closes each once", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    for (const [node, conn] of [[a, aConn], [b, bConn]] as const) {
      node.setReading(conn, false);
      node.fill(conn);
    }
    a.close(aConn);
    b.close(bConn);
    await a.one("closed", aConn);
    await b.one("closed", bConn);
  }],
  ["close() gives up on a peer that doesn't read, after WRITE_TIMEOUT_MS", async ({ pair, timers }) => {
    const { a, b, aConn, bConn, settle } = await pair();
    b.setReading(bConn, false);
    const sent = a.fill(aConn);
    a.close(aConn);
    a.close(aConn);
    await settle();
    assert.deepEqual(a.of("closed"), []);
    assert.deepEqual(timers.waits, [WRITE_TIMEOUT_MS]);

    timers.fire();
    await a.one("closed", aConn);
    assert.deepEqual(b.of("closed"), []);
    b.setReading(bConn, true);
    await b.one("closed", bConn);

    const got = b.received(bConn);
    assertBytes(got, sent.subarray(0, got.length));
  }],
  ["destroy() ends both sides at once, with what is queued, and while close() waits", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    b.setReading(bConn, false);
    a.fill(aConn);
    a.close(aConn);
    a.destroy(aConn);
    await a.one("closed", aConn);
    b.setReading(bConn, true);
    await b.one("closed", bConn);
  }],
  ["after closed all calls do nothing", async ({ pair }) => {
    const { a, b, aConn, bConn, settle } = await pair();
    a.destroy(aConn);
    await b.one("closed", bConn);
    await a.one("closed", aConn);
    for (const [node, conn] of [[a, aConn], [b, bConn], [a, 1_000_000_000 as Conn]] as const) {
      assert.equal(node.write(conn, new Uint8Array(2 * SOCKET_BYTES_MAX)), true);
      node.setReading(conn, false);
      node.setReading(conn, true);
      node.close(conn);
      node.destroy(conn);
    }
    await settle();
  }],
  ["close() within the sink stops the bytes that come behind", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    b.react = ({ type, conn }) => type === "bytes" && conn === bConn && b.close(bConn);
    a.write(aConn, patternOf(1_000_000));
    await b.one("closed", bConn);
    await a.one("closed", aConn);
    assert.equal(b.of("bytes", bConn).length, 1);
  }],
  ["shutdown() ends everything, and nothing begins after it", async ({ pair }) => {
    const { a, b, aConn, bConn, address } = await pair();
    const over = b.shutdown();
    await Promise.all([over, b.shutdown()]);
    assert.equal(b.of("closed", bConn).length, 1);
    await a.one("closed", aConn);
    const seen = b.events.length;
    await a.one("closed", a.connect(address));
    await assert.rejects(b.listen(), /Cannot listen/);
    assert.equal(b.events.length, seen);
    await b.one("closed", b.connect(address));
  }],
  ["shutdown() lets what was closed before it flush", async ({ pair }) => {
    const { a, b, aConn, bConn } = await pair();
    const sent = patternOf(12_000_000);
    a.write(aConn, sent);
    a.close(aConn);
    await a.shutdown();
    await b.one("closed", bConn);
    assertBytes(b.received(bConn), sent);
  }],
  ["many connections that come and go leave nothing", async ({ node }) => {
    const [a, b] = [node(), node()];
    const address = await b.listen();
    b.react = ({ type, conn }) => type === "bytes" && b.close(conn);
    const conns = Array.from({ length: 50 }, () => a.connect(address));
    conns.forEach((conn, number) => {
      a.write(conn, bytesOf("x"));
      if (number % 5 === 0) a.destroy(conn);
    });
    await a.until("all closed", () => a.of("closed").length === conns.length);
    await b.until("all closed", () => b.of("closed").length === b.of("accepted").length);
  }],
];

/**
 * Declares the tests of a transport.
 *
 * @param make gives a network whose transports use `later` for their timers
 */
export function testTransport(name: string, make: (later: Later) => TransportNetwork): void {
  for (const [promise, body] of [...opening, ...flowing, ...ending]) {
    test(`${name}: ${promise}`, () => withNetwork(make, body));
  }
}
