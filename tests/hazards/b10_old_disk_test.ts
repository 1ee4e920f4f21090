/**
 * B10: a master that was put back on an old disk may start often enough to come to an epoch that no storage has seen. It then
 * must not give again what it has given: storages say which oids and which client sessions they know (T39).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionOf } from "../../core/ids.ts";
import { Metadata } from "../../roles/master/metadata.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt } from "./words.ts";

test("B10 T39: a master on an old disk that climbs over the storages' epoch gives no client session again", async () => {
  const stage = await new Stage({ storages: 1, replicas: 0, partitions: 1 }).open();
  for (const name of ["c1", "c2", "c3"]) await stage.warm(name);
  const sessions = ["c1", "c2", "c3"].map((name) => bodiesOf(stage.actor(name), "welcome")[0]!.session);
  for (const name of ["c1", "c2", "c3", "m1"]) stage.actor(name).kill();
  await stage.run();
  const old = Metadata.ofImage(stage.image); // as init made it, after some starts: no session is given there
  old.apply({ type: "opened", epoch: 5 });
  stage.startMaster({ image: old.toImage() });
  await stage.pass(5_000);
  assert.equal(stage.master.machine.view.phase, "running", stage.problems);
  const client = await stage.connect("c4");
  const { session } = bodiesOf(stage.actor("c4"), "welcome")[0]!;
  assert.ok(session > Math.max(...sessions), `session ${session} is new, ${sessions} were given`);
  const tx = await stage.finish(client.begin());
  tx.store(oidAt(9), bytesOf("later"));
  assert.ok(await stage.finish(tx.commit()) > 0n);
  const [finish] = bodiesOf(stage.master, "finish").slice(-1);
  assert.equal(sessionOf(finish!.ttid), session);
});
