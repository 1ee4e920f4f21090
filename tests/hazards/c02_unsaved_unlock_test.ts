/**
 * C2: a read beside an unsaved unlock gives the old revision as current. Locks go at `saved`, and a round's reads run after its
 * save: what readers, and the primary that asks for a fate, see is what the unlock has made.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../core/machine.ts";
import type { AskMessage, TellMessage } from "../../core/messages.ts";
import { Stage } from "./kit.ts";
import { puppetClient, serving } from "./puppet.ts";
import type { PuppetPrimary } from "./puppet.ts";
import { oidAt, storeOf, textOf, tidAt, ttidAt, voteOf } from "./words.ts";

interface Scene {
  readonly stage: Stage;
  readonly primary: PuppetPrimary;
  readonly reader: Awaited<ReturnType<typeof puppetClient>>;
}

/** Object 4 is "old" at tid 5; transaction 6 has locked "new" under tid 6. */
async function lockedScene(): Promise<Scene> {
  const stage = new Stage({ storages: 1, replicas: 0, partitions: 1 });
  const primary = await serving(stage);
  const writer = await puppetClient(stage, { name: "c1", session: 1 });
  const reader = await puppetClient(stage, { name: "c2", session: 2 });
  for (const [tid, text, base] of [[5, "old", 0n], [6, "new", 5n]] as const) {
    const store = storeOf({ ttid: ttidAt(1, tid), oid: 4, text, base });
    writer.puppet.ask(writer.conn, "store", store);
    writer.puppet.ask(writer.conn, "vote", voteOf([store]));
    await stage.run();
    primary.lock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
    if (tid === 5) primary.unlock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
  }
  return { stage, primary, reader };
}

/** Brings an unlock and a load to the storage in one round, in this order. */
async function inOneRound({ stage, primary, reader }: Scene, order: readonly ["m1" | "c2", "m1" | "c2"]) {
  for (const from of order) stage.wires.hold(from, "s1");
  primary.unlock(ttidAt(1, 6), tidAt(6));
  const load = reader.puppet.ask(reader.conn, "load", { oid: oidAt(4), at: tidAt(6), version: 1 });
  await stage.run();
  for (const from of order) stage.wires.deliver(from, "s1");
  for (const from of order) stage.wires.free(from, "s1");
  return load;
}

for (const order of [["m1", "c2"], ["c2", "m1"]] as const) {
  for (const late of [false, true]) {
    const title = `${order[0] === "m1" ? "behind" : "before"} its unlock, ${late ? "late" : "at once"} saved`;
    test(`C2: a load in the round of an unlock sees it (${title})`, async () => {
      const scene = await lockedScene();
      const { store } = scene.stage.storage("s1");
      store.log.length = 0;
      store.holdsSaves = late;
      const load = await inOneRound(scene, order);
      await scene.stage.run();
      if (late) {
        assert.deepEqual(load, {});
        assert.deepEqual(store.log, [], "nothing is read beside the save");
        store.free();
        await scene.stage.run();
      }
      assert.deepEqual(store.log, ["save unlock", "read load"]);
      assert.equal(textOf(load.answer?.revision.data), "new");
      assert.equal(load.answer?.revision.next, null);
    });
  }
}

test("C2: a load that comes while an unlock is being saved waits for it", async () => {
  const { stage, primary, reader } = await lockedScene();
  const { store } = stage.storage("s1");
  store.holdsSaves = true;
  primary.unlock(ttidAt(1, 6), tidAt(6));
  await stage.run();
  store.log.length = 0;
  const load = reader.puppet.ask(reader.conn, "load", { oid: oidAt(4), at: tidAt(6), version: 1 });
  await stage.run();
  assert.deepEqual([load, store.log], [{}, []]);
  store.free();
  await stage.run();
  assert.equal(textOf(load.answer?.revision.data), "new");
});

test("C2: the read of a waiting load begins at `saved`, and not in the step that unlocks", async () => {
  const { stage, primary, reader } = await lockedScene();
  reader.puppet.ask(reader.conn, "load", { oid: oidAt(4), at: tidAt(6), version: 1 });
  await stage.run();
  const { machine, heard } = stage.storage("s1");
  const now = { monoMs: stage.time.nowMs, wallMs: stage.time.wallMs };
  const kinds = (effects: unknown): string[] => (effects as Effect[]).map((effect) => effect.do);
  const master = heard.find(({ what }) => what === "asked fence")!.conn!;
  const client = heard.find(({ what }) => what === "asked load")!.conn!;
  const unlock = { name: "unlock", body: { epoch: primary.epoch, ttid: ttidAt(1, 6), tid: tidAt(6) } };
  const load = { name: "load", body: { oid: oidAt(4), at: tidAt(6), version: 1 } };
  const asked = {
    type: "asked",
    conn: client,
    id: 77,
    withinMs: 1_000,
    message: load as AskMessage,
  } as const;
  const told = { type: "told", conn: master, message: unlock as TellMessage } as const;
  assert.deepEqual(kinds(machine.step(told, now)), ["save"]);
  assert.deepEqual(kinds(machine.step(asked, now)), [], "nor that of one behind it");
  assert.deepEqual(kinds(machine.step({ type: "saved" }, now)), ["read", "read"]);
});

test("C2: a fate that is asked behind an unlock, in one round, knows of it", async () => {
  const { stage, primary } = await lockedScene();
  primary.unlock(ttidAt(1, 6), tidAt(6));
  const fate = primary.ask(primary.conn, "fate", { epoch: 1, ttid: ttidAt(1, 6) });
  await stage.run();
  assert.deepEqual(fate.answer, { tid: 6n }, "null would be a false `aborted`");
});

test("C2: a fate that is asked while the unlock is being saved waits for it", async () => {
  const { stage, primary } = await lockedScene();
  const { store } = stage.storage("s1");
  store.holdsSaves = true;
  primary.unlock(ttidAt(1, 6), tidAt(6));
  await stage.run();
  const fate = primary.ask(primary.conn, "fate", { epoch: 1, ttid: ttidAt(1, 6) });
  await stage.run();
  assert.deepEqual(fate, {});
  store.free();
  await stage.run();
  assert.deepEqual(fate.answer, { tid: 6n });
});
