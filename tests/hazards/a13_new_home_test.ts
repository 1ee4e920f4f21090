/**
 * A13: a storage that got the home cell of a transaction after the client had chosen what it sends it: only what was sent to it
 * may be vouched for. Found by the simulator: the vote said that it is home, and so the primary counted a cell that had
 * none of the partition's objects.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex } from "../../core/ids.ts";
import { bodiesOf } from "./actors.ts";
import { HandPrimary } from "./hand_primary.ts";
import type { FinishQuestion } from "./hand_primary.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

/** The partitions for which a storage's vote stands in a finish. */
function vouched({ body }: FinishQuestion, storage: number): number[] {
  const node = (storage + 1) as NodeIndex;
  return body.evidence.find((one) => one.node === node)!.cells.map(({ partition }) => partition).sort();
}

test("A13: a home cell that comes between store and vote isn't vouched for until its objects are there", async () => {
  const stage = new Stage({ storages: 2, replicas: 0, partitions: 2 });
  const { primary, client } = await HandPrimary.open(stage, 2);
  const tx = await stage.finish(client.begin());
  for (const oid of [4, 5]) tx.store(oidAt(oid), bytesOf(`object ${oid}`));
  stage.wires.hold("c1", "s2");
  const commit = tx.commit();
  await stage.run();
  primary.change([0, 2, "outOfDate"]);
  primary.change([0, 2, "upToDate"]);
  await stage.run();
  stage.wires.free("c1", "s2");
  await stage.run();

  const early = primary.question("finish");
  assert.equal(early.body.home, 0);
  assert.deepEqual(bodiesOf(stage.storage("s2"), "store").map(({ oid }) => oid), [5n]);
  assert.deepEqual(vouched(early, 2), [1]);

  primary.missing(early, [0, 2]);
  await stage.run();
  const late = primary.question("finish");
  assert.deepEqual([vouched(late, 1), vouched(late, 2)], [[0], [0, 1]]);
  await primary.commit(late, 100);
  assert.equal(await stage.finish(commit), 100n);
  const { store } = stage.storage("s2");
  assert.deepEqual(store.read({ read: "latest", oid: oidAt(4) }), { read: "latest", tid: 100n });
});
