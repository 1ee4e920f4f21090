/**
 * B8: a cluster that splits at its birth: masters that make up a cluster of their own, or two that were made under one name.
 * `init`, once, writes the cluster's id and first members; a master without them waits, and the id keeps strangers apart.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryDatabase, memoryMetadata } from "../../adapters/memory.ts";
import { seededRandom, sha256 } from "../../adapters/system.ts";
import { GUEST_MS, PATIENCE_MS } from "../../core/limits.ts";
import { MemberMachine } from "../../roles/master/member.ts";
import { StorageMachine } from "../../roles/storage/storage.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import type { Actor } from "./actors.ts";
import { HandStore } from "./hands.ts";
import { Stage } from "./kit.ts";
import { Puppet } from "./puppet.ts";
import { bytesOf, oidAt } from "./words.ts";

/** Plays a storage of another cluster with the same name, which seeks the master of this one. */
function playForeign(stage: Stage): Actor<StorageMachine> {
  const identity = { clusterId: "c-2", cluster: "test", name: "s1", diskId: "disk-s1", partitions: 2 };
  const disk = memoryDatabase(identity, sha256).open();
  const machine = new StorageMachine({
    state: disk.state,
    masters: ["m1:1"],
    address: "x1:1",
    digest: sha256,
  });
  return stage.play("x1", machine, {
    hello: machine.hello(),
    serves: ["client"],
    store: new HandStore(disk),
  });
}

function codesHeard(actor: Actor<unknown>): Set<string | undefined> {
  return new Set(actor.heard.filter(({ error }) => error).map(({ error }) => error?.code));
}

test("B8: a master whose store was never initialised waits, and makes no cluster of those who come", async () => {
  const stage = new Stage();
  const store = memoryMetadata(null).open();
  assert.equal(store.state.snapshot, null);
  const { state } = store;
  const machine = new MemberMachine({
    state,
    name: "m1",
    cluster: "test",
    digest: sha256,
    random: seededRandom(1),
  });
  const serves = ["storage", "client", "admin"] as const;
  const master = stage.play("m1", machine, { hello: machine.hello(), serves, store: new HandStore(store) });
  for (const name of stage.names) stage.startStorage(name);
  const { client, actor, connected } = stage.startClient("c1");
  connected.catch(() => undefined);
  const late = client.call("connect", {}, { withinMs: 2 * PATIENCE_MS });
  late.catch(() => undefined);
  await stage.pass(GUEST_MS - 1);
  assert.equal(master.heard.filter(({ what }) => what === "identified").length, 3);
  assert.deepEqual(codesHeard(actor), new Set());
  await stage.pass(PATIENCE_MS);
  for (const name of ["c1", ...stage.names]) {
    assert.deepEqual(codesHeard(stage.actor(name)), new Set(["notPrimary"]));
    const reason = stage.actor(name).heard.find(({ error }) => error)?.error?.message;
    assert.match(reason!, /m1 has no cluster yet; run `neo init`/);
  }
  for (const name of stage.names) assert.equal(stage.storage(name).machine.load.phase, "seeking");
  await stage.pass(2 * PATIENCE_MS);
  await assert.rejects(late, /has no cluster yet/);
  assert.deepEqual(stage.actor("m1").store.log, [], "nothing was written");
  master.terminate();
  await stage.run();
  assert.deepEqual(master.ended, {});
});

test("B8: a storage of another cluster with the same name isn't admitted, not even under a known disk id", async () => {
  const stage = new Stage();
  stage.startMaster();
  const foreign = playForeign(stage);
  await stage.run();
  assert.deepEqual(codesHeard(foreign), new Set(["wrongCluster"]));
  const reason = foreign.heard.find(({ error }) => error)?.error?.message;
  assert.match(reason!, /"test" has id c-[12] on this side, c-[12] on the other/);
  assert.ok(!hasHeard(stage.master, "identified"));
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.phase, "running", "its own storages are");
  assert.deepEqual(bodiesOf(foreign, "fence"), []);
});

test("B8: a client stays with the cluster whose id it knows, whoever answers at its address", async () => {
  const stage = await new Stage().open();
  const client = await stage.connect("c1");
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(4), bytesOf("x"));
  await stage.finish(tx.commit());
  stage.master.kill();
  const other = new Stage({ clusterId: "c-2" }); // of the same name, made by another init
  stage.startMaster({ image: other.image });
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.phase, "recovering", "the storages refuse it as well");
  assert.ok(!hasHeard(stage.master, "identified"));
  assert.ok(codesHeard(stage.actor("c1")).has("wrongCluster"));
  for (const name of stage.names) assert.ok(codesHeard(stage.actor(name)).has("wrongCluster"));
  const synced = client.sync();
  synced.catch(() => undefined);
  await stage.pass(5_000);
  await assert.rejects(synced, { code: "wrongCluster" });
  stage.master.kill();
  stage.startMaster();
  await stage.pass(5_000);
  assert.ok(await stage.finish(client.sync()) > 0n, "its own cluster is there again");
});

test("B8: a client of one cluster gets nothing from a storage of the other", async () => {
  const stage = await new Stage().open();
  const foreign = new Puppet(
    stage,
    "c9",
    stage.hello("client", { name: "c9", clusterId: "c-2", session: 1 }),
    [],
  );
  const { conn, error } = await foreign.dial("s1:1");
  assert.equal(conn, 0);
  assert.equal(error?.code, "wrongCluster");
  const identified = stage.storage("s1").heard.filter(({ what }) => what === "identified");
  assert.equal(identified.length, 1, "the master");
});
