import assert from "node:assert/strict";
import { test } from "node:test";
import { TcpTransport } from "../adapters/tcp.ts";
import type { Conn } from "../core/ids.ts";
import { assertBytes, ManualTimers, patternOf, Probe } from "./conformance/transport_probe.ts";
import { TcpProxy } from "./proxy.ts";

interface Kit {
  readonly proxy: TcpProxy;
  /** Connected to the target, through the proxy. */
  readonly client: Probe;
  readonly clientConn: Conn;
  readonly target: Probe;
  readonly targetConn: Conn;
  readonly timers: ManualTimers;
  /** Both ends of one more connection through the proxy. */
  another(): Promise<readonly [clientConn: Conn, targetConn: Conn]>;
}

const bytesOf = (text: string) => new TextEncoder().encode(text);

async function withProxy(body: (kit: Kit) => Promise<void>): Promise<void> {
  const timers = new ManualTimers();
  const [client, target] = [1, 2].map(() => new Probe(new TcpTransport({ later: timers.later })));
  assert.ok(client !== undefined && target !== undefined);
  const proxy = await TcpProxy.start(await target.listen());
  const another = async () => {
    const before = target.of("accepted").length;
    const clientConn = client.connect(proxy.address);
    await target.until("accepted", () => target.of("accepted").length > before);
    await client.one("connected", clientConn);
    return [clientConn, target.of("accepted")[before]?.conn ?? assert.fail()] as const;
  };
  try {
    const [clientConn, targetConn] = await another();
    await body({ proxy, client, clientConn, target, targetConn, timers, another });
  } finally {
    await proxy.close();
    const ended = Promise.all([client.shutdown(), target.shutdown()]);
    timers.fire();
    await ended;
  }
  assert.deepEqual([...client.violations, ...target.violations], []);
}

test("TcpProxy passes bytes and ends both ways, much of them too", () =>
  withProxy(async ({ client, clientConn, target, targetConn }) => {
    const sent = patternOf(9_000_000);
    client.write(clientConn, sent);
    target.write(targetConn, bytesOf("hello"));
    client.close(clientConn);
    await target.one("closed", targetConn);
    await client.one("closed", clientConn);
    assertBytes(target.received(targetConn), sent);
  }));

test("TcpProxy.hold() keeps one direction back, and release() passes it on in order", () =>
  withProxy(async ({ proxy, client, clientConn, target, targetConn }) => {
    proxy.hold("toClient");
    target.write(targetConn, bytesOf("one "));
    target.write(targetConn, bytesOf("two "));
    await proxy.held("toClient", 8);
    client.write(clientConn, bytesOf("up"));
    await target.until("the other direction", () => target.text(targetConn) === "up");
    assert.equal(client.text(clientConn), "");

    target.write(targetConn, bytesOf("three"));
    target.close(targetConn);
    await proxy.held("toClient", 13);
    proxy.release("toClient");
    await client.one("closed", clientConn);

    assert.equal(client.text(clientConn), "one two three");
  }));

test("TcpProxy.hold() keeps both directions back, in new connections too", () =>
  withProxy(async ({ proxy, client, target, another }) => {
    proxy.hold();
    const [clientConn, targetConn] = await another();
    client.write(clientConn, bytesOf("question"));
    target.write(targetConn, bytesOf("notice"));
    await proxy.held("toTarget", 8);
    await proxy.held("toClient", 6);
    assert.equal(target.text(targetConn) + client.text(clientConn), "");

    proxy.release();
    await client.until("notice", () => client.text(clientConn) === "notice");
    await target.until("question", () => target.text(targetConn) === "question");
  }));

test("TcpProxy.reset() resets both sides, and new connections pass", () =>
  withProxy(async ({ proxy, client, clientConn, target, targetConn, another }) => {
    proxy.reset();
    await client.one("closed", clientConn);
    await target.one("closed", targetConn);
    assert.match(client.of("closed")[0]?.reason ?? "", /ECONNRESET/);
    assert.match(target.of("closed")[0]?.reason ?? "", /ECONNRESET/);

    const [conn, other] = await another();
    client.write(conn, bytesOf("again"));
    await target.until("again", () => target.text(other) === "again");
  }));

test("TcpProxy.blackhole() tells neither side anything, of bytes and ends; release() lets new ones pass", () =>
  withProxy(async ({ proxy, client, clientConn, target, targetConn, another }) => {
    proxy.blackhole();
    client.write(clientConn, bytesOf("into nothing"));
    const lost = client.connect(proxy.address);
    await client.one("connected", lost);
    client.write(lost, bytesOf("into nothing"));
    client.destroy(clientConn);
    await client.one("closed", clientConn);

    proxy.release();
    const [conn, other] = await another();
    client.write(conn, bytesOf("here"));
    await target.until("here", () => target.text(other) === "here");

    assert.equal(target.text(targetConn), "");
    assert.deepEqual(target.of("closed"), []);
    assert.equal(target.of("accepted").length, 2);
  }));

test("TcpProxy ends the client when its target ends, and resets it when there is none", () =>
  withProxy(async ({ client, clientConn, target }) => {
    const lonely = await TcpProxy.start("127.0.0.1:1");
    const conn = client.connect(lonely.address);
    await client.one("closed", conn);
    assert.match(client.of("closed", conn)[0]?.reason ?? "", /ECONNRESET/);
    await lonely.close();

    await target.shutdown();
    await client.one("closed", clientConn);
  }));
