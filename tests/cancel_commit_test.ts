/** What cancelling a commit means: nothing of it is stored before its `finish` is sent, its outcome is told afterwards. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OUTCOME_WAIT_MS } from "../core/limits.ts";
import type { Client, Transaction } from "../mod.ts";
import { bodiesOf, hasHeard } from "./hazards/actors.ts";
import { Stage } from "./hazards/kit.ts";
import { bytesOf, oidAt, textOf } from "./hazards/words.ts";

const reason = new Error("the user has left");
const isReason = (error: unknown): boolean => error === reason;
const [x, y] = [oidAt(4), oidAt(5)];

async function writeOf(stage: Stage, client: Client, text: string): Promise<Transaction> {
  const tx = await stage.finish(client.begin());
  await stage.finish(tx.loadMany([x, y]));
  for (const oid of [x, y]) tx.store(oid, bytesOf(text));
  return tx;
}

async function textsOf(stage: Stage, client: Client): Promise<(string | undefined)[]> {
  const snapshot = await stage.finish(client.snapshot());
  const found = await stage.finish(snapshot.loadMany([x, y]));
  return found.map((one) => one && textOf(one.data));
}

/** A commit whose signal fires once `reached`. */
async function cancelled(
  stage: Stage,
  tx: Transaction,
  reached: () => boolean,
): Promise<{ readonly commit: Promise<unknown> }> {
  const controller = new AbortController();
  const commit = tx.commit({ signal: controller.signal, withinMs: 60_000 });
  commit.catch(() => {}); // each test looks at it later
  await stage.until(reached);
  controller.abort(reason);
  return { commit };
}

test("a commit that is cancelled while it votes rejects with the signal's reason, and leaves no lock (N1)", async () => {
  const stage = await new Stage().open();
  const [one, two] = [await stage.warm("c1"), await stage.warm("c2")];
  const before = bodiesOf(stage.master, "finish").length;
  stage.wires.hold("s2", "c1"); // the votes of s2 don't arrive
  const tx = await writeOf(stage, one, "one");
  const { commit } = await cancelled(stage, tx, () => hasHeard(stage.storage("s2"), "asked vote"));

  await assert.rejects(stage.finish(commit), isReason);
  await stage.run();
  assert.equal(bodiesOf(stage.master, "finish").length, before);
  for (const name of stage.names) assert.equal(stage.storage(name).machine.load.transactions, 0);
  const other = await writeOf(stage, two, "two");
  await stage.finish(other.commit());
  assert.deepEqual(await textsOf(stage, two), ["two", "two"]);
});

test("a commit that is cancelled behind its finish gives its tid (N1)", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const tx = await writeOf(stage, client, "one");
  const before = bodiesOf(stage.master, "finish").length;
  stage.wires.hold("m1", "c1"); // the tid is on its way
  const { commit } = await cancelled(stage, tx, () => bodiesOf(stage.master, "finish").length > before);
  await stage.run();
  stage.wires.free("m1", "c1");

  const tid = await stage.finish(commit);
  assert.equal(tid, await stage.finish(client.sync()));
  assert.deepEqual(await textsOf(stage, client), ["one", "one"]);
});

test("a commit that is cancelled behind its finish says within the time for outcomes that it isn't known (N1)", async () => {
  const stage = await new Stage().open();
  const client = await stage.warm("c1");
  const tx = await writeOf(stage, client, "one");
  const before = bodiesOf(stage.master, "finish").length;
  stage.wires.hold("m1", "c1");
  const { commit } = await cancelled(stage, tx, () => bodiesOf(stage.master, "finish").length > before);
  await stage.pass(OUTCOME_WAIT_MS + 1);
  await assert.rejects(stage.finish(commit), { name: "OutcomePendingError" });

  const pending = await commit.then(() => undefined, (error) => error);
  stage.wires.free("m1", "c1");
  const outcome = client.outcome(pending);
  await stage.pass(1_000);
  assert.equal(await stage.finish(outcome), await stage.finish(client.sync()));
});
