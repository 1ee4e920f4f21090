/**
 * A13: half a transaction voted, because the connection broke between its stores and came back. A vote names count and digest of
 * all that the node must hold, and what an unvoted transaction stored goes with its socket.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Evidence } from "../../core/messages.ts";
import { bodiesOf, hasHeard, placeOf } from "./actors.ts";
import type { Actor } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet, puppetClient, PuppetPrimary, serving } from "./puppet.ts";
import { bytesOf, oidAt, storeOf, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

/** Ten stores of one transaction. */
function tenStores(session: number = 1): ReturnType<typeof storeOf>[] {
  return Array.from(
    { length: 10 },
    (_, oid) => storeOf({ ttid: ttidAt(session, 1), oid, text: `object ${oid}` }),
  );
}

test("A13: five stores, a broken connection, five more: the vote is refused with what is there", async () => {
  const stage = new Stage(SOLO);
  await serving(stage);
  const stores = tenStores();
  const first = await puppetClient(stage);
  for (const store of stores.slice(0, 5)) first.puppet.ask(first.conn, "store", store);
  await stage.run();
  stage.wires.cut("c1", "s1");
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 0, "what isn't voted goes with its socket");
  const { conn } = await first.puppet.dial("s1:1");
  for (const store of stores.slice(5)) first.puppet.ask(conn, "store", store);
  const half = first.puppet.ask(conn, "vote", voteOf(stores));
  await stage.run();
  assert.equal(half.error?.code, "lacks");
  assert.deepEqual(half.error?.code === "lacks" && half.error.detail.held, [5n, 6n, 7n, 8n, 9n]);
  assert.ok(!stage.storage("s1").store.log.some((done) => done.includes("vote")), "nothing is promised");
  for (const store of stores.slice(0, 5)) first.puppet.ask(conn, "store", store);
  const whole = first.puppet.ask(conn, "vote", voteOf(stores));
  await stage.run();
  assert.ok(whole.answer);
});

test("A13: a vote over other data, other bases or other objects is refused", async () => {
  const stage = new Stage(SOLO);
  await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const stores = tenStores();
  for (const store of stores) puppet.ask(conn, "store", store);
  const others = [
    { text: "other data", oid: 9 },
    { text: "object 9", oid: 9, base: 7n },
    { text: "object 9", oid: 10 },
  ];
  for (const other of others) {
    const changed = [...stores.slice(0, 9), storeOf({ ttid: ttidAt(1, 1), ...other })];
    const vote = puppet.ask(conn, "vote", voteOf(changed));
    await stage.run();
    assert.equal(vote.error?.code, "lacks", other.text);
  }
  const right = puppet.ask(conn, "vote", voteOf(stores));
  await stage.run();
  assert.ok(right.answer);
});

test("A13: a vote stands when its socket goes, and a store behind it takes it back", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const stores = tenStores();
  for (const store of stores) puppet.ask(conn, "store", store);
  puppet.ask(conn, "vote", voteOf(stores));
  await stage.run();
  stage.wires.cut("c1", "s1");
  await stage.run();
  assert.equal(stage.storage("s1").machine.load.transactions, 1);
  const again = await puppet.dial("s1:1");
  puppet.ask(again.conn, "store", storeOf({ ttid: ttidAt(1, 1), oid: 9, text: "changed" }));
  await stage.run();
  const locked = primary.lock(ttidAt(1, 1), 100n as never);
  await stage.run();
  assert.equal(locked.error?.code, "unknownTransaction", "what was voted isn't what is here");
});

test("A13: a connection that breaks and is back within one round keeps its locks", async () => {
  const stage = new Stage(SOLO);
  await serving(stage);
  const { puppet, conn } = await puppetClient(stage);
  const store = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  puppet.ask(conn, "store", store);
  await stage.run();
  const again = await puppet.dial("s1:1");
  const { store: disk } = stage.storage("s1");
  disk.holdsSaves = true; // a long flush: what comes meanwhile makes one round
  const busy = await puppetClient(stage, { name: "c2", session: 2 });
  busy.puppet.ask(busy.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 5 }));
  await stage.run();
  puppet.close(conn);
  await stage.run();
  const stored = puppet.ask(again.conn, "store", store);
  await stage.run();
  disk.free();
  await stage.run();
  assert.ok(stored.answer);
  const rival = busy.puppet.ask(busy.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 4 }));
  await stage.run();
  assert.deepEqual(rival, {}, "the lock that went with the old connection isn't the new one's");
});

test("A13: a client stores again what a storage lacks, and only then votes", async () => {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 2 });
  stage.startMaster();
  const storage = new Puppet(
    stage,
    "s1",
    stage.hello("storage", { name: "s1", diskId: "disk-s1", address: "s1:1" }),
  );
  const { table } = new PuppetPrimary(stage, "m9");
  const { generation, version } = table;
  storage.auto.set(
    "fence",
    () => ({ generation, version, votes: [], locks: [], lastTids: [], lastOid: null, lastTtid: null }),
  );
  for (const name of ["start", "lock"] as const) storage.auto.set(name, () => ({}));
  storage.auto.set("store", () => ({ lockless: false }));
  await storage.dial("m1:1");
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit();
  await stage.run();
  const first = storage.question("vote");
  storage.refuse(first, { code: "lacks", message: "not all is here", detail: { held: [oidAt(4)] } });
  await stage.run();
  const second = storage.question("vote");
  const behind = placeOf(storage.actor, "asked vote") + 1;
  assert.ok(placeOf(storage.actor, "asked store", behind) < placeOf(storage.actor, "asked vote", behind));
  assert.deepEqual(
    new Set(bodiesOf(storage.actor, "store").slice(2).map(({ oid }) => oid)),
    new Set([4n, 5n]),
  );
  const cells = [0, 1].map((partition) => ({ partition, since: 1, locked: true }));
  storage.answer(second, "vote", { evidence: { node: 2, session: 1, cells } as unknown as Evidence });
  assert.ok(await stage.finish(commit) > 0n);
});

test("A13: a commit whose connection to one copy breaks between its stores is whole on every copy that counts", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.warm("c1");
  stage.wires.hold("c1", "s2");
  stage.wires.hold("s2", "s1"); // what is outdated stays so
  const tx = await stage.finish(client.begin());
  for (let oid = 0; oid < 10; oid++) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit();
  await stage.run();
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2"); // s2 gets nothing of it
  assert.ok(await stage.finish(commit) > 0n);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
  const s1: Actor<unknown> = stage.storage("s1");
  assert.ok(
    hasHeard(s1, "asked lock") && bodiesOf(stage.storage("s2"), "lock").length === 1,
    "s2 only the first one",
  );
});

test("A13: a connection that breaks and comes back costs no copy: all of it is sent again", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const client = await stage.warm("c1");
  stage.wires.hold("c1", "s2");
  const tx = await stage.finish(client.begin());
  for (let oid = 0; oid < 10; oid++) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  const commit = tx.commit();
  await stage.run();
  stage.wires.cut("c1", "s2");
  assert.ok(await stage.finish(commit) > 0n);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  assert.equal(bodiesOf(stage.storage("s2"), "lock").length, 2, "it has both");
});
