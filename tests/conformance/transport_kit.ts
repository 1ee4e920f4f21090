/** What transport tests start from: nodes of one network that are looked at when they have ended. */
import assert from "node:assert/strict";
import type { Later } from "../../adapters/system.ts";
import type { Conn } from "../../core/ids.ts";
import type { Transport } from "../../core/ports.ts";
import { ManualTimers, Probe } from "./transport_probe.ts";

/** Where transports can reach one another. */
export interface TransportNetwork {
  transport(): Transport;
}

/** What a test gets. */
export interface Fixture {
  readonly timers: ManualTimers;
  node(): Probe;
  /** A node that listens, one that is connected to it, and a way to let everything pass that is on its way. */
  pair(): Promise<Pair>;
}

/** Two nodes, connected. */
export interface Pair {
  readonly a: Probe;
  readonly b: Probe;
  readonly aConn: Conn;
  readonly bConn: Conn;
  readonly address: string;
  /** A whole exchange on a connection of its own: what was possible before has happened then. */
  settle(): Promise<void>;
}

/** Text on the wire. */
export const bytesOf = (text: string) => new TextEncoder().encode(text);

/** Connects `a` to `b`. */
export async function connected(a: Probe, b: Probe, address: string): Promise<{ aConn: Conn; bConn: Conn }> {
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
export async function withNetwork(
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

/** A promise, and its proof. */
export type Case = readonly [promise: string, body: (fixture: Fixture) => Promise<void>];
