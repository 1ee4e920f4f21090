/**
 * C4: what is urgent overtakes, and so an abort its store, a vote its stores, an invalidation its table change, an answer what it
 * relies on. Only lanes overtake each other, and what belongs together stays in one: here the words of a connection whose
 * socket takes nothing for a while; `c04_jams_test.ts` has whole nodes on such wires.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Ttid } from "../../core/ids.ts";
import { FRAME_BYTES_MAX } from "../../core/limits.ts";
import { answer, ask, refuse, tell } from "../../core/machine.ts";
import { lanes, messages } from "../../core/messages.ts";
import type { AskName, Body } from "../../core/messages.ts";
import type { PeerEffect } from "../../roles/peer.ts";
import { Hand, question } from "../peers_hand.ts";
import { finishOf, oidAt, storeOf, tidAt, ttidAt, voteOf } from "./words.ts";

type Word = (conn: Conn) => PeerEffect<string>;

/** Longer than a frame: it travels in chunks. */
const BIG_BYTES = 2 * FRAME_BYTES_MAX;
const TTID: Ttid = ttidAt(1, 1);

const asking = <N extends AskName>(name: N, body: Body<N>): Word => (conn) =>
  ask(conn, name, body, { context: "", withinMs: 60_000 });
/** An answer of this size to a load, which was question `id` of the peer. */
const loaded = (id: number, bytes: number): Word => (conn) => {
  const data = new Uint8Array(bytes);
  const revision = {
    tid: tidAt(1),
    next: null,
    compression: 0,
    checksum: data.subarray(0, 32),
    data,
    link: null,
  };
  return answer({ conn, id }, "load", { revision });
};
const bigStore = storeOf({ ttid: TTID, oid: 4, text: "x".repeat(BIG_BYTES) });
const store = asking("store", bigStore);
const other = asking("store", storeOf({ ttid: TTID, oid: 5 }));
const vote = asking("vote", voteOf([bigStore]));
const abort: Word = (conn) => tell(conn, "abort", { ttid: TTID, epoch: 0, nodes: [] });
const table: Word = (conn) => tell(conn, "table", { image: new Uint8Array(BIG_BYTES), epoch: 1 });
const change: Word = (conn) =>
  tell(conn, "tableChange", {
    generation: 1,
    base: 1,
    version: 2,
    digest: new Uint8Array(16),
    cells: [],
    epoch: 1,
  });
const invalidation: Word = (conn) => tell(conn, "invalidate", { tid: tidAt(9), oids: [oidAt(4)] });

/** What must arrive as it was said, and why; `synced` and the like answer questions that the peer has asked. */
const orders: { title: string; words: readonly Word[]; heard: readonly string[] }[] = [
  {
    title: "an abort doesn't overtake its store",
    words: [store, abort],
    heard: ["ask 1 store", "tell abort"],
  },
  {
    title: "a vote doesn't overtake its stores, nor a check, nor a relock its vote",
    words: [
      store,
      other,
      asking("check", { ttid: TTID, version: 1, ageMs: 1, oid: oidAt(6), base: tidAt(1) }),
      vote,
      (conn) => tell(conn, "relock", { ttid: TTID, oid: oidAt(4) }),
      vote,
      abort,
    ],
    heard: [
      "ask 1 store",
      "ask 2 store",
      "ask 3 check",
      "ask 4 vote",
      "tell relock",
      "ask 5 vote",
      "tell abort",
    ],
  },
  {
    title: "an invalidation doesn't overtake its table change",
    words: [table, invalidation, change, invalidation],
    heard: ["tell table", "tell invalidate", "tell tableChange", "tell invalidate"],
  },
  {
    title: "an answer doesn't overtake the table and the invalidations that it relies on",
    words: [
      table,
      invalidation,
      (conn) => answer({ conn, id: 21 }, "sync", { lastTid: tidAt(9), wallMs: 1 }),
    ],
    heard: ["tell table", "tell invalidate", "answer 21 sync"],
  },
  {
    title: "a refusal keeps the lane of its question",
    words: [table, (conn) => refuse({ conn, id: 22 }, { code: "aborted", message: "Cannot" }), invalidation],
    heard: ["tell table", "error 22 aborted", "tell invalidate"],
  },
  {
    title: "locks, unlocks, aborts and ends of sessions stay in their order, and behind the table",
    words: [
      table,
      asking("lock", { epoch: 1, ttid: TTID, tid: tidAt(9) }),
      (conn) => tell(conn, "sessionEnded", { epoch: 1, session: 1 }),
      (conn) => tell(conn, "unlock", { epoch: 1, ttid: TTID, tid: tidAt(9) }),
      abort,
    ],
    heard: ["tell table", "ask 1 lock", "tell sessionEnded", "tell unlock", "tell abort"],
  },
  {
    title: "a finish doesn't overtake the abort before it, nor an outcome the finish",
    words: [
      abort,
      asking("finish", finishOf([bigStore], [])),
      asking("outcome", { ttid: TTID, home: 0 as never }),
      asking("sync", {}),
    ],
    heard: ["tell abort", "ask 1 finish", "ask 2 outcome", "ask 3 sync"],
  },
];

/** A connection of which the peer has asked much, and whose socket has just become full with the start of a large answer. */
function fullConnection(): { hand: Hand; conn: Conn } {
  const hand = new Hand();
  const conn = hand.open();
  hand.packets(conn, question(11), question(12));
  for (const [id, name] of [[21, "sync"], [22, "outcome"]] as const) {
    const body = name === "sync" ? {} : { ttid: TTID, home: 0 };
    hand.packets(conn, { kind: "ask", id, withinMs: 60_000, message: { name, body } as never });
  }
  hand.transport.full.add(conn);
  hand.does(loaded(11, 2 * BIG_BYTES)(conn));
  return { hand, conn };
}

/** The socket takes one write more; gives whole messages that have arrived with it. */
function takeOne(hand: Hand, conn: Conn): string[] {
  hand.peers.receive({ type: "drained", conn }, hand.nowMs);
  hand.peers.send(hand.nowMs);
  return hand.said(conn);
}

/** Takes everything, write by write; between them the peer's heartbeats are answered at once. */
function takeAll(hand: Hand, conn: Conn): { heard: string[]; pings: number } {
  const heard: string[] = [];
  let pings = 0;
  for (let id = 100; !heard.includes("answer 12 load"); id++) {
    assert.ok(id < 200, `all of it arrives: ${heard.join(", ")}`);
    hand.packets(conn, { kind: "ask", id, withinMs: 1, message: { name: "ping", body: {} } });
    const said = takeOne(hand, conn);
    assert.deepEqual(said, [`answer ${id} ping`], "a heartbeat stands before everything");
    pings += 1;
    heard.push(...takeOne(hand, conn));
  }
  return { heard, pings };
}

for (const { title, words, heard } of orders) {
  test(`C4: ${title}, whatever waits in bulk`, () => {
    const { hand, conn } = fullConnection();
    for (const word of words) hand.does(word(conn));
    hand.does(loaded(12, 10)(conn));

    const all = takeAll(hand, conn);

    assert.deepEqual(
      all.heard,
      [...heard, "answer 11 load", "answer 12 load"],
      "bulk goes last, in its own order",
    );
    assert.ok(all.pings > heard.length, "and messages in chunks were cut into");
  });
}

test("C4: what is told to many is in each one's order, whoever of them is slow", () => {
  const hand = new Hand();
  const conns = [hand.open(), hand.open(), hand.open()];
  const [, slow] = conns as [Conn, Conn, Conn];
  hand.transport.full.add(slow);
  hand.packets(slow, question(11), question(12));
  hand.does(loaded(11, BIG_BYTES)(slow));
  hand.does(loaded(12, 10)(slow));
  const image = new Uint8Array(BIG_BYTES);
  hand.does(tell(conns, "table", { image, epoch: 1 }));
  hand.does(asking("lock", { epoch: 1, ttid: TTID, tid: tidAt(9) })(slow));
  hand.does(tell(conns, "invalidate", { tid: tidAt(9), oids: [] }));

  const heard = takeAll(hand, slow).heard;

  assert.deepEqual(heard, [
    "tell table",
    "ask 1 lock",
    "tell invalidate",
    "answer 11 load",
    "answer 12 load",
  ]);
  for (const conn of conns.filter((one) => one !== slow)) {
    assert.deepEqual(hand.said(conn), ["tell table", "tell invalidate"]);
  }
});

test("C4: only heartbeats, the masters' agreement and the repair of notices are above commits, only reads and copies below, and everything that is told is among them", () => {
  const laneOf = (lane: keyof typeof lanes): string[] =>
    Object.entries(messages).flatMap(([name, row]) => (row.lane === lane ? [name] : []));
  const consensus = ["canvass", "ballot", "append", "install", "appended", "stand"];
  assert.deepEqual(laneOf("liveness"), ["ping", ...consensus, "missed"]);
  assert.ok(laneOf("bulk").includes("load"));
  assert.deepEqual(
    laneOf("bulk").filter((name) =>
      !/^load|^transactions$|^digest$|^slices$|^keys$|^rows$|^pick$|^use$/.test(name)
    ),
    [],
  );
  for (const [name, row] of Object.entries(messages)) {
    if ("ttid" in row.body) {
      assert.equal(row.lane, "commit", `a transaction stays in one lane, with its ${name}`);
    }
  }
  assert.deepEqual(lanes, { liveness: 0, commit: 1, bulk: 2 });
});
