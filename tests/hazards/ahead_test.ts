/** Copies that are brought up to date while the cluster isn't operational. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { COPY_PAUSE_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import { Stage } from "./kit.ts";
import { readersOf, storedAt } from "./looks.ts";
import { bytesOf, oidAt } from "./words.ts";

test("T27: a copy gets what it lacks while another partition has no copy at all, and is readable as soon as that is back", async () => {
  const stage = await new Stage({ storages: 3, replicas: 1, partitions: 3 }).open();
  const client = await stage.warm("c1");
  const both = [0, 1, 2].map((partition) => readersOf(stage, partition));
  const shared = both.findIndex((names) => names.includes("s1") && names.includes("s2"));
  const lone = both.findIndex((names) => names.includes("s2") && names.includes("s3"));
  const X = oidAt(9 + shared);

  stage.storage("s2").kill();
  await stage.run();
  const tx = await stage.finish(client.begin());
  for (const partition of [shared, lone]) tx.store(oidAt(9 + partition), bytesOf("later"));
  await stage.finish(tx.commit());
  for (const source of ["s1", "s3"]) stage.wires.hold(source, "s2");
  stage.startStorage("s2");
  await stage.run();
  assert.deepEqual([readersOf(stage, shared), readersOf(stage, lone)], [["s1"], ["s3"]]);

  stage.storage("s3").kill();
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "recovering");
  assert.equal(storedAt(stage, "s2", X), undefined);
  stage.wires.free("s1", "s2");
  await stage.pass(COPY_PAUSE_MS); // its first attempt was in vain
  assert.equal(stage.master.machine.view.phase, "recovering");
  assert.equal(storedAt(stage, "s2", X), "later", "brought while nobody could be served");
  assert.deepEqual(readersOf(stage, shared), ["s1"], "nobody has said that it is complete");

  stage.wires.free("s3", "s2");
  stage.startStorage("s3");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  assert.deepEqual([0, 1, 2].map((partition) => readersOf(stage, partition)), both);
});
