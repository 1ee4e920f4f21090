/** What every `Transport` promises about ends. */
import assert from "node:assert/strict";
import type { Conn } from "../../core/ids.ts";
import { SOCKET_BYTES_MAX, WRITE_TIMEOUT_MS } from "../../core/limits.ts";
import { bytesOf, type Case } from "./transport_kit.ts";
import { assertBytes, patternOf } from "./transport_probe.ts";

/** The cases. */
export const ending: readonly Case[] = [
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
