/** B13: "O cells never hold up a commit": a copy that is out of date, and silent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

async function lagging() {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const [client, other] = [await stage.warm("c1"), await stage.warm("c2")];
  stage.storage("s2").kill();
  await stage.run();
  const tx = await stage.finish(other.begin());
  tx.store(oidAt(9), bytesOf("missed"));
  await stage.finish(tx.commit());
  stage.wires.hold("s1", "s2"); // it can't copy
  stage.startStorage("s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
  const next = await stage.finish(client.begin());
  next.store(oidAt(5), bytesOf("T"));
  return { stage, next };
}

test("B13: the lock of a copy that is out of date isn't waited for", async () => {
  const { stage, next } = await lagging();
  stage.wires.hold("s2", "m1");
  assert.ok(await stage.finish(next.commit()) > 0n);
});

test("B13: the vote of a copy that is out of date isn't waited for, but for a moment", async () => {
  const { stage, next } = await lagging();
  const warm = next.commit({ withinMs: 60_000 });
  stage.wires.hold("s2", "c1");
  let tid: bigint | undefined;
  warm.then((one) => (tid = one), () => undefined);
  await stage.pass(2_000);
  assert.ok(tid);
});
