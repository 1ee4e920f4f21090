/**
 * C5: an own answer resolves a promise, and a later invalidation is applied before its continuation runs: what was read between the two
 * is taken for something else. Answers change the client's last tid in the step that receives them; promises resolve
 * afterwards.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tid } from "../../core/ids.ts";
import type { ClientOutput } from "../../roles/client/calls.ts";
import type { Client } from "../../roles/client/library.ts";
import { bodiesOf, placeOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt, textOf } from "./words.ts";

async function beginStore(stage: Stage, client: Client, text: string): Promise<() => Promise<Tid>> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oidAt(4)));
  tx.store(oidAt(4), bytesOf(text));
  return () => tx.commit();
}

test("C5: a commit's continuation knows of everything that arrived with its answer, in the order of tids", async () => {
  const stage = await new Stage().open();
  const [mine, others] = [await stage.warm("c1"), await stage.warm("c2")];
  const seen: (bigint | string)[] = [];
  mine.onPublish((tid, oids) => seen.push(oids === null ? "a jump" : tid));
  const first = (await beginStore(stage, mine, "mine"))();
  await stage.until(() => bodiesOf(stage.storage("s1"), "lock").length === 3); // two made the clients warm
  stage.wires.hold("m1", "c1");
  await stage.run();
  const second = await stage.finish((await beginStore(stage, others, "theirs"))());
  let known: Promise<[Tid, string | undefined]> | undefined;
  const committed = first.then((tid) => {
    seen.push("committed");
    known = mine.snapshot({ sync: false }).then(async (snapshot) => [
      snapshot.at,
      textOf((await snapshot.load(oidAt(4)))?.data),
    ]);
    return tid;
  });
  stage.wires.deliver("m1", "c1"); // the own answer and the other's invalidation, in one round
  stage.wires.free("m1", "c1");
  const tid = await stage.finish(committed);
  assert.ok(tid < second);
  assert.ok(placeOf(stage.actor("c1"), "answered finish") < placeOf(stage.actor("c1"), "told invalidate"));
  assert.deepEqual(seen, [tid, second, "committed"]);
  assert.deepEqual(await stage.finish(known!), [second, "theirs"]);
});

test("C5: the step that receives the answer has moved the last tid, before anything is said of the call", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const commit = (await beginStore(stage, client, "x"))();
  await stage.until(() => bodiesOf(stage.storage("s1"), "lock").length === 2);
  stage.wires.hold("m1", "c1");
  await stage.run();
  stage.wires.deliver("m1", "c1");
  stage.actor("c1").post({ type: "call", call: 98, name: "view", request: {}, withinMs: 1_000 }); // in the same round
  const tid = await stage.finish(commit);
  const outputs = (what: string): ClientOutput[] => {
    const { effects } = stage.actor("c1").heard.findLast((one) => one.what === what)!;
    return effects.flatMap((effect) => (effect.do === "output" ? [effect.output as ClientOutput] : []));
  };
  assert.deepEqual(outputs("answered finish").map(({ type }) => type), ["published", "settled"]);
  const [view] = outputs("call view");
  assert.ok(view?.type === "settled");
  assert.equal((view.result as { lastTid: Tid }).lastTid, tid);
});

test("C5: a load whose answer names an unpublished end counts it as current, until it is published", async () => {
  const stage = await new Stage().open();
  const [mine, others] = [await stage.warm("c1"), await stage.warm("c2")];
  const first = await stage.finish((await beginStore(stage, mine, "old"))());
  await stage.run();
  const before = await stage.finish(mine.snapshot());
  stage.wires.hold("m1", "c1"); // the invalidation is on its way
  const second = await stage.finish((await beginStore(stage, others, "new"))());
  const early = await stage.finish(before.load(oidAt(4)));
  assert.deepEqual([early?.tid, early?.next, textOf(early?.data)], [first, null, "old"]);
  stage.wires.free("m1", "c1");
  await stage.run();
  const late = await stage.finish(before.load(oidAt(4)));
  assert.deepEqual([late?.tid, late?.next, textOf(late?.data)], [first, second, "old"]);
});
