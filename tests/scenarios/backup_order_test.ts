/** Transactions that a follower has on their way at once are taken in their order, each behind the one before it, or not at all (N5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AbortedError } from "../../core/errors.ts";
import type { Tid } from "../../core/ids.ts";
import { FOLLOW_AGAIN_MS, PART_BYTES_MAX } from "../../core/limits.ts";
import type { Client } from "../../roles/client/library.ts";
import { bytesOf, oidAt, tidAt } from "../hazards/words.ts";
import { answersOf, helloAs, masterBench, runBackup } from "../machines.ts";
import { historyOf, Pair } from "./backup_kit.ts";
import { assertQuiet } from "./failures_kit.ts";
import { commitTexts, connectCaching } from "./kit.ts";

/** A client that may copy to an empty backup, and how it commits there. */
async function copying() {
  const pair = await new Pair().open();
  const { client } = await connectCaching(pair.backup, "f1", 0);
  await pair.backup.finish(client.call("follow", {}));
  return { pair, client };
}

function begun(client: Client, tid: Tid, behind: Tid, oid: number = 1): Promise<Tid> {
  const nothing = new Uint8Array();
  const note = { user: nothing, description: nothing, extension: nothing, status: " " };
  const writes = [{ oid: oidAt(oid), base: tidAt(0), data: bytesOf(`${tid}`) }];
  return client.call("commit", { writes, checks: [], ...note, restoreTid: tid, behind }).then(({ tid }) =>
    tid
  );
}

const [ONE, TWO, THREE] = [tidAt(100), tidAt(200), tidAt(300)] as const;

test("transactions of a follower that come in any order are taken in theirs (N5)", async () => {
  const { pair, client } = await copying();
  const three = begun(client, THREE, TWO, 3);
  await pair.settle();
  const two = begun(client, TWO, ONE, 2);
  await pair.settle();
  assert.equal(pair.backup.master.machine.view.lastTid, 0n, "nothing before the first");
  const one = begun(client, ONE, tidAt(0), 1);
  await pair.settle();
  assert.deepEqual([await one, await two, await three], [ONE, TWO, THREE]);
  assert.deepEqual((await historyOf(pair.backup)).map(({ tid }) => tid), [ONE, TWO, THREE]);
  assertQuiet(pair.backup);
});

test("one who waits to copy and asks again is answered once (N5)", () => {
  const bench = masterBench();
  runBackup(bench);
  const [first, second] = [bench.comes(helloAs("client")).conn, bench.comes(helloAs("client")).conn];
  assert.equal(answersOf(bench.asked(first, "follow", {}), "follow").length, 1);
  for (let time = 0; time < 3; time++) {
    assert.deepEqual(answersOf(bench.asked(second, "follow", {}), "follow"), []);
  }
  const after = bench.give({ type: "lost", conn: first, error: { code: "lost", message: "gone" } });
  assert.equal(answersOf(after, "follow").length, 1);
});

test("a follower that can't copy gives its place to one that waits, and one of another cluster copies nothing (N5)", async () => {
  const pair = await new Pair().open();
  const writer = await connectCaching(pair.source, "c1", 0);
  const wrong = await pair.startFollower("f1", "market");
  await pair.pass(FOLLOW_AGAIN_MS);
  const tid = await commitTexts(pair.source, writer, [[oidAt(1), "of shop"]]);
  await pair.pass(FOLLOW_AGAIN_MS);
  assert.match(wrong.progress?.problem ?? "", /Cannot follow market: this cluster is a backup of shop/);
  assert.equal(pair.backup.master.machine.view.lastTid, 0n);
  await pair.startFollower("f2", "shop");
  await pair.caughtUp(tid);
  const { answer } = await pair.order("status", {});
  assert.deepEqual([answer?.backup?.follower, answer?.backup?.problem], ["f2", ""]);
  await pair.assertEqual();
});

test("values in parts come part by part, beside small ones, undone and changed ones too (N5)", async () => {
  const pair = await new Pair().open();
  const { source } = pair;
  const writer = await connectCaching(source, "c1", 0);
  await pair.startFollower();
  const large = new Uint8Array(2 * PART_BYTES_MAX + 5).map((_, at) => at % 251);
  const store = async (values: readonly (readonly [number, Uint8Array])[]): Promise<Tid> => {
    const tx = await source.finish(writer.client.begin());
    for (const [oid, data] of values) {
      await source.finish(tx.load(oidAt(oid)));
      tx.store(oidAt(oid), data);
    }
    return await source.finish(tx.commit());
  };
  await store([[1, large], [2, bytesOf("small")], [3, large.subarray(1)]]);
  const changed = await store([[1, bytesOf("small now")]]);
  await commitTexts(source, writer, [[oidAt(4), "between"]]);
  await source.finish(writer.client.undo(changed));
  const tx = await source.finish(writer.client.begin());
  await source.finish(tx.storeStream(oidAt(5), [large, large]));
  await source.finish(tx.commit());
  await commitTexts(source, writer, [[oidAt(4), "behind"]]);
  await pair.caughtUp();
  assert.equal(await pair.assertEqual(), 6);
  assertQuiet(pair.backup);
});

test("transactions behind one that didn't come are given up when their follower begins anew, and nothing of them stays (N5)", async () => {
  const { pair, client } = await copying();
  const ends = [begun(client, TWO, ONE), begun(client, THREE, TWO, 2)].map((one) =>
    one.catch((error) => error)
  );
  await pair.settle();
  assert.equal(pair.backup.master.machine.view.pending, 2);
  const { lastTid } = await pair.backup.finish(client.call("follow", {}));
  assert.equal(lastTid, 0n);
  for (const error of await Promise.all(ends)) assert.ok(error instanceof AbortedError, `${error}`);
  assert.equal(pair.backup.master.machine.view.pending, 0);
  assertQuiet(pair.backup);
  assert.equal(await pair.backup.finish(begun(client, ONE, tidAt(0))), ONE);
  assert.deepEqual((await historyOf(pair.backup)).map(({ tid }) => tid), [ONE]);
});
