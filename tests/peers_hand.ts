/** The peers of a storage in the hand of a test: connections come, speak and go as it says. */
import assert from "node:assert/strict";
import type { Packet } from "../core/codec.ts";
import type { Proof } from "../core/identity.ts";
import { toOid, ZERO_TID } from "../core/ids.ts";
import type { Conn } from "../core/ids.ts";
import type { PeerEvent } from "../core/machine.ts";
import type { Hello, WireError } from "../core/messages.ts";
import { Peers } from "../roles/peer.ts";
import type { PeerEffect } from "../roles/peer.ts";
import { bytesOfPackets, FakeTransport, helloBytes } from "./fakes.ts";
import { helloAs } from "./machines.ts";

/** A client that comes to the storage. */
export const client: Hello = helloAs("client", { name: "web" });

/** The peers of a storage, on a transport in our hand. */
export class Hand {
  readonly transport = new FakeTransport();
  /** What an operator would read. */
  readonly logged: string[] = [];
  readonly peers = new Peers<string>(this.transport, {
    hello: helloAs("storage", { name: "s1" }),
    serves: ["client", "storage"],
    log: (text) => void this.logged.push(text),
  });
  nowMs = 1_000;

  /** A connection comes in; nothing is said yet. */
  accepts(proof?: Proof): Conn {
    const conn = this.transport.conn();
    const shown = proof === undefined ? {} : { proof };
    const heard = this.peers.receive({ type: "accepted", conn, remote: "elsewhere", ...shown }, this.nowMs);
    this.peers.send(this.nowMs);
    assert.deepEqual(heard, []);
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

/** A request of a client. */
export const question = (id: number): Packet => ({
  kind: "ask",
  id,
  withinMs: 5_000,
  message: { name: "load", body: { oid: toOid(id), at: ZERO_TID, version: 1 } },
});
/** A notification. */
export const news: Packet = {
  kind: "tell",
  message: { name: "phase", body: { phase: "running", epoch: 1 } },
};
/** The answer to a heartbeat. */
export const pong = (id: number): Packet => ({ kind: "answer", id, message: { name: "ping", body: {} } });
/** An error to end something with. */
export const goodbye: WireError = { code: "stopping", message: "Cannot go on: the test ends" };
/** What happened, in one word each. */
export const types = (events: readonly PeerEvent<string>[]): string[] => events.map(({ type }) => type);
