/**
 * A lock that verification has voided: on a copy that isn't readable it doesn't count, and is dropped. Once that copy may be
 * readable, it mustn't be there again, whatever a crash takes back.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { COPY_PAUSE_MS } from "../../core/limits.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { bytesOf, oidAt } from "./words.ts";

const [X, Y] = [oidAt(5), oidAt(6)];

test("A8 T17: a lock that verification voided doesn't come back with a copy that became readable behind it", async () => {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const [first, second] = [await stage.warm("c1"), await stage.warm("c2")];
  const commit = async (client: typeof first, oid: typeof X): Promise<void> => {
    const tx = await stage.finish(client.begin());
    tx.store(oid, bytesOf("void"));
    tx.commit().catch(() => {}); // its client is killed before it hears of it
    await stage.run();
  };
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.hold("m1", "s1"); // locks
  await commit(first, Y);
  assert.equal(stage.master.machine.view.table, "0: 2U 3O");
  stage.startStorage("s2");
  await stage.run();
  await commit(second, X);
  assert.equal(
    bodiesOf(stage.storage("s2"), "lock").length,
    1,
    "only the copy that isn't readable has locked it",
  );
  for (const name of ["c1", "c2"]) stage.actor(name).kill();

  stage.storage("s1").kill();
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "recovering");
  stage.wires.free("m1", "s1");
  stage.startStorage("s1");
  const targets = (): number =>
    stage.storage("s2").heard.filter(({ what }) => what === "answered catchUp").length;
  await stage.run();
  const before = targets();
  stage.time.advance(stage.time.nowMs + COPY_PAUSE_MS); // the primary wasn't ready for the first question
  await stage.until(() => targets() > before);
  stage.wires.hold("m1", "s2"); // it is readable, and hasn't heard so
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", "it lacks nothing that was published");
  stage.master.kill();
  stage.storage("s2").kill();
  stage.wires.free("m1", "s2");
  stage.startMaster();
  stage.startStorage("s2");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", stage.problems);
  assert.deepEqual(["s1", "s2"].map((name) => storedAt(stage, name, X)), [undefined, undefined]);
});
