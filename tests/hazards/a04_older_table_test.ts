/**
 * A4 and D2: whoever has an older table than the one that a message was made with doesn't know what it holds. A write that is
 * acknowledged and not kept, a copy or a load from a storage that was outdated and hasn't heard of it, would be lost
 * writes that nobody notices. So it waits for its table; and with a newer one it says that it has no such cell.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { ZERO_TID } from "../../core/ids.ts";
import { COPY_PAUSE_MS } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import type { CellState } from "../../core/partition_table.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { Puppet, puppetClient, serving } from "./puppet.ts";
import type { PuppetPrimary } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

/** s1's cell of partition 0 changes, and it hears of it. */
function change(primary: PuppetPrimary, state: CellState | "discarded"): void {
  const version = primary.table.version + 1;
  const since = state === "outOfDate" ? version : 1;
  primary.table.apply(version, [{ partition: 0 as Partition, node: 2 as NodeIndex, state, since }]);
  primary.tell(primary.conn, "table", { image: primary.table.toImage(), epoch: 1 });
}

async function scene() {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  const primary = await serving(stage);
  return { stage, primary, ...await puppetClient(stage) };
}

test("A4: a store and its vote that were made with a newer table wait for it, and are judged by it", async () => {
  const { stage, primary, puppet, conn } = await scene();
  const body = storeOf({ ttid: ttidAt(1, 1), oid: 4, version: 2 });
  const store = puppet.ask(conn, "store", body);
  const vote = puppet.ask(conn, "vote", voteOf([body]));
  await stage.run();
  assert.deepEqual([store, vote], [{}, {}], "acknowledged is only what is kept");
  assert.deepEqual([stage.storage("s1").machine.load.parked, stage.storage("s1").machine.load.transactions], [
    2,
    0,
  ]);
  change(primary, "outOfDate");
  await stage.run();
  assert.deepEqual(store.answer, { lockless: true });
  assert.deepEqual(vote.answer?.evidence.cells, [{ partition: 0, since: 2, locked: false }]);
});

test("A4: a store that was made with an older table, for a cell that isn't here any more, is refused: its client looks again", async () => {
  const { stage, primary, puppet, conn } = await scene();
  change(primary, "discarded");
  await stage.run();
  const store = puppet.ask(conn, "store", storeOf({ ttid: ttidAt(1, 1), oid: 4, version: 1 }));
  await stage.run();
  assert.equal(store.error?.code, "notAssigned");
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
});

test("A4 A5: a cell that is outdated between store and vote has nothing of it: it is stored there again", async () => {
  const { stage, primary, puppet, conn } = await scene();
  const body = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  const store = puppet.ask(conn, "store", body);
  await stage.run();
  assert.ok(store.answer);
  change(primary, "outOfDate");
  await stage.run();
  const vote = puppet.ask(conn, "vote", voteOf([body], { version: 2 }));
  await stage.run();
  assert.equal(vote.error?.code, "lacks");
});

test("D2: a load that was made with a newer table waits at a storage that doesn't know of its outdating", async () => {
  const { stage, primary, puppet, conn } = await scene();
  const body = storeOf({ ttid: ttidAt(1, 1), oid: 4, text: "old" });
  puppet.ask(conn, "store", body);
  puppet.ask(conn, "vote", voteOf([body]));
  await stage.run();
  primary.lock(body.ttid, tidAt(10));
  await stage.run();
  primary.unlock(body.ttid, tidAt(10));
  const known = puppet.ask(conn, "load", { oid: oidAt(4), at: tidAt(10), version: 1 });
  await stage.run();
  assert.equal(textOf(known.answer?.revision.data), "old");
  const loads = (["load", "loadMany"] as const).map((name) => {
    const more = name === "load" ? { oid: oidAt(4) } : { oids: [oidAt(4)] };
    return puppet.ask(conn, name, { ...more, at: tidAt(20), version: 2 } as Body<"load"> & Body<"loadMany">);
  });
  await stage.run();
  assert.deepEqual(loads, [{}, {}], "the old value isn't what is current in that table");
  change(primary, "outOfDate");
  await stage.run();
  assert.deepEqual(loads.map(({ error }) => error?.code), ["notReadable", "notReadable"]);
});

test("D2: a storage that was outdated and hasn't heard of it is no source for other copies", async () => {
  const stage = await new Stage({ storages: 3, replicas: 2, partitions: 1 }).open();
  const client = await stage.warm("c1");
  stage.storage("s3").kill();
  await stage.run();
  stage.wires.hold("m1", "s2");
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("T"));
  await stage.finish(tx.commit()); // s2 is named failed, and outdated
  assert.equal(stage.master.machine.view.table, "0: 2U 3O 4O");
  const copier = new Puppet(stage, "s9", stage.hello("storage", { name: "s9", diskId: "disk-s9" }), []);
  const { conn } = await copier.dial("s2:1", { epoch: 1 });
  const range = { partition: 0 as Partition, upTo: tidAt(2 ** 62), settled: false, packBound: ZERO_TID };
  const all = (version: number) => [
    copier.ask(conn, "rows", { ...range, after: { tid: ZERO_TID, oid: null }, version }),
    copier.ask(conn, "slices", { ...range, after: ZERO_TID, count: 8, version }),
    copier.ask(conn, "keys", { ...range, after: ZERO_TID, version }),
    copier.ask(conn, "pick", { partition: range.partition, transactions: [], revisions: [], version }),
  ];
  const early = all(2);
  await stage.run();

  for (const { answer } of early) assert.ok(answer, "by the table that both know it is one");
  const late = all(3);
  await stage.run();
  assert.deepEqual(late, [{}, {}, {}, {}], "who asks knows more than it");
  stage.wires.hold("s1", "s2"); // it won't be up to date again
  stage.wires.free("m1", "s2");
  await stage.run();
  assert.deepEqual(late.map(({ error }) => error?.code), Array(4).fill("notReadable"));
  stage.wires.free("s1", "s2");
  stage.startStorage("s3");
  await stage.pass(COPY_PAUSE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U 4U");
  for (const name of stage.names) assert.equal(storedAt(stage, name, 4n), "T", name);
});
