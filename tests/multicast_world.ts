/** A sender of notices and some who hear it, on a network in the hand of a test: it loses, doubles, shuffles and forges datagrams. */
import assert from "node:assert/strict";
import { sha256 } from "../adapters/system.ts";
import type { Conn } from "../core/ids.ts";
import type { PeerEvent } from "../core/machine.ts";
import type { Multicast, MulticastEvent } from "../core/ports.ts";
import { Peers } from "../roles/peer.ts";
import { FakeTransport } from "./fakes.ts";
import { helloAs } from "./machines.ts";

/** An answer, among what a machine was told. */
export const ANSWERED = -1;
const GROUP = "239.9.9.9:9999";
export const CLUSTER_ID = "c".repeat(32);

/** What the air holds for one listener. */
export class Air implements Multicast {
  readonly flying: Uint8Array[] = [];
  readonly joined: string[] = [];
  sent = 0;
  #send: (bytes: Uint8Array) => void;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  onEvent(): void {
    assert.fail("the test hands events to the peers itself");
  }

  join(group: string): void {
    this.joined.push(group);
  }

  send(_group: string, bytes: Uint8Array): void {
    this.sent += 1;
    this.#send(bytes);
  }

  close(): void {
    this.flying.length = 0;
  }
}

/** One who hears: both ends of its connection. */
export class Listener {
  readonly transport = new FakeTransport();
  readonly air = new Air(() => assert.fail("a listener sends nothing by multicast"));
  readonly peers: Peers<string>;
  readonly near: Conn; // its own number of the connection
  readonly far: Conn; // the sender's
  /** What its machine was told, in order. */
  readonly told: number[] = [];
  readonly lost: string[] = [];

  constructor(far: Conn, hears: boolean) {
    this.far = far;
    const multicast = { port: this.air, digest: sha256 };
    const hello = helloAs("storage", { clusterId: CLUSTER_ID });
    this.peers = new Peers<string>(this.transport, { hello, serves: [], ...(hears ? { multicast } : {}) });
    this.peers.perform({ do: "connect", address: "m:1", target: "m", hello }, 0);
    this.near = 1 as Conn;
  }
}

/** The sender with `count` listeners, of which `deaf` can't hear multicast at all. */
export class MulticastWorld {
  nowMs = 1_000;
  readonly transport = new FakeTransport();
  readonly air = new Air((bytes) => this.listeners.forEach(({ air }) => air.flying.push(bytes)));
  readonly peers = new Peers<string>(this.transport, {
    hello: helloAs("master", { clusterId: CLUSTER_ID }),
    serves: ["storage"],
    multicast: {
      port: this.air,
      digest: sha256,
      speaks: { group: GROUP, stream: new Uint8Array(16).fill(7), key: new Uint8Array(32).fill(9) },
    },
  });
  readonly listeners: Listener[] = [];
  readonly expected: number[][] = [];
  #number = 0;

  constructor(count: number, deaf: number) {
    for (let index = 0; index < count; index++) {
      const listener = new Listener(this.transport.conn(), index >= deaf);
      this.listeners.push(listener);
      this.expected.push([]);
      this.peers.receive({ type: "accepted", conn: listener.far, remote: "l" }, this.nowMs);
      this.#took(listener, listener.peers.receive({ type: "connected", conn: listener.near }, this.nowMs));
    }
    this.settle();
    for (const listener of this.listeners) {
      if (listener.air.joined.length > 0) this.hears(listener, { type: "joined", group: GROUP });
    }
    this.settle();
  }

  /** Says the next number to some of the listeners. */
  say(to: readonly Listener[]): void {
    const number = ++this.#number;
    for (const listener of to) this.expected[this.listeners.indexOf(listener)]!.push(number);
    const message = { name: "phase", body: { phase: "running", epoch: number } } as const;
    this.peers.perform({ do: "tell", conns: to.map(({ far }) => far), message }, this.nowMs);
    this.peers.send(this.nowMs);
  }

  /** What the connection of a listener brings, both ways. */
  brings(listener: Listener): boolean {
    const down = this.transport.takeWrites(listener.far);
    for (const bytes of down) {
      this.#took(listener, listener.peers.receive({ type: "bytes", conn: listener.near, bytes }, this.nowMs));
    }
    const up = listener.transport.takeWrites(listener.near);
    for (const bytes of up) {
      const events = this.peers.receive({ type: "bytes", conn: listener.far, bytes }, this.nowMs);
      for (const event of events) {
        if (event.type === "identified") this.peers.perform({ do: "accept", conn: event.conn }, this.nowMs);
      }
      this.peers.send(this.nowMs);
    }
    return down.length + up.length > 0;
  }

  hears(listener: Listener, event: MulticastEvent): void {
    this.#took(listener, listener.peers.hear(event, this.nowMs));
  }

  /** One of the datagrams that fly to a listener arrives; with `stays`, it will come again. */
  lands(listener: Listener, index: number, stays = false): void {
    const bytes = listener.air.flying[index];
    if (bytes === undefined) return;
    if (!stays) listener.air.flying.splice(index, 1);
    this.hears(listener, { type: "datagram", bytes });
  }

  passes(ms: number): void {
    this.nowMs += ms;
    this.peers.tick(this.nowMs);
    this.peers.send(this.nowMs);
    for (const listener of this.listeners) this.#took(listener, listener.peers.tick(this.nowMs));
  }

  /** All that is on its way by TCP or in the air arrives, in order. */
  settle(): void {
    for (let moved = true; moved;) {
      moved = false;
      for (const listener of this.listeners) {
        moved = this.brings(listener) || moved;
        for (; listener.air.flying.length > 0; moved = true) this.lands(listener, 0);
      }
    }
  }

  #took(listener: Listener, events: readonly PeerEvent<string>[]): void {
    for (const event of events) {
      if (event.type === "identified") listener.peers.perform({ do: "accept", conn: event.conn }, this.nowMs);
      else if (event.type === "lost") listener.lost.push(event.error.message);
      else if (event.type === "told" && event.message.name === "phase") {
        listener.told.push(event.message.body.epoch);
      } else if (event.type === "answered") listener.told.push(ANSWERED);
      else assert.fail(`the machine hears of ${event.type} ${JSON.stringify(event)}`);
    }
    listener.peers.send(this.nowMs);
  }
}
