/** What operators do to data: truncation while storages die, comparing copies; and what a primary makes of odd reports. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { FAILOVER_GRACE_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { Stage } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import type { Reply } from "../hazards/puppet.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { asksOf, asPartition, asTid, emptyReport, masterBench, storageHello, tableOf } from "../machines.ts";
import { assertQuiet, storedAt } from "./failures_kit.ts";
import { commitTexts, connectWarm, FileDisk } from "./kit.ts";

const X = oidAt(4);

async function operator(stage: Stage) {
  const puppet = new Puppet(stage, "a1", stage.hello("admin", { name: "a1" }), []);
  const { conn } = await puppet.dial("m1:1");
  return { puppet, conn };
}

test("16.2/044 a truncation while storages die: each does it before anything else, none keeps or gives what is gone", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const [one, two] = [await connectWarm(stage, "c1", 1_000_000), await connectWarm(stage, "c2", 1_000_000)];
  const kept = await commitTexts(stage, one, [[X, "kept"]]);
  const gone = await commitTexts(stage, two, [[X, "gone"], [oidAt(5), "gone"]]);
  assert.equal(textOf((await read(stage, one.client, X))?.data), "gone", "in its cache");
  const tx = await stage.finish(one.client.begin());
  tx.store(oidAt(6), bytesOf("under way"));
  stage.wires.hold("c1", "m1");
  const commit = tx.commit();
  commit.catch(() => undefined); // begun again behind the truncation, or not
  await stage.run();
  const { puppet, conn } = await operator(stage);
  stage.storage("s1").kill(); // it hasn't heard of it
  await stage.run();
  const noop = puppet.ask(conn, "truncate", { tid: (gone + 1n) as Tid });
  await stage.run();
  assert.equal(noop.error?.code, "denied", "there is nothing behind it");
  const reply = puppet.ask(conn, "truncate", { tid: kept });
  await stage.until(() => reply.answer !== undefined || reply.error !== undefined);
  assert.ok(reply.answer, reply.error?.message);
  stage.storage("s2").kill(); // while it does
  await stage.run();
  stage.startStorage("s2");
  await stage.run();
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.free("c1", "m1");
  for (const name of stage.names) stage.startStorage(name);
  await stage.pass(STARTUP_GRACE_MS + FAILOVER_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  for (const { client } of [one, two]) {
    assert.equal(textOf((await read(stage, client, X))?.data), "kept", "caches forget it as well");
    assert.equal(await read(stage, client, oidAt(5)), undefined);
  }
  for (const name of stage.names) {
    assert.deepEqual([storedAt(stage, name, X), storedAt(stage, name, oidAt(5))], ["kept", undefined]);
  }
  const next = await commitTexts(stage, two, [[X, "next"]]);
  assert.ok(next > gone, "the tids of what is gone are given to nobody else");
  assertQuiet(stage);
});

async function read(stage: Stage, client: Awaited<ReturnType<typeof connectWarm>>["client"], oid: Oid) {
  const snapshot = await stage.finish(client.snapshot());
  return await stage.finish(snapshot.load(oid));
}

test("16.2/051 rows of cells that a storage hasn't any more, or that aren't readable, say nothing of the last tid", () => {
  const shape = { storages: 2, replicas: 0, partitions: 2 }; // 0 is s1's, 1 is s2's
  const bench = masterBench(shape);
  bench.give({ type: "opened" });
  const effects = [1, 2].flatMap((number) => {
    const came = bench.comes(storageHello(number));
    const lastTids = [0, 1].map((partition) => ({
      partition: asPartition(partition),
      tid: asTid(partition === number - 1 ? 10 * number : 9_000_000),
    }));
    return bench.answered(asksOf(came.effects, "fence")[0]!, { ...emptyReport(tableOf(shape)), lastTids });
  });
  for (const start of asksOf(effects, "start")) bench.answered(start, {});
  assert.deepEqual([bench.machine.view.phase, bench.machine.view.lastTid], ["running", 20n]);
});

/** Two copies on files, of which s2's has lost a row and has another value of one; compared by an operator. */
async function damaged() {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 2 });
  const files = stage.names.map((name) => new FileDisk(stage, name));
  stage.startMaster();
  stage.names.forEach((name, at) => stage.startStorage(name, { disk: files[at]!.disk }));
  await stage.run();
  const scene = await connectWarm(stage, "c1");
  await commitTexts(stage, scene, [[X, "whole"], [oidAt(6), "whole"], [oidAt(7), "whole"]]);
  const { puppet, conn } = await operator(stage);
  const verify = async (more: { from?: string; repair?: boolean } = {}): Promise<Reply<"verifyTable">> => {
    const body = { first: asPartition(0), count: 2, from: "", repair: false, ...more };
    const reply = puppet.ask(conn, "verifyTable", body);
    await stage.run();
    await stage.pass(STARTUP_GRACE_MS);
    return reply;
  };
  return { stage, files, scene, verify };
}

test("16.5/146 copies are compared: equal ones are found equal, and the cluster runs on meanwhile", async () => {
  const { stage, files, scene, verify } = await damaged();
  try {
    const { answer, error } = await verify();
    assert.ok(answer, error?.message);
    assert.deepEqual(answer.cells.filter(({ state }) => state !== "equal"), []);
    await commitTexts(stage, scene, [[X, "later"]]);
  } finally {
    for (const file of files) file[Symbol.dispose]();
  }
});

/** s2 comes back with a value in which its disk has turned a bit. */
async function turnBit(stage: Stage, disk: FileDisk): Promise<void> {
  stage.storage("s2").kill();
  await stage.run();
  disk.damage(
    "UPDATE data SET value = CAST('WHOLE' AS BLOB) WHERE id = (SELECT data_id FROM obj WHERE oid = 4 LIMIT 1)",
  );
  stage.startStorage("s2", { disk: disk.disk });
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U\n1: 2U 3U");
}

test("16.5/147 a copy whose data isn't what was stored is found, and made anew from a good one when that is wanted", async () => {
  const { stage, files, scene, verify } = await damaged();
  try {
    await turnBit(stage, files[1]!);
    const found = await verify();
    assert.ok(found.answer, found.error?.message);
    const bad = found.answer.cells.filter(({ state }) => state !== "equal").map((
      { name, partition, broken },
    ) => [name, partition, broken]);
    assert.deepEqual(bad, [["s2", 0, 1]]);
    assert.equal(stage.master.machine.view.table, "0: 2U 3U\n1: 2U 3U", "finding changes nothing");
    assert.equal(textOf((await read(stage, scene.client, X))?.data), "whole");
    const repaired = await verify({ repair: true });
    assert.ok(
      repaired.answer?.cells.some(({ name, repaired }) => name === "s2" && repaired),
      repaired.error?.message,
    );
    const again = await verify();
    assert.deepEqual(again.answer?.cells.filter(({ state }) => state !== "equal"), []);
    assert.deepEqual([storedAt(stage, "s1", X), storedAt(stage, "s2", X)], ["whole", "whole"]);
  } finally {
    for (const file of files) file[Symbol.dispose]();
  }
});
