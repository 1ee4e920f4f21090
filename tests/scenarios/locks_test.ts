/** What waits for a lock, and what it finds when the lock is gone: stores behind stores, reads behind a commit that is published. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObjectConflict, Resolver } from "../../roles/client/resolving.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { adding, connectCaching, connectWarm, sum, timesHeard, timesSaid, valuesOf } from "./kit.ts";
import type { Scene } from "./kit.ts";

const PAIR = { storages: 2, replicas: 1, partitions: 1 };
const ALONE = { storages: 1, replicas: 0, partitions: 1 };
const X = oidAt(5);

for (const cacheBytes of [0, 1024 * 1024]) {
  test(`16.1/012 a store that comes before the unlock of the last commit waits (cache: ${cacheBytes})`, async () => {
    const stage = await new Stage(PAIR).open();
    const scene = await connectWarm(stage, "c1", cacheBytes);
    const first = await adding(stage, scene, [X], 1);
    const locks = timesHeard(stage, "s1", "asked lock");
    const commit = first.commit();
    await stage.until(() => timesHeard(stage, "s1", "asked lock") > locks);
    stage.wires.hold("m1", "s1"); // its unlock
    await stage.finish(commit);
    const second = await stage.finish(scene.client.begin());
    second.store(X, Uint8Array.of(3), { base: await commit }); // loading it would wait as well
    const later = second.commit();
    const answers = timesSaid(stage, "s1", "answer store");
    await stage.run();
    assert.equal(timesSaid(stage, "s1", "answer store"), answers, "its store waits");
    stage.wires.free("m1", "s1");
    assert.ok(await stage.finish(later) > await commit);
    for (const name of stage.names) {
      assert.equal(timesSaid(stage, name, "refuse conflict"), 0);
      assert.equal(timesSaid(stage, name, "tell deadlock"), 0, "it waits for an older one");
    }
    assert.deepEqual(await valuesOf(stage, scene, [X]), [3]);
  });
}

/** A resolver that waits until the test lets it go on. */
function held(): { readonly resolve: Resolver; readonly conflicts: readonly ObjectConflict[]; free(): void } {
  const conflicts: ObjectConflict[] = [];
  const gate = Promise.withResolvers<void>();
  const resolve: Resolver = async (conflict) => {
    conflicts.push(conflict);
    await gate.promise;
    return await sum(conflict);
  };
  return { resolve, conflicts, free: () => gate.resolve() };
}

/** All values of an object, newest first. */
async function historyOf(stage: Stage, { client }: Scene): Promise<number[]> {
  const values: number[] = [];
  const records = client.records();
  for (;;) {
    const { done, value } = await stage.finish(records.next());
    if (done) return values.reverse();
    for (const { oid, data } of value.records) if (oid === X) values.push(data![0]!);
  }
}

for (const isMiddleFirst of [true, false]) {
  const order = isMiddleFirst ? "while the other resolves" : "after the other has resolved";
  test(`16.1/017 three change one object from one revision: all commit in order, the last resolves twice (${order})`, async () => {
    const stage = await new Stage(PAIR).open();
    const [one, two, three] = [
      await connectWarm(stage, "c1"),
      await connectWarm(stage, "c2"),
      await connectWarm(stage, "c3"),
    ];
    const zero = await stage.finish(one.client.begin());
    zero.store(X, Uint8Array.of(0));
    const base = await stage.finish(zero.commit());
    const [second, third] = [held(), held()];
    const transactions = [await adding(stage, one, [X], 3)];
    await stage.pass(5);
    transactions.push(await adding(stage, two, [X], 5, second.resolve));
    await stage.pass(5);
    transactions.push(await adding(stage, three, [X], 7, third.resolve));
    const first = await stage.finish(transactions[0]!.commit());
    const last = transactions[2]!.commit();
    await stage.run();
    const middle = transactions[1]!.commit(); // older than the last, which holds the lock while it resolves
    await stage.run();
    assert.deepEqual([second.conflicts.length, third.conflicts.length], [1, 1]);
    for (const one of isMiddleFirst ? [second, third] : [third, second]) {
      assert.equal(third.conflicts.length, 1, "its first result isn't stored on top of the older one's");
      one.free();
      await stage.run();
    }
    const [then, end] = await stage.finish(Promise.all([middle, last]));
    assert.ok(base < first && first < then && then < end);
    assert.deepEqual(second.conflicts.map(({ baseTid, savedTid }) => [baseTid, savedTid]), [[base, first]]);
    assert.deepEqual(
      third.conflicts.map(({ baseTid, savedTid }) => [baseTid, savedTid]),
      [[base, first], [first, then]],
      "the last resolves twice, the second time on top of its first result",
    );
    for (const each of [one, await connectCaching(stage, "c4", 0)]) {
      assert.deepEqual(await historyOf(stage, each), [15, 8, 3, 0]);
      assert.deepEqual(await valuesOf(stage, each, [X]), [15]);
    }
  });
}

test("16.1/019 a read between lock and unlock waits, and is answered once, with the new value", async () => {
  const stage = await new Stage(ALONE).open();
  const [writer, reader] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  await stage.finish((await adding(stage, writer, [X], 1)).commit());
  const tx = await adding(stage, writer, [X], 1);
  const locks = timesHeard(stage, "s1", "asked lock");
  const commit = tx.commit();
  await stage.until(() => timesHeard(stage, "s1", "asked lock") > locks);
  stage.wires.hold("m1", "s1"); // its unlock
  const tid = await stage.finish(commit);
  const snapshot = await stage.finish(reader.client.snapshot());
  assert.equal(snapshot.at, tid, "it is published");
  const [asked, answered] = [timesHeard(stage, "s1", "asked load"), timesSaid(stage, "s1", "answer load")];
  const found = snapshot.load(X);
  await stage.run();
  assert.equal(timesHeard(stage, "s1", "asked load"), asked + 1);
  assert.equal(timesSaid(stage, "s1", "answer load"), answered);
  assert.equal(stage.storage("s1").machine.load.reads, 1, "parked; the node stands still");
  stage.wires.free("m1", "s1");
  const revision = await stage.finish(found);
  assert.deepEqual([revision?.tid, revision?.next, revision?.data], [tid, null, Uint8Array.of(2)]);
  assert.equal(timesSaid(stage, "s1", "answer load"), answered + 1, "once");
  assert.equal(timesHeard(stage, "s1", "asked load"), asked + 1, "and asked once");
  assert.equal(stage.storage("s1").machine.load.reads, 0);
});
