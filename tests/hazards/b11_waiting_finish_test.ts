/**
 * B11: who asks what became of a transaction while its `finish` still waits to be judged is told that nothing did. From that
 * answer on it is true: that finish isn't accepted later, when what it waited for is there.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, NodeIndex, Partition } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { Puppet } from "./puppet.ts";
import { finishOf, storeOf, voteOf } from "./words.ts";

test("B11 X7: a finish that waits is void once its client was told that nothing became of it", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const { conn: master } = await puppet.dial("m1:1");
  const { session, epoch } = bodiesOf(puppet.actor, "welcome")[0]!;
  const store = storeOf({ ttid: ttidOf(session as ClientSession, 1), oid: 4, text: "T" });
  const { conn } = await puppet.dial("s1:1", { session, epoch });
  puppet.ask(conn, "store", store);
  const vote = puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  stage.wires.hold("s1", "m1");
  const failed = [{ node: 3 as NodeIndex, session: 2 }];
  const finish = puppet.ask(master, "finish", finishOf([store], [vote.answer!.evidence], { failed }));
  await stage.run();
  assert.deepEqual(finish, {}, "s1 is heard before s2 is given up");

  const outcome = puppet.ask(master, "outcome", { ttid: store.ttid, home: 0 as Partition });
  await stage.run();
  stage.wires.free("s1", "m1");
  await stage.until(() => outcome.answer !== undefined);
  await stage.run();

  assert.equal(outcome.answer!.tid, null);
  assert.equal(bodiesOf(stage.storage("s1"), "lock").length, 0, "it isn't accepted any more");
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", "and nobody is given up for it");
});
