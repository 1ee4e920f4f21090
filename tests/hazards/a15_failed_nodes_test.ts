/**
 * A15: a client that names a storage failed takes away a copy. It may do so for what the storage's present session has failed at, by
 * being away, silent, full or broken; what a storage refuses is the transaction's affair. And before a copy is outdated on its
 * word, the primary hears from one that remains: else the last live copy is sacrificed to one that has just died.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClientSession, Conn, NodeIndex } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import { LOCK_TIMEOUT_MS, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { Body, WireError } from "../../core/messages.ts";
import { bodiesOf, hasHeard } from "./actors.ts";
import { HandPrimary } from "./hand_primary.ts";
import { Stage } from "./kit.ts";
import { storedAt } from "./looks.ts";
import { Puppet } from "./puppet.ts";
import type { Reply } from "./puppet.ts";
import { bytesOf, finishOf, oidAt, storeOf, voteOf } from "./words.ts";

/** A client in the test's hand that has a vote of s1 and none of s2. */
async function votedAtFirst() {
  const stage = await new Stage({ storages: 2, replicas: 1, partitions: 1 }).open();
  const puppet = new Puppet(stage, "c9", stage.hello("client", { name: "c9" }), []);
  const { conn: master } = await puppet.dial("m1:1");
  const { session, epoch } = bodiesOf(puppet.actor, "welcome")[0]!;
  const store = storeOf({ ttid: ttidOf(session as ClientSession, 1), oid: 4, text: "T" });
  const { conn } = await puppet.dial("s1:1", { session, epoch });
  puppet.ask(conn, "store", store);
  const vote = puppet.ask(conn, "vote", voteOf([store]));
  await stage.run();
  const finish = (failed: Body<"finish">["failed"]): Reply<"finish"> =>
    puppet.ask(master, "finish", finishOf([store], [vote.answer!.evidence], { failed }));
  return { stage, finish };
}

const SECOND = { node: 3 as NodeIndex, session: 2 };

test("A15: a storage that a client names failed is outdated only after one that remains has answered", async () => {
  const { stage, finish } = await votedAtFirst();
  stage.wires.hold("s1", "m1");
  const reply = finish([SECOND]);
  await stage.run();
  assert.equal(bodiesOf(stage.storage("s1"), "fate").length, 1, "asked whether it is there");
  assert.deepEqual([reply, stage.master.machine.view.table], [{}, "0: 2U 3U"]);
  stage.wires.free("s1", "m1");
  await stage.until(() => reply.answer !== undefined);
  assert.equal(bodiesOf(stage.storage("s2"), "tableChange").at(0)?.cells[0]?.node, SECOND.node);
});

test("A15: of two, the one that has voted has just died, the other was named failed: nothing is given up", async () => {
  const { stage, finish } = await votedAtFirst();
  stage.wires.hold("s1", "m1"); // nobody knows yet
  stage.storage("s1").kill();
  const reply = finish([SECOND]);
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  stage.wires.free("s1", "m1");
  await stage.run();
  assert.equal(reply.error?.code, "incomplete", "no readable copy has locked it");
  assert.equal(stage.master.machine.view.table, "0: 2O 3U", "s2 has everything that was acknowledged");
  assert.equal(stage.master.machine.view.phase, "running");
});

test("A15: a voter that is silent when it is asked is lost, and not the one that was named failed", async () => {
  const { stage, finish } = await votedAtFirst();
  stage.wires.hold("s1", "m1");
  const reply = finish([SECOND]);
  await stage.pass(LOCK_TIMEOUT_MS);
  assert.equal(reply.error?.code, "incomplete");
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
  assert.equal(stage.master.machine.view.phase, "running");
});

test("A15: a failure in an earlier session of a storage says nothing of the present one", async () => {
  const { stage, finish } = await votedAtFirst();
  stage.storage("s2").kill();
  await stage.run();
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  const reply = finish([SECOND]);
  await stage.run();
  assert.equal(reply.error?.code, "missing");
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
});

const FAILURES: readonly { error: WireError; isNode: boolean }[] = [
  { error: { code: "noSpace", message: "full" }, isNode: true },
  { error: { code: "ioError", message: "broken" }, isNode: true },
  { error: { code: "timedOut", message: "silent" }, isNode: true },
  { error: { code: "tooLarge", message: "too large" }, isNode: false },
  { error: { code: "wrongPartition", message: "not mine" }, isNode: false },
  { error: { code: "badChecksum", message: "not whole" }, isNode: false },
  { error: { code: "denied", message: "no" }, isNode: false },
  { error: { code: "malformed", message: "what" }, isNode: false },
];

for (const { error, isNode } of FAILURES) {
  const what = isNode
    ? "makes a failed node"
    : "is the transaction's affair: it is aborted, no copy is given up";
  test(`A15: what a storage answers with ${error.code} ${what}`, async () => {
    const stage = new Stage({ storages: 2, replicas: 1, partitions: 1 });
    const { primary, client } = await HandPrimary.open(stage, 2);
    const tx = await stage.finish(client.begin());
    tx.store(oidAt(4), bytesOf("T"));
    refuseVotes(stage, "s2", error);
    const commit = tx.commit();
    commit.catch(() => undefined); // looked at below
    await stage.run();
    const finish = primary.questions.find(({ name }) => name === "finish") as
      | { readonly body: Body<"finish"> }
      | undefined;
    if (isNode) return assert.deepEqual(finish?.body.failed, [{ node: 3, session: 2 }]);
    assert.equal(finish, undefined);
    await assert.rejects(stage.finish(commit), { code: error.code });
    assert.ok(hasHeard(stage.storage("s1"), "told abort"));
    assert.equal(storedAt(stage, "s1", 4n), undefined);
  });
}

/** A storage refuses all votes so. */
function refuseVotes(stage: Stage, name: string, error: WireError): void {
  const { machine } = stage.storage(name) as unknown as {
    machine: { step: (event: never, now: never) => unknown[] };
  };
  const step = machine.step.bind(machine);
  machine.step = (event, now) => {
    const { type, conn, id, message } = event as {
      type: string;
      conn: Conn;
      id: number;
      message?: { name: string };
    };
    if (type !== "asked" || message?.name !== "vote") return step(event, now);
    return [{ do: "refuse", conn, id, error }];
  };
}
