/**
 * A13 with real clients at real storages: what a storage lost of a transaction between its stores and its vote is found by the vote,
 * and sent once more. `a13_half_vote_test.ts` has the words of it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tid } from "../../core/ids.ts";
import { STORE_WINDOW_BYTES } from "../../core/limits.ts";
import { bodiesOf } from "./actors.ts";
import { HandPrimary } from "./hand_primary.ts";
import { Stage } from "./kit.ts";
import { puppetClient } from "./puppet.ts";
import { oidAt, storeOf, ttidAt } from "./words.ts";

const COUNT = 12;

/** Objects that don't fit into one window, on their way to two storages. */
async function halfStored() {
  const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
  const { primary, client } = await HandPrimary.open(stage, 2);
  const tx = await stage.finish(client.begin());
  for (let oid = 0; oid < COUNT; oid++) tx.store(oidAt(oid), dataOf(oid));
  const commit: Promise<Tid> = tx.commit({ withinMs: 60_000 });
  commit.catch(() => undefined); // the test looks at it when it is over
  const stored = (): number => bodiesOf(stage.storage("s2"), "store").length;
  await stage.until(() => stored() > 0);
  stage.wires.hold("s2", "c1"); // it gets no more than the first window
  await stage.run();
  const first = stored();
  assert.ok(first > 0 && first < COUNT, `half of it is there: ${first}`);
  assert.equal(bodiesOf(stage.storage("s2"), "vote").length, 0);
  return { stage, primary, commit, first, stored };
}

/** Bytes that zlib makes no smaller, other ones for each seed. */
function dataOf(seed: number): Uint8Array {
  let word = seed + 1;
  return new Uint8Array(STORE_WINDOW_BYTES / 8).map(() => {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    return word >>> 24;
  });
}

/** What failed at c1, by name and code. */
function failuresOf(stage: Stage): string[] {
  return stage.actor("c1").heard.flatMap(({ what, error }) => (error ? [`${what}: ${error.code}`] : []));
}

test("A13: half of it is dropped where it was outdated: the vote says so, and all of it is sent again", async () => {
  const { stage, primary, commit, first, stored } = await halfStored();
  primary.change([0, 2, "outOfDate"]);
  primary.change([0, 2, "upToDate"]);
  await stage.run();
  stage.wires.free("s2", "c1");
  await stage.run();
  assert.deepEqual(failuresOf(stage), ["failed vote: lacks"]);
  assert.equal(stored(), 2 * COUNT, `${first} of them before, and all of them behind it`);
  const finish = primary.question("finish");
  assert.deepEqual(finish.body.evidence.map(({ node }) => node), [2, 3]);
  await primary.commit(finish, 100);
  assert.equal(await stage.finish(commit), 100n);
});

test("A13: a connection that breaks in the middle: the new one carries all of it, and the vote is over all", async () => {
  const { stage, primary, commit, first, stored } = await halfStored();
  stage.wires.cut("c1", "s2");
  await stage.run();
  assert.equal(stored(), first + COUNT);
  const finish = primary.question("finish");
  await primary.commit(finish, 100);
  assert.equal(await stage.finish(commit), 100n);
  assert.deepEqual(
    bodiesOf(stage.storage("s2"), "store").slice(first).map(({ oid }) => Number(oid)).toSorted((a, b) =>
      a - b
    ),
    Array.from({ length: COUNT }, (_, oid) => oid),
  );
});

test("A13: a storage drops what wasn't voted with its connection, and others take the locks at once", async () => {
  const { stage, first } = await halfStored();
  const s2 = stage.storage("s2");
  assert.equal(s2.machine.load.transactions, 1);
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2");
  await stage.run();
  assert.equal(s2.machine.load.transactions, 0, `${first} stores went with the connection`);
  assert.ok(s2.store.log.some((done) => done.includes("abort")), "from its disk as well");
  const { puppet, conn } = await puppetClient(stage, { name: "c9", at: "s2:1" });
  const others = [...Array(COUNT).keys()].map((oid) =>
    puppet.ask(conn, "store", storeOf({ ttid: ttidAt(1, 99), oid }))
  );
  await stage.run();
  assert.ok(others.every(({ answer }) => answer));
});
