/**
 * A17: a store that reads the newest tid before it holds the lock, or gets the lock while the holder's revision isn't saved,
 * locks with an old base: a lost update. The lock is taken first, then the newest tid is read; holders release at `saved`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../core/machine.ts";
import type { TellMessage } from "../../core/messages.ts";
import { Stage } from "./kit.ts";
import { puppetClient, type PuppetPrimary, serving } from "./puppet.ts";
import { oidAt, storeOf, tidAt, ttidAt, voteOf } from "./words.ts";

const SOLO = { storages: 1, replicas: 0, partitions: 1 };

interface Scene {
  readonly stage: Stage;
  readonly primary: PuppetPrimary;
  readonly two: Awaited<ReturnType<typeof puppetClient>>;
}

/** Object 4 is at tid 5, and transaction 1 has locked it under tid 6. */
async function lockedScene(): Promise<Scene> {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const one = await puppetClient(stage, { name: "c1", session: 1 });
  const two = await puppetClient(stage, { name: "c2", session: 2 });
  let base = 0n;
  for (const tid of [5, 6]) {
    const store = storeOf({ ttid: ttidAt(1, tid), oid: 4, base });
    one.puppet.ask(one.conn, "store", store);
    one.puppet.ask(one.conn, "vote", voteOf([store]));
    await stage.run();
    primary.lock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
    if (tid === 5) primary.unlock(ttidAt(1, tid), tidAt(tid));
    await stage.run();
    base = BigInt(tid);
  }
  return { stage, primary, two };
}

test("A17: a store behind an unlock sees what the unlock made final", async () => {
  const { stage, primary, two } = await lockedScene();
  const { store } = stage.storage("s1");
  const late = two.puppet.ask(two.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 4, base: 5n }));
  await stage.run();
  assert.deepEqual(late, {}, "it waits for the lock");
  store.holdsSaves = true;
  store.log.length = 0;
  primary.unlock(ttidAt(1, 6), tidAt(6));
  await stage.run();
  assert.deepEqual(store.log, [], "neither is the unlock done, nor anything read");
  store.free();
  await stage.run();
  assert.deepEqual(store.log.slice(0, 2), ["save unlock", "read latest"]);
  assert.equal(late.error?.code, "conflict");
});

test("A17: the lock goes at `saved`, and not in the step that unlocks", async () => {
  const { stage, primary, two } = await lockedScene();
  two.puppet.ask(two.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 4, base: 5n }));
  await stage.run();
  const { machine, heard } = stage.storage("s1");
  const conn = heard.find(({ what }) => what === "asked fence")!.conn!;
  const now = { monoMs: stage.time.nowMs, wallMs: stage.time.wallMs };
  const unlock = { name: "unlock", body: { epoch: primary.epoch, ttid: ttidAt(1, 6), tid: tidAt(6) } };
  const kinds = (effects: readonly Effect[]): string[] => effects.map((effect) => effect.do);
  assert.deepEqual(
    kinds(machine.step({ type: "told", conn, message: unlock as TellMessage }, now) as Effect[]),
    ["save"],
  );
  assert.deepEqual(kinds(machine.step({ type: "saved" }, now) as Effect[]), ["read"]);
});

test("A17: of two stores that come together, one reads and the other waits", async () => {
  const stage = new Stage(SOLO);
  await serving(stage);
  const one = await puppetClient(stage, { name: "c1", session: 1 });
  const two = await puppetClient(stage, { name: "c2", session: 2 });
  const { store } = stage.storage("s1");
  store.holdsReads = true; // the database answers late
  const first = one.puppet.ask(one.conn, "store", storeOf({ ttid: ttidAt(1, 1), oid: 4 }));
  await stage.run();
  const second = two.puppet.ask(two.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 4 }));
  await stage.run();
  assert.equal(store.waiting.length, 1, "the lock comes first: only its holder reads");
  store.free();
  await stage.run();
  assert.ok(first.answer);
  assert.deepEqual(second, {});
});

test("A17: a read of an earlier attempt that is answered late grants nothing", async () => {
  const stage = new Stage(SOLO);
  const primary = await serving(stage);
  const one = await puppetClient(stage, { name: "c1", session: 1 });
  const two = await puppetClient(stage, { name: "c2", session: 2 });
  const { store } = stage.storage("s1");
  const attempt = () => two.puppet.ask(two.conn, "store", storeOf({ ttid: ttidAt(2, 1), oid: 4 }));
  store.holdsAnswers = true;
  attempt();
  await stage.run();
  const late = store.waiting.shift()!; // no revision yet: the base is right, so far
  store.holdsAnswers = false;
  two.puppet.tell(two.conn, "abort", { ttid: ttidAt(2, 1), epoch: 0, nodes: [] });
  const other = storeOf({ ttid: ttidAt(1, 1), oid: 4 });
  one.puppet.ask(one.conn, "store", other);
  one.puppet.ask(one.conn, "vote", voteOf([other]));
  await stage.run();
  primary.lock(ttidAt(1, 1), tidAt(5));
  primary.unlock(ttidAt(1, 1), tidAt(5));
  await stage.run();
  store.holdsAnswers = true;
  const second = attempt();
  await stage.run();
  late();
  await stage.run();
  assert.deepEqual(second, {}, "its own read isn't answered yet");
  store.free();
  await stage.run();
  assert.equal(second.error?.code, "conflict");
});

test("A17: two clients that raise one counter lose no step, with a database that answers late", async () => {
  const stage = await new Stage(SOLO).open();
  const clients = [await stage.warm("c1"), await stage.warm("c2")];
  const { store } = stage.storage("s1");
  const raise = async (client: typeof clients[number]): Promise<number> => {
    for (let attempts = 1;; attempts++) {
      const tx = await client.begin();
      const found = await tx.load(oidAt(4));
      tx.store(oidAt(4), Uint8Array.of((found?.data[0] ?? 0) + 1));
      try {
        await tx.commit();
        return attempts;
      } catch (error) {
        assert.equal((error as { code?: string }).code, "conflict");
      }
    }
  };
  const raised = Promise.all(clients.flatMap((client) => [raise(client), raise(client), raise(client)]));
  let isDone = false;
  void raised.then(() => {
    isDone = true;
  });
  for (let turn = 0; !isDone && turn < 500; turn++) {
    store.free();
    store.holdsReads = turn % 2 === 0;
    store.holdsSaves = turn % 3 === 0;
    await stage.run();
  }
  store.free();
  const attempts = await stage.finish(raised);
  assert.ok(attempts.some((count) => count > 1), "they met");
  const end = await stage.finish(clients[0]!.snapshot());
  assert.deepEqual((await stage.finish(end.load(oidAt(4))))?.data, Uint8Array.of(6));
});
