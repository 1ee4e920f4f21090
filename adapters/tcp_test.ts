import fc from "fast-check";
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { CONNECT_TIMEOUT_MS } from "../core/limits.ts";
import { testTransport } from "../tests/conformance/transport.ts";
import { assertBytes, ManualTimers, patternOf, Probe } from "../tests/conformance/transport_probe.ts";
import { formatAddress, parseAddress, TcpTransport } from "./tcp.ts";

testTransport("TcpTransport", (later) => ({ transport: () => new TcpTransport({ later }) }));

const addresses = [
  { address: "10.0.0.1:9100", expected: { host: "10.0.0.1", port: 9100 } },
  { address: "node-1.example_net:0", expected: { host: "node-1.example_net", port: 0 } },
  { address: "[::1]:65535", expected: { host: "::1", port: 65_535 } },
  { address: "[fe80::1%eth0]:1", expected: { host: "fe80::1%eth0", port: 1 } },
];
for (const { address, expected } of addresses) {
  test(`parseAddress() reads ${address}`, () => assert.deepEqual(parseAddress(address), expected));
}
for (
  const address of ["::1:80", "host", "host:", ":80", "host:65536", "host:-1", "[host]:1", "a b:1", "h:1 "]
) {
  test(`parseAddress() refuses "${address}"`, () => assert.throws(() => parseAddress(address), RangeError));
}

const zone = fc.oneof(fc.constant(""), fc.stringMatching(/^%[\w.-]{1,12}$/));
const anyHost = fc.oneof(
  fc.ipV4(),
  fc.domain(),
  fc.tuple(fc.ipV6(), zone).map(([address, zone]) => address + zone),
);
test("parseAddress() reads back what formatAddress() writes, with brackets and zones, and nothing without them (N14)", () => {
  fc.assert(fc.property(anyHost, fc.nat(65_535), (host, port) => {
    const address = formatAddress(host, port);
    assert.deepEqual(parseAddress(address), { host, port });
    if (!host.includes(":")) return;
    assert.equal(address, `[${host}]:${port}`);
    for (
      const wrong of [
        `${host}:${port}`,
        `[${host}:${port}`,
        `${host}]:${port}`,
        `[${host}]`,
        `[${host}]${port}`,
      ]
    ) {
      assert.throws(() => parseAddress(wrong), RangeError);
    }
  }));
});

/** A watched transport, and what stands outside of ours: plain sockets. All of it ends with the test. */
async function withSockets(
  body: (kit: { readonly node: Probe; readonly timers: ManualTimers; readonly open: Open }) => Promise<void>,
): Promise<void> {
  const timers = new ManualTimers();
  const node = new Probe(new TcpTransport({ later: timers.later }));
  const sockets = new Set<Socket>();
  const servers: Server[] = [];
  const keep = (socket: Socket) => {
    sockets.add(socket);
    return socket.on("error", () => sockets.delete(socket));
  };
  const open: Open = {
    async server(accept) {
      const server = createServer({ allowHalfOpen: true }, (socket) => accept(keep(socket)));
      servers.push(server);
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const address = server.address();
      return `127.0.0.1:${address !== null && typeof address === "object" ? address.port : assert.fail()}`;
    },
    async socket(address) {
      const socket = keep(createConnection({ ...parseAddress(address), allowHalfOpen: true }));
      await new Promise<void>((connected) => socket.once("connect", connected));
      return socket;
    },
  };
  try {
    await body({ node, timers, open });
  } finally {
    await node.shutdown();
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  }
  assert.deepEqual(node.violations.slice(0, 5), []);
  assert.deepEqual(node.unclosed, []);
  assert.deepEqual(timers.waits, []);
}

interface Open {
  server(accept: (socket: Socket) => void): Promise<string>;
  socket(address: string): Promise<Socket>;
}

test("TcpTransport.connect() tells why it failed", () =>
  withSockets(async ({ node }) => {
    const address = await node.listen();
    const other = new TcpTransport();
    const taken = await other.listen("127.0.0.1:0");
    await other.shutdown();

    const cases = [[taken, /ECONNREFUSED/], ["no-such-host.invalid:1", /ENOTFOUND|EAI_AGAIN/]] as const;
    for (const [target, expected] of cases) {
      const conn = node.connect(target);
      await node.one("closed", conn);
      assert.match(node.of("closed", conn)[0]?.reason ?? "", expected);
    }

    await assert.rejects(node.listen(address), /Cannot listen on .*EADDRINUSE/);
    await assert.rejects(node.listen("nowhere"), RangeError);
  }));

test("TcpTransport.connect() gives up after CONNECT_TIMEOUT_MS, and not once it is connected", () =>
  withSockets(async ({ node, timers }) => {
    const address = await node.listen();
    const late = node.connect(address);
    assert.deepEqual(timers.waits, [CONNECT_TIMEOUT_MS]);
    timers.fire();
    await node.one("closed", late);
    assert.match(node.of("closed", late)[0]?.reason ?? "", /within 5000 ms/);
    assert.deepEqual(node.of("connected"), []);

    await node.one("connected", node.connect(address));
    assert.deepEqual(timers.waits, []);
  }));

test("TcpTransport reports a reset by the peer once, after what came before it", () =>
  withSockets(async ({ node, open }) => {
    const address = await node.listen();
    const socket = await open.socket(address);
    socket.write("half a frame");
    const conn = await node.one("accepted");
    await node.until("the bytes", () => node.text(conn) === "half a frame");
    socket.resetAndDestroy();
    await node.one("closed", conn);
    assert.match(node.of("closed", conn)[0]?.reason ?? "", /ECONNRESET/);
  }));

test("TcpTransport flushes to a peer that has ended its own side, then closes once", () =>
  withSockets(async ({ node, open }) => {
    const socket = await open.socket(await node.listen());
    const conn = await node.one("accepted");
    const sent = patternOf(3_000_000);
    node.write(conn, sent);
    socket.end("all from me");

    const parts: Uint8Array[] = [];
    socket.on("data", (part) => parts.push(part));
    await new Promise<void>((ended) => socket.once("end", ended));
    await node.one("closed", conn);

    assert.equal(node.text(conn), "all from me");
    assertBytes(new Uint8Array(Buffer.concat(parts)), sent);
  }));

test("TcpTransport closes once when it writes to a peer that is gone while nothing is read", () =>
  withSockets(async ({ node, open }) => {
    const socket = await open.socket(await node.listen());
    const conn = await node.one("accepted");
    node.setReading(conn, false);
    const gone = new Promise<void>((closed) => socket.once("close", () => closed()));
    socket.destroy();
    await gone;
    // The first write makes the other side reset; a write after that fails.
    const push = () =>
      node.unclosed.includes(conn) && (node.write(conn, new Uint8Array(9)), setImmediate(push));
    push();
    await node.one("closed", conn);
  }));

test("TcpTransport.setReading(false) reaches the sender: what it writes stays with it", () =>
  withSockets(async ({ node, open }) => {
    const address = await node.listen();
    node.react = ({ type, conn }) => type === "accepted" && node.setReading(conn, false);
    const socket = await open.socket(address);
    const conn = await node.one("accepted");
    const sent = patternOf(16_000_000);
    let flushed = false;
    socket.write(sent, () => flushed = true);
    node.react = () => {};
    const other = await open.socket(address);
    await node.until("another", () => node.of("accepted").length === 2);
    other.write("fence");
    await node.until("the fence", () => node.of("bytes").length > 0);

    assert.equal(flushed, false);
    assert.ok(socket.writableLength > 0);
    assert.equal(node.received(conn).length, 0);
    node.setReading(conn, true);
    await node.until("everything", () => node.received(conn).length === sent.length);
    assertBytes(node.received(conn), sent);
  }));

test("TcpTransport.shutdown() ends a listen() that is under way", () =>
  withSockets(async ({ node }) => {
    const other = new TcpTransport();
    const listening = other.listen("127.0.0.1:0");
    await other.shutdown();
    const address = await listening;
    await node.one("closed", node.connect(address));
    assert.deepEqual(node.of("connected"), []);
  }));

test("TcpTransport.destroy() ends a connection whose host name isn't known yet", () =>
  withSockets(async ({ node }) => {
    const conn = node.connect("no-such-host.invalid:1");
    node.destroy(conn);
    await node.one("closed", conn);
  }));

const hasV6 = Object.values(networkInterfaces()).flat().some((found) => found?.address === "::1");
test(
  "TcpTransport takes and gives IPv6 addresses in brackets",
  { skip: !hasV6 && "no IPv6 here" },
  () =>
    withSockets(async ({ node }) => {
      const address = await node.listen("[::1]:0");
      assert.match(address, /^\[::1\]:[1-9]\d*$/);
      await node.one("connected", node.connect(address));
      await node.one("accepted");
      assert.match(node.of("accepted")[0]?.remote ?? "", /^\[::1\]:\d+$/);
    }),
);

const DESCRIPTORS = "/proc/self/fd";
const noDescriptors = !existsSync(DESCRIPTORS) && "no list of open descriptors on this system";

test("TcpTransport leaves no descriptor behind after 500 connections and 500 refusals", {
  skip: noDescriptors,
}, () =>
  withSockets(async ({ node, open }) => {
    const address = await node.listen();
    let wasReset = () => {};
    const refused = await open.server((socket) => {
      socket.once("close", () => wasReset());
      socket.resetAndDestroy();
    });
    const other = new TcpTransport();
    const nobody = await other.listen("127.0.0.1:0");
    await other.shutdown();
    let [accepted, ended, turns] = [0, 0, 0];
    node.react = ({ type, conn }) => {
      if (type === "accepted") accepted++;
      // Ended here in order, here at once, or by the other side.
      if (type === "connected" && ++ended % 3 === 0) node.close(conn);
      else if (type === "connected" && ended % 3 === 1) node.destroy(conn);
      else if (type === "bytes") node.destroy(conn);
    };
    const round = async (count: number) => {
      for (const end = turns + count; turns < end;) {
        turns++;
        const reset = new Promise<void>((resolve) => wasReset = resolve);
        const conns = [address, nobody, refused, nobody].map((target) => node.connect(target));
        for (const conn of conns) node.write(conn, new Uint8Array(100));
        await node.until("all closed", () => accepted === turns && node.unclosed.length === 0);
        await reset;
      }
    };
    await round(5);
    const before = readdirSync(DESCRIPTORS).length;

    await round(250);

    // A look-up of an earlier test may have held one more before.
    const after = readdirSync(DESCRIPTORS).length;
    // other test files run in this process at the same time and open files too; a leak would be of hundreds
    assert.ok(after < before + 100, `${after} descriptors after, ${before} before`);
  }));
