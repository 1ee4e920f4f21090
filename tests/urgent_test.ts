/**
 * T61: control isn't stuck behind bulk. A value of 64 MiB is on its way over a real socket whose reader has stopped; a question of the
 * commit lane, or a heartbeat, is answered on the same connection long before it is through.
 *
 * What can't be overtaken is what the system has already: the buffers of two sockets, and what was handed to one of them
 * before it said that it is full. No clock decides here, only which frame came before which.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import { TcpTransport } from "../adapters/tcp.ts";
import { CHUNK_BYTES_MAX, KEEPALIVE_MS, OBJECT_BYTES_MAX, SOCKET_BYTES_MAX } from "../core/limits.ts";
import { answer, ask } from "../core/machine.ts";
import type { PeerEvent } from "../core/machine.ts";
import type { PeerEffect } from "../roles/peer.ts";
import { oidAt, storeOf, tidAt, ttidAt } from "./hazards/words.ts";
import { helloAs } from "./machines.ts";
import { Side } from "./tapped_peers.ts";

const MIB = 2 ** 20;
/** What the sockets of both sides may hold, in bytes: where the system doesn't tell, much more than is usual. */
const KERNEL_BYTES = bufferBytes("tcp_wmem") + bufferBytes("tcp_rmem");
/** What is on its way before a word that is said now: theirs, one socket's fill and the write that filled it, and chunks in pieces. */
const AHEAD_BYTES_MAX = KERNEL_BYTES + 2 * SOCKET_BYTES_MAX + 2 * CHUNK_BYTES_MAX;
/** Values of 64 MiB; more than one where sockets could hold the most of it. */
const VALUES = Math.ceil((AHEAD_BYTES_MAX + 16 * MIB) / OBJECT_BYTES_MAX);
const VALUE = new Uint8Array(OBJECT_BYTES_MAX);
const CHECKSUM = sha256(VALUE);
const PATIENT = { context: "", withinMs: 3_600_000 };

/** The largest buffer that the system gives a socket by itself. */
function bufferBytes(name: string): number {
  const file = `/proc/sys/net/ipv4/${name}`;
  if (!existsSync(file)) return 8 * MIB;
  return Number(readFileSync(file, "utf8").trim().split(/\s+/).at(-1));
}

/** What a side does for the other: loads are of 64 MiB, all else is quick. */
function serve(event: PeerEvent<string>): PeerEffect<string>[] {
  if (event.type !== "asked") return [];
  switch (event.message.name) {
    case "load": {
      const revision = {
        tid: tidAt(1),
        next: null,
        compression: 0,
        checksum: CHECKSUM,
        data: VALUE,
        link: null,
      };
      return [answer(event, "load", { revision })];
    }
    case "store":
      return [answer(event, "store", { lockless: false })];
    default:
      return [answer(event, "sync", { lastTid: tidAt(1), wallMs: 1 })];
  }
}

interface Pair {
  readonly dialer: Side;
  readonly listener: Side;
}

/** A client and a storage, connected over loopback. */
async function withPair(body: (pair: Pair) => Promise<void>): Promise<void> {
  const transports = [new TcpTransport(), new TcpTransport()] as const;
  const dialer = new Side(transports[0], helloAs("client", { name: "c1" }), []);
  const listener = new Side(transports[1], helloAs("storage", { name: "s1" }), ["client"]);
  try {
    const address = await transports[1].listen("127.0.0.1:0");
    for (const side of [dialer, listener]) side.react = serve;
    dialer.do({ do: "connect", address, target: "s1", hello: helloAs("client", { name: "c1" }) });
    await dialer.until("the storage", () => dialer.conn !== undefined);
    await listener.until("the client", () => listener.conn !== undefined);
    await body({ dialer, listener });
  } finally {
    await Promise.all(transports.map((transport) => transport.shutdown()));
  }
}

/** Begins the transfer; its reader stops in its first chunk, and the socket fills. */
async function begin(kind: "load" | "store", { from, to }: { from: Side; to: Side }): Promise<void> {
  for (let value = 0; value < VALUES; value++) {
    if (kind === "load") {
      to.do(ask(to.conn!, "load", { oid: oidAt(value), at: tidAt(1), version: 1 }, PATIENT));
    } else {
      const store = { ...storeOf({ ttid: ttidAt(1, 1), oid: value }), checksum: CHECKSUM, data: VALUE };
      from.do(ask(from.conn!, "store", store, PATIENT));
    }
  }
  await to.until("the first chunk", () => to.find("in", "chunk") >= 0);
  to.read(false);
}

/** Asks what nobody must be kept waiting for: a heartbeat comes by itself from a side that hears nothing. */
function askUrgently(side: Side, what: "ping" | "sync"): void {
  if (what === "ping") side.pass(KEEPALIVE_MS);
  else side.do(ask(side.conn!, "sync", {}, PATIENT));
}

/** The transfer ends as it should, with all of its bytes. */
async function complete(to: Side): Promise<void> {
  to.read(true);
  const ends = (): number => to.log.filter(({ way, what }) => way === "in" && what === "last chunk").length;
  await to.until("all of it", () => ends() === VALUES);
  assert.ok(to.chunkBytes("in", to.log.length) > VALUES * OBJECT_BYTES_MAX);
}

/** That a frame came in long before the transfer's end. */
function assertAhead(to: Side, what: string): void {
  const at = to.find("in", what);
  assert.ok(at >= 0 && at < to.find("in", "last chunk"), `${what} came before the first value was through`);
  const before = to.chunkBytes("in", at);
  assert.ok(before <= AHEAD_BYTES_MAX, `${before} bytes came before ${what}, of ${AHEAD_BYTES_MAX} that may`);
}

const directions = ["to who connected", "to who listens"] as const;
const transfers = [
  { kind: "load", what: "sync" },
  { kind: "load", what: "ping" },
  { kind: "store", what: "ping" }, // what belongs to a commit is in its lane, and a heartbeat is above it
] as const;

for (const direction of directions) {
  for (const { kind, what } of transfers) {
    const size = `${VALUES * OBJECT_BYTES_MAX / MIB} MiB of ${kind} ${direction}`;
    const sides = ({ dialer, listener }: Pair) =>
      direction === "to who connected" ? { from: listener, to: dialer } : { from: dialer, to: listener };

    test(`T61: ${what} is answered by who sends ${size}, and overtakes it`, () =>
      withPair(async (pair) => {
        const { from, to } = sides(pair);
        await begin(kind, { from, to });
        askUrgently(to, what);
        await from.until("the question", () => from.find("in", `ask ${what}`) >= 0);
        await complete(to);
        assertAhead(to, `answer ${what}`);
        const heard = from.find("in", `ask ${what}`);
        const said = from.log.slice(heard).find(({ way }) => way === "out");
        assert.equal(said?.what, `answer ${what}`, "not one more chunk is handed over before it");
      }));

    test(`T61: ${what} overtakes ${size} as a question, and its answer is there before the end`, () =>
      withPair(async (pair) => {
        const { from, to } = sides(pair);
        await begin(kind, { from, to });
        askUrgently(from, what);
        to.read(true);
        await to.until("the question", () => to.find("in", `ask ${what}`) >= 0);
        to.read(false);
        await from.until("the answer", () => from.find("in", `answer ${what}`) >= 0);
        assert.equal(to.find("in", "last chunk"), -1, "the transfer isn't through");
        await complete(to);
        assertAhead(to, `ask ${what}`);
      }));
  }
}

test("T61: of what a word can't overtake, at most 2 MiB are ours", () => {
  assert.ok(AHEAD_BYTES_MAX - KERNEL_BYTES <= 2 * MIB);
});
