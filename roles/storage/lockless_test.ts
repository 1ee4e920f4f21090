/** Writes that a cell took without a lock while it was out of date, when it becomes readable (A7). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import type { ClientSession, Conn, Ttid } from "../../core/ids.ts";
import { toOid, ttidOf, ZERO_TID } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import {
  answersOf,
  asksOf,
  asNode,
  asPartition,
  errorsOf,
  helloAs,
  serveStorage,
  storageBench,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";

const p0 = asPartition(0);
const oid = toOid(4);
const data = new TextEncoder().encode("text");
const checksum = sha256(data);
const first = ttidOf(1 as ClientSession, 1);
const second = ttidOf(2 as ClientSession, 1);

const none = new Uint8Array();
const note = { status: " ", user: none, description: none, extension: none, oids: [oid] };

/** A storage whose cell is out of date, and two clients of it. */
function scene() {
  const bench = storageBench();
  const table = tableOf({ storages: 2, replicas: 1, partitions: 1 })
    .changed(2, [{ partition: p0, node: asNode(2), state: "outOfDate", since: 2 }]);
  const primary = serveStorage(bench, { table });
  const clients = [1, 2].map((session) => bench.comes(helloAs("client", { session, epoch: 1 })).conn) as [
    Conn,
    Conn,
  ];
  const store = (conn: Conn, ttid: Ttid, ageMs: number): Effect[] => {
    const body = { ttid, version: 2, ageMs, oid, base: ZERO_TID, compression: 0, checksum, data };
    return bench.asked(conn, "store", { ...body, link: null, restore: false });
  };
  const vote = (conn: Conn, ttid: Ttid): Effect[] => {
    const digest = evidenceDigest([{ oid, base: ZERO_TID, mode: "store", checksum }], sha256);
    return bench.asked(conn, "vote", { ttid, version: 2, home: p0, count: 1, digest, note });
  };
  const becomeReadable = (): Effect[] => {
    const cells = [{ partition: p0, node: asNode(2), state: "upToDate", since: 2 }];
    const digest = table.changed(3, cells).digest(sha256);
    return bench.told(primary, "tableChange", {
      generation: 1,
      base: 2,
      version: 3,
      digest,
      cells,
      epoch: 1,
    });
  };
  return { bench, primary, clients, store, vote, becomeReadable };
}

const lockedOf = (effects: readonly Effect[]) =>
  answersOf(effects, "vote").map(({ evidence }) => evidence.cells.map(({ locked }) => locked));

test("A7: two that wrote an object without a lock and want one now: the older goes first, nobody waits for himself", () => {
  const { clients: [c1, c2], store, vote, becomeReadable, bench } = scene();
  store(c1, first, 10);
  store(c2, second, 20);
  assert.deepEqual(tellsOf(becomeReadable(), "settled"), []);
  assert.deepEqual(answersOf(store(c1, first, 10), "store"), [], "the second one still has the object");
  const again = store(c2, second, 20);
  assert.deepEqual(
    answersOf(again, "store").map(({ lockless }) => lockless),
    [false],
    "the older has its lock",
  );
  assert.deepEqual(lockedOf(vote(c1, first)), [[true]]);
  assert.deepEqual([answersOf(again, "store").length, errorsOf(again)], [1, []]);
  const aborted = bench.told(c1, "abort", { ttid: first, epoch: 1, nodes: [] });
  assert.deepEqual(answersOf(aborted, "store").map(({ lockless }) => lockless), [false], "then the younger");
});

test("A7: a younger one that has no lock is asked to let an older one through", () => {
  const { clients: [c1, c2], store, vote, becomeReadable, bench } = scene();
  store(c2, second, 20);
  assert.deepEqual(lockedOf(vote(c2, second)), [[false]]);
  becomeReadable();
  const waits = store(c1, first, 10);
  assert.deepEqual(tellsOf(waits, "deadlock").map(({ body }) => body.ttid), [second]);
  const relocked = bench.told(c2, "relock", { ttid: second, oid });
  assert.deepEqual(answersOf(relocked, "store").map(({ lockless }) => lockless), [false]);
  assert.deepEqual(lockedOf(vote(c2, second)), [], "it waits for the lock now");
});

test("A7: the primary hears `settled` when the last write that was taken without a lock has ended", () => {
  const { clients: [c1, c2], store, becomeReadable, bench, primary } = scene();
  store(c1, first, 10);
  store(c2, second, 20);
  becomeReadable();
  assert.deepEqual(tellsOf(bench.told(c1, "abort", { ttid: first, epoch: 1, nodes: [] }), "settled"), []);
  const last = tellsOf(bench.told(c2, "abort", { ttid: second, epoch: 1, nodes: [] }), "settled");
  assert.deepEqual(last, [{ conns: [primary], body: { epoch: 1, partition: p0, since: 2 } }]);
});

test("A7 A12: what a lost client has voted for is asked about at once: it may be over, and came late", () => {
  const { clients: [c1, c2], store, vote, becomeReadable, bench } = scene();
  store(c1, first, 10);
  vote(c1, first);
  becomeReadable();
  const [question, ...more] = asksOf(bench.lost(c1), "settle");
  assert.deepEqual([question?.message.body, more], [{ ttid: first, asks: true }, []]);
  assert.deepEqual(answersOf(store(c2, second, 20), "store"), [], "until then it keeps the object");
  const over = bench.answered(question!, { accepted: false });
  assert.deepEqual(answersOf(over, "store").map(({ lockless }) => lockless), [false]);
});
