import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { connect } from "node:net";
import { test } from "node:test";
import { parseAddress } from "../../adapters/tcp.ts";
import { encodeHello } from "../../core/codec.ts";
import { MAGIC } from "../../core/messages.ts";
import { SimRandom } from "../simulation/random.ts";
import { ANYBODY, FaultNetwork } from "./fault_network.ts";

/** The first frame of a connection. */
function helloOf(name: string): Uint8Array {
  const message = encodeHello({
    magic: MAGIC,
    versionMin: 1,
    versionMax: 1,
    clusterId: "",
    cluster: "shop",
    role: "client",
    name,
    diskId: "",
    address: "",
    epoch: 0,
    session: 0,
    patienceMs: 0,
    capabilities: [],
    tableDigest: new Uint8Array(),
  });
  const frame = new Uint8Array(4 + message.length);
  new DataView(frame.buffer).setUint32(0, message.length);
  frame.set(message, 4);
  return frame;
}

/** One end of a connection, as a test sees it. */
class End {
  readonly socket: Socket;
  readonly closed: Promise<unknown>;
  failed = false;
  #text = "";
  #heard: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise<void>((done) => socket.on("close", () => done()));
    socket.on("error", () => this.failed = true);
    socket.on("data", (bytes: Uint8Array) => {
      this.#text += new TextDecoder("latin1").decode(bytes);
      this.#heard();
    });
  }

  get text(): string {
    return this.#text;
  }

  /** Waits until a text has come. */
  async hear(text: string): Promise<void> {
    while (!this.#text.includes(text)) await new Promise<void>((heard) => this.#heard = heard);
  }
}

interface Kit {
  readonly network: FaultNetwork;
  /** A connection to s1 that `name` makes; both of its ends. */
  dial(name: string | undefined): Promise<{ readonly here: End; readonly there: End }>;
}

async function withNetwork(body: (kit: Kit) => Promise<void>): Promise<void> {
  const network = new FaultNetwork(new SimRandom(1));
  const server: Server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { host, port } = parseAddress(await network.stand("s1", { at: "127.0.0.1:0", target }));
  const ends: End[] = [];
  try {
    await body({
      network,
      async dial(name) {
        const accepted = once(server, "connection");
        const here = new End(connect({ port, host, allowHalfOpen: true }));
        here.socket.write(name === undefined ? "\0\0\0\x01x" : helloOf(name));
        const there = new End((await accepted)[0] as Socket);
        ends.push(here, there);
        return { here, there };
      },
    });
  } finally {
    await network.close();
    for (const { socket } of ends) socket.destroy();
    server.close();
    await once(server, "close");
  }
}

test("FaultNetwork passes what nodes say, in both directions, ends too", () =>
  withNetwork(async ({ network, dial }) => {
    const { here, there } = await dial("m1");
    await there.hear("m1");
    there.socket.write("hello m1");
    await here.hear("hello m1");
    assert.deepEqual(network.connectedTo("s1"), ["m1"]);
    assert.equal(network.bytes("m1", "s1"), helloOf("m1").length);
    assert.equal(network.bytes("s1", "m1"), "hello m1".length);
    here.socket.end("last words");
    await once(there.socket, "end");
    assert.match(there.text, /last words$/);
    there.socket.end("mine");
    await here.closed;
    assert.match(here.text, /mine$/);
  }));

test("FaultNetwork.cut() holds one direction of one link, and healing it lets everything pass in order", () =>
  withNetwork(async ({ network, dial }) => {
    const [one, other] = [await dial("m1"), await dial("m2")];
    await one.there.hear("m1");
    await other.there.hear("m2");

    const heal = network.cut(["s1", "m1"]);
    one.there.socket.write("a");
    one.there.socket.write("b");
    other.there.socket.write("to m2");
    one.here.socket.write("from m1");
    await other.here.hear("to m2");
    await one.there.hear("from m1");
    assert.equal(one.here.text, "");

    one.there.socket.end("c");
    heal();
    await once(one.here.socket, "end");
    assert.equal(one.here.text, "abc");
  }));

test("FaultNetwork.cut() from anybody holds links that are made later too", () =>
  withNetwork(async ({ network, dial }) => {
    const other = await dial("m2");
    await other.there.hear("m2");
    const heal = [network.cut(["m1", ANYBODY]), network.cut([ANYBODY, "m1"])];
    const { here, there } = await dial("m1");
    there.socket.write("to m1");
    other.here.socket.write("from m2");
    await other.there.hear("from m2");
    assert.deepEqual([here.text, there.text], ["", ""]);
    heal[0]!();
    await there.hear("m1");
    assert.equal(here.text, "", "the other cut is still there");
    heal[1]!();
    await here.hear("to m1");
  }));

test("FaultNetwork.heal() heals all cuts", () =>
  withNetwork(async ({ network, dial }) => {
    network.cut([ANYBODY, ANYBODY]);
    const { here, there } = await dial("m1");
    here.socket.write("hello s1");
    network.heal();
    await there.hear("hello s1");
  }));

test("FaultNetwork.resetOne() resets both ends of a connection of the node, and no other", () =>
  withNetwork(async ({ network, dial }) => {
    const [one, other] = [await dial("m1"), await dial("m2")];
    await one.there.hear("m1");
    await other.there.hear("m2");

    assert.deepEqual(network.resetOne("m1"), ["m1", "s1"]);
    await Promise.all([one.here.closed, one.there.closed]);
    other.here.socket.write("still here");
    await other.there.hear("still here");
    assert.equal(network.resetOne("s9"), undefined);
    assert.deepEqual(network.connectedTo("s1"), ["m2"]);
  }));

test("FaultNetwork.slow() keeps the order of what it delays, and passes it all", () =>
  withNetwork(async ({ network, dial }) => {
    const quick = network.slow("s1", 3);
    const { here, there } = await dial("m1");
    await there.hear("m1");
    const words = Array.from({ length: 40 }, (_, at) => `<${at}>`);
    for (const word of words) {
      there.socket.write(word);
      await new Promise((sent) => setImmediate(sent));
    }
    await here.hear(words.at(-1)!);
    assert.equal(here.text, words.join(""));
    quick();
  }));

test("FaultNetwork passes connections of those who don't say a name", () =>
  withNetwork(async ({ network, dial }) => {
    const { there } = await dial(undefined);
    await there.hear("x");
    assert.deepEqual(network.connectedTo("s1"), [""]);
  }));

test("FaultNetwork lets a sender wait when a held link is full, and nothing of it is lost", () =>
  withNetwork(async ({ network, dial }) => {
    const { here, there } = await dial("m1");
    await there.hear("m1");
    const heal = network.cut(["m1", "s1"]);
    const bytes = 8 * 1024 * 1024;
    const before = there.text.length;
    here.socket.end(new Uint8Array(bytes).fill(0x61));
    heal();
    await once(there.socket, "end");
    assert.equal(there.text.length - before, bytes);
  }));

test("FaultNetwork resets who connects to a node that doesn't run", async () => {
  const network = new FaultNetwork(new SimRandom(1));
  const gone = createServer().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const target = `127.0.0.1:${(gone.address() as AddressInfo).port}`;
  gone.close();
  await once(gone, "close");
  const here = new End(connect(parseAddress(await network.stand("s1", { at: "127.0.0.1:0", target }))));
  await here.closed;
  assert.ok(here.failed);
  await network.close();
});
