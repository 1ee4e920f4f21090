/** The oldest snapshot of each client is known to the primary (T54). */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tid } from "../../core/ids.ts";
import { FLOOR_LOOK_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { Snapshot } from "../../roles/client/transaction.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt } from "../hazards/words.ts";
import { SimRandom } from "../simulation/random.ts";
import { OperatorHand } from "./damage_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";

async function opened() {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 2 }).open();
  const [one, two] = [await connectCaching(stage, "c1", 0), await connectCaching(stage, "c2", 0)];
  const operator = new OperatorHand(stage);
  const oldest = async () => (await operator.ask("status", {})).oldestSnapshot;
  return { stage, one, two, oldest };
}

const LONG = 2 * FLOOR_LOOK_MS;

test("the oldest of all snapshots that are open for a while is told, until it is closed (T54)", async () => {
  const { stage, one, two, oldest } = await opened();
  const first = await commitTexts(stage, one, [[oidAt(1), "first"]]);
  assert.equal(await oldest(), null);
  const old = await stage.finish(one.client.snapshot());
  const second = await commitTexts(stage, one, [[oidAt(1), "second"]]);
  const tx = await stage.finish(two.client.begin());
  assert.equal(await oldest(), null, "what is short isn't told");
  await stage.pass(LONG);
  const seen = await oldest();
  assert.deepEqual([seen?.client, seen?.at], ["c1", first]);
  await stage.pass(LONG);
  assert.equal((await oldest())?.sinceMs, seen?.sinceMs);
  old.close();
  await stage.pass(LONG);
  assert.deepEqual([(await oldest())?.client, (await oldest())?.at], ["c2", second]);
  tx.abort();
  await stage.pass(LONG);
  assert.equal(await oldest(), null);
});

test("what is short costs the primary nothing: no floor is told (T54, T53)", async () => {
  const { stage, one } = await opened();
  for (let at = 0; at < 9; at++) {
    const snapshot = await stage.finish(one.client.snapshot());
    await commitTexts(stage, one, [[oidAt(1), `${at}`]]);
    await stage.pass(1_500); // looks find each of them young
    snapshot.close();
  }
  await stage.pass(LONG);
  assert.deepEqual(bodiesOf(stage.master, "floor"), []);
});

test("a snapshot of the past, opened below the floor, is told at once; a new primary is told as well (T54)", async () => {
  const { stage, one, oldest } = await opened();
  const first = await commitTexts(stage, one, [[oidAt(1), "first"]]);
  const second = await commitTexts(stage, one, [[oidAt(1), "second"]]);
  const [now] = [await stage.finish(one.client.snapshot())];
  await stage.pass(LONG);
  assert.equal((await oldest())?.at, second);
  const then = await stage.finish(one.client.snapshot({ at: first }));
  await stage.run();
  assert.equal((await oldest())?.at, first);
  stage.master.kill();
  stage.startMaster();
  await stage.pass(STARTUP_GRACE_MS);
  const operator = new OperatorHand(stage, "op2");
  assert.equal((await operator.ask("status", {})).oldestSnapshot?.at, first);
  for (const snapshot of [now, then]) snapshot.close();
});

test("a floor that was told is never above a snapshot that is open, whatever is opened and closed when (T54, J1)", async () => {
  for (const seed of [1, 2, 3, 4, 5]) {
    const random = new SimRandom(seed);
    const { stage, one, oldest } = await opened();
    const tids: Tid[] = [];
    const open = new Set<Snapshot>();
    for (let step = 0; step < 60; step++) {
      const what = random.int(0, 4);
      if (what === 0 || tids.length === 0) tids.push(await commitTexts(stage, one, [[oidAt(1), `${step}`]]));
      else if (what === 1) open.add(await stage.finish(one.client.snapshot()));
      else if (what === 2) open.add(await stage.finish(one.client.snapshot({ at: random.pick(tids) })));
      else if (what === 3 && open.size > 0) {
        const one = random.pick([...open]);
        one.close();
        open.delete(one);
      } else await stage.pass(random.int(0, FLOOR_LOOK_MS));
      await stage.run();
      const told = (await oldest())?.at;
      for (const { at } of open) assert.ok(told === undefined || told <= at, `seed ${seed}, step ${step}`);
    }
    const lowest = [...open].reduce((least, { at }) => at < least ? at : least, 2n ** 63n as Tid);
    await stage.pass(LONG);
    assert.equal((await oldest())?.at, open.size === 0 ? undefined : lowest);
  }
});
