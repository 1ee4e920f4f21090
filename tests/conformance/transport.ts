/** What every `Transport` promises. An adapter is done when its test file calls this and passes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Later } from "../../adapters/system.ts";
import { SOCKET_BYTES_MAX } from "../../core/limits.ts";
import { ending } from "./transport_endings.ts";
import { bytesOf, type Case, connected, type TransportNetwork, withNetwork } from "./transport_kit.ts";
import { assertBytes, FILL_BYTES, joined, patternOf } from "./transport_probe.ts";

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
    const fills: Uint8Array[] = [];
    let drained = -1;
    // what a transport says that it has too much of may still find room in the system's buffers
    while (drained < a.of("drained", aConn).length) {
      drained = a.of("drained", aConn).length;
      fills.push(a.fill(aConn));
      assert.equal(a.write(aConn, new Uint8Array()), false, "still too much");
      await settle();
    }
    const sent = joined(fills);
    assert.ok(sent.length > SOCKET_BYTES_MAX);
    assert.equal(b.received(bConn).length, 0);

    b.setReading(bConn, true);
    await a.until("drained", () => a.of("drained", aConn).length > drained);
    await b.until("everything", () => b.received(bConn).length >= sent.length);
    await settle();

    assertBytes(b.received(bConn), sent);
    assert.equal(a.of("drained", aConn).length, drained + 1);
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
    assert.equal(a.of("drained", other.aConn).length, 0);
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
