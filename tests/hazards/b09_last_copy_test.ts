/** B9: what was discarded is deleted only while every partition has a readable copy elsewhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OperatorHand } from "../scenarios/damage_kit.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { bytesOf, oidAt } from "./words.ts";

test("B9: a storage that returns alone keeps the rows of its discarded cell while the new one's node is lost", async () => {
  const stage = await new Stage({ storages: 1, replicas: 0, partitions: 2 }).open();
  const client = await stage.warm("c1");
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf("only"));
  await stage.finish(tx.commit());
  const operator = new OperatorHand(stage);
  stage.startStorage("s2");
  await stage.run();
  await operator.ask("addNode", { name: "s2", weight: 0, path: [], replaces: "" });
  await stage.pass(10_000);
  await operator.begin("tweak", { ignored: [], dryRun: false });
  await stage.until(() => stage.master.machine.view.table.includes("3U"));
  stage.wires.hold("m1", "s1"); // it doesn't hear of the discard
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 3U\n1: 2U");
  for (const name of ["s1", "s2"]) stage.storage(name).kill();
  stage.wires.free("m1", "s1");
  await stage.run();
  stage.startStorage("s1");
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.phase, "recovering");
  assert.deepEqual([4, 5].map((oid) => storedAt(stage, "s1", oidAt(oid))), ["only", "only"]);
  stage.startStorage("s2");
  await stage.pass(30_000);
  assert.equal(stage.master.machine.view.phase, "running");
  assert.deepEqual([4, 5].map((oid) => storedAt(stage, "s1", oidAt(oid))), [undefined, "only"]);
});
