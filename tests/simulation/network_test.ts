import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../../core/ids.ts";
import type { TransportEvent } from "../../core/ports.ts";
import { SimNetwork } from "./network.ts";
import { SimRandom } from "./random.ts";
import { SimTransport } from "./transport.ts";
import { World } from "./world.ts";

interface Side {
  readonly transport: SimTransport;
  readonly events: TransportEvent[];
  readonly bytes: number[];
}

function pair(seed: number): { world: World; network: SimNetwork; a: Side; b: Side } {
  const world = new World();
  const network = new SimNetwork(world, new SimRandom(seed, "net"));
  const side = (name: string): Side => {
    const owner = { gone: false, pausedUntilMs: 0, slowMs: 0 };
    const transport = new SimTransport(network, name, owner, { border: (_, run) => run(), ended: () => {} });
    const events: TransportEvent[] = [];
    const bytes: number[] = [];
    transport.onEvent((event) => {
      events.push(event);
      if (event.type === "bytes") bytes.push(...event.bytes);
    });
    transport.bind(`${name}:1`);
    return { transport, events, bytes };
  };
  return { world, network, a: side("a"), b: side("b") };
}

function joined(seed: number) {
  const all = pair(seed);
  const near = all.a.transport.connect("b:1");
  all.world.runUntil(() => all.b.events.length > 0, 1_000);
  const accepted = all.b.events[0];
  assert.equal(accepted?.type, "accepted");
  return { ...all, near, far: (accepted as { conn: Conn }).conn };
}

function write(side: Side, conn: Conn, from: number, to: number): void {
  for (let i = from; i < to; i++) side.transport.write(conn, new Uint8Array([i, i, i, i]));
}

const types = (side: Side) => side.events.map(({ type }) => type);

test("SimNetwork delivers the bytes of a connection in order, whatever their delay", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const { world, a, b, near } = joined(seed);

    write(a, near, 0, 50);
    world.runUntil(() => false, 10_000);

    assert.deepEqual(b.bytes, Array.from({ length: 200 }, (_, i) => i >> 2), `seed ${seed}`);
  }
});

test("SimNetwork refuses a connection where nobody listens", () => {
  const { world, a } = pair(1);

  a.transport.connect("c:1");
  world.runUntil(() => false, 1_000);

  assert.deepEqual(types(a), ["closed"]);
});

test("Link.reset() ends both sides after some of what was sent, and no byte comes later or out of order", () => {
  let torn = 0;
  for (let seed = 1; seed <= 50; seed++) {
    const { world, network, a, b, near } = joined(seed);
    write(a, near, 0, 20);

    network.links[0]!.reset();
    world.runUntil(() => false, 10_000);

    assert.equal(types(a).at(-1), "closed");
    assert.equal(types(b).at(-1), "closed");
    assert.deepEqual(b.bytes, Array.from({ length: b.bytes.length }, (_, i) => i >> 2), `seed ${seed}`);
    assert.deepEqual(network.links, []);
    if (b.bytes.length % 4 !== 0) torn += 1;
  }
  assert.ok(torn > 0, "some reset tears a write apart");
});

test("A silent link delivers nothing, says nothing, and stops its writer", () => {
  const { world, network, a, b, near } = joined(3);
  network.links[0]!.silent = true;

  let taken = true;
  for (let i = 0; i < 200 && taken; i++) taken = a.transport.write(near, new Uint8Array(4_096));
  world.runUntil(() => false, 100_000);

  assert.equal(taken, false);
  assert.deepEqual(types(a), ["connected"]);
  assert.deepEqual(types(b), ["accepted"]);
});

test("SimNetwork.hold() makes everything late, and loses nothing", () => {
  const { world, network, a, b, near } = joined(4);

  network.hold("a", "b", world.nowMs + 5_000);
  write(a, near, 0, 3);
  world.runUntil(() => b.bytes.length > 0, 60_000);

  assert.ok(world.nowMs >= 5_000);
  world.runUntil(() => false, 60_000);
  assert.deepEqual(b.bytes, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
});

test("SimNetwork.holdOneWay() makes one direction late, and no new connection is made meanwhile", () => {
  const { world, network, a, b, near, far } = joined(4);
  const untilMs = world.nowMs + 5_000;

  network.holdOneWay("a", "b", untilMs);
  write(a, near, 0, 3);
  write(b, far, 7, 8);
  const other = b.transport.connect("a:1");
  world.runUntil(() => false, untilMs - 1);

  assert.deepEqual([a.bytes, b.bytes], [[7, 7, 7, 7], []]);
  assert.ok(!b.events.some((event) => event.type === "connected" && event.conn === other));
  world.runUntil(() => false, 60_000);
  assert.deepEqual(b.bytes, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
  assert.ok(b.events.some((event) => event.type === "connected" && event.conn === other));
});

test("SimTransport.write() says when it is full, and drained when there is room", () => {
  const { world, a, near } = joined(5);

  while (a.transport.write(near, new Uint8Array(4_096)));
  world.runUntil(() => false, 60_000);

  assert.deepEqual(types(a).filter((type) => type === "drained"), ["drained"]);
});

test("SimTransport.setReading(false) keeps bytes until it is on again, and the end after them", () => {
  const { world, a, b, near, far } = joined(6);
  b.transport.setReading(far, false);
  write(a, near, 0, 2);
  a.transport.close(near);
  world.runUntil(() => false, 1_000);
  assert.deepEqual(types(b), ["accepted"]);

  b.transport.setReading(far, true);
  world.runUntil(() => false, 2_000);

  assert.deepEqual(b.bytes, [0, 0, 0, 0, 1, 1, 1, 1]);
  assert.equal(types(b).at(-1), "closed");
  assert.equal(types(a).at(-1), "closed");
});

test("SimTransport.end() is heard at once, later, or never, as the process ended", () => {
  const heard = (how: "killed" | "dark"): string[] => {
    const { world, a, b, near } = joined(7);
    b.transport.end(how);
    a.transport.connect("b:1");
    world.runUntil(() => false, 100_000);
    const before = types(a);
    b.transport.wake();
    a.transport.write(near, new Uint8Array(1));
    world.runUntil(() => false, 200_000);
    return [before.join(), types(a).slice(before.length).join()];
  };

  assert.deepEqual(heard("killed"), ["connected,closed,closed", ""]);
  assert.deepEqual(heard("dark"), ["connected", "closed"]);
});
