/**
 * H1: a snapshot above the published tid isn't repeatable: what it shows depends on when it is read. `at` is at most the
 * client's last tid; a later one syncs first, a future one is refused. Then lagging replicas are safe: each readable copy has
 * locked what is published.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import type { Client } from "../../roles/client/library.ts";
import type { Snapshot } from "../../roles/client/transaction.ts";
import { bodiesOf } from "./actors.ts";
import { Stage } from "./kit.ts";
import { bytesOf, oidAt, textOf } from "./words.ts";

async function commitText(stage: Stage, client: Client, text: string): Promise<Tid> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.load(oidAt(4)));
  tx.store(oidAt(4), bytesOf(text));
  return await stage.finish(tx.commit());
}

async function textAt(stage: Stage, snapshot: Snapshot, oid: Oid = oidAt(4)): Promise<string | undefined> {
  return textOf((await stage.finish(snapshot.load(oid)))?.data);
}

test("H1: a snapshot in the future is refused, also when others commit there later", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const last = await commitText(stage, client, "one");
  for (const at of [last + 1n, last + 10n ** 9n] as Tid[]) {
    for (const sync of [true, false]) {
      await assert.rejects(stage.finish(client.snapshot({ at, sync })), RangeError, `${at - last} ${sync}`);
    }
  }
  const tomorrow = await stage.finish(client.snapshot({ at: new Date(stage.time.wallMs + 86_400_000) }));
  assert.equal(tomorrow.at, last, "a date says: until then, as far as it is known");
  const { length: asked } = bodiesOf(stage.storage("s1"), "load");
  await commitText(stage, client, "two");
  assert.equal(await textAt(stage, tomorrow), "one", "and shows the same for ever");
  assert.ok(bodiesOf(stage.storage("s1"), "load").length > asked);
});

test("H1: a snapshot at a tid that others published is made after a sync, and is repeatable", async () => {
  const stage = await new Stage().open();
  const [reader, writer] = [await stage.warm("c1"), await stage.warm("c2")];
  stage.wires.hold("m1", "c1");
  const at = await commitText(stage, writer, "one");
  assert.ok((await stage.finish(reader.lastTid())) < at, "this client hasn't heard of it");
  const { length: syncs } = bodiesOf(stage.master, "sync");
  const made = reader.snapshot({ at, sync: false }); // it would rather not ask, and must
  await stage.run();
  assert.equal(bodiesOf(stage.master, "sync").length, syncs + 1);
  stage.wires.free("m1", "c1");
  const snapshot = await stage.finish(made);
  assert.equal(snapshot.at, at);
  assert.equal(await textAt(stage, snapshot), "one");
  await commitText(stage, writer, "two");
  assert.equal(await textAt(stage, snapshot), "one");
});

test("H1: a snapshot within what is known asks nobody, when it is told so", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const first = await commitText(stage, client, "one");
  const last = await commitText(stage, client, "two");
  const { length: syncs } = bodiesOf(stage.master, "sync");
  const [old, now] = [client.snapshot({ at: first, sync: false }), client.snapshot({ sync: false })];
  assert.equal(await textAt(stage, await stage.finish(old)), "one");
  assert.equal((await stage.finish(now)).at, last);
  assert.equal(bodiesOf(stage.master, "sync").length, syncs);
});

test("H1: a replica that lags behind the publication makes its readers wait, and shows no hole", async () => {
  const stage = await new Stage({ partitions: 1 }).open();
  const [reader, writer] = [await stage.warm("c1"), await stage.warm("c2")];
  await commitText(stage, writer, "one");
  const tx = await stage.finish(writer.begin());
  await stage.finish(tx.load(oidAt(4)));
  tx.store(oidAt(4), bytesOf("two"));
  const commit = tx.commit();
  await stage.until(() => stage.names.every((name) => bodiesOf(stage.storage(name), "lock").length === 4));
  for (const name of stage.names) stage.wires.hold("m1", name); // the unlocks
  const at = await stage.finish(commit);
  const snapshot = await stage.finish(reader.snapshot());
  assert.equal(snapshot.at, at);
  const load = snapshot.load(oidAt(4));
  let isShown = false;
  void load.then(() => {
    isShown = true;
  });
  await stage.run();
  assert.ok(!isShown, "no replica has made it visible, and none shows what was before");
  for (const name of stage.names) stage.wires.free("m1", name);
  assert.equal(textOf((await stage.finish(load))?.data), "two");
});
