/** A storage that a client can't reach, while the primary counts it as running (T46): the primary looks for itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNECT_TIMEOUT_MS,
  FAILURE_MEMORY_MS,
  HELLO_TIMEOUT_MS,
  LIFE_SIGN_MS,
  RETRY_DELAY_MS_MAX,
  UNREACHABLE_PAUSE_MS,
} from "../../core/limits.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { oidAt, textOf } from "../hazards/words.ts";
import { commitTexts, connectCaching, connectWarm } from "./kit.ts";
import type { Scene } from "./kit.ts";

const X = oidAt(5);

/** A cluster with a text at X, and a client that can't connect to s1. */
async function cutOff(replicas: number = 1): Promise<{ stage: Stage; scene: Scene }> {
  const stage = await new Stage({ storages: 2, replicas, partitions: replicas === 0 ? 2 : 1 }).open();
  await commitTexts(stage, await connectWarm(stage, "c1"), [[X, "text"]]);
  stage.wires.bar("c2", "s1");
  return { stage, scene: await connectCaching(stage, "c2", 0) };
}

async function read(stage: Stage, { client }: Scene): Promise<string | undefined> {
  const snapshot = await stage.finish(client.snapshot());
  return textOf((await stage.finish(snapshot.load(X)))?.data);
}

/** Reads X once more, when s1 counts as worth a try again, and no other copy is connected. */
async function readAgain(stage: Stage, scene: Scene): Promise<string | undefined> {
  stage.wires.cut("c2", "s2");
  await stage.pass(FAILURE_MEMORY_MS);
  return await read(stage, scene);
}

const reports = (stage: Stage) => bodiesOf(stage.master, "unreachable");

test("T46: a storage that a client can't reach and that is silent is lost after a short look, and others read on", async () => {
  const { stage, scene } = await cutOff();
  stage.wires.hold("s1", "m1");
  assert.equal(await read(stage, scene), "text", "the other copy answers meanwhile");
  assert.deepEqual(reports(stage), [{ node: 2, session: 1 }]);
  await stage.pass(LIFE_SIGN_MS - 1);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", "it has its time");
  await stage.pass(1);
  assert.equal(stage.master.machine.view.table, "0: 2O 3U");
  const view = await stage.finish(scene.client.view());
  assert.deepEqual(view.nodes.map(({ name, state }) => [name, state]), [["s1", "unavailable"], [
    "s2",
    "running",
  ]]);
  await commitTexts(stage, scene, [[X, "new"]]);
  assert.equal(await read(stage, scene), "new");
});

test("T46: a storage that gives its primary a sign of life stays, whatever a client says", async () => {
  const { stage, scene } = await cutOff();
  for (let round = 0; round < 3; round++) {
    assert.equal(await readAgain(stage, scene), "text");
  }
  await stage.pass(LIFE_SIGN_MS);
  assert.equal(reports(stage).length, 3);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
  assert.equal(stage.storage("s1").machine.load.phase, "serving");
});

test("T46: a client tells of a storage once in a while, and its primary asks it as seldom", async () => {
  const { stage, scene } = await cutOff();
  const asked = (): number =>
    stage.master.heard.flatMap(({ effects }) => effects).filter((effect) =>
      effect.do === "ask" && effect.message.name === "ping"
    ).length;
  stage.wires.bar("c2", "s2"); // it tries one after the other, again and again
  const snapshot = await stage.finish(scene.client.snapshot());
  const load = snapshot.load(X);
  await stage.pass(UNREACHABLE_PAUSE_MS - 1);
  assert.deepEqual(reports(stage).map(({ node }) => node), [2, 3]);
  await connectCaching(stage, "c3", 0).then(async (third) => {
    stage.wires.bar("c3", "s1");
    assert.equal(await read(stage, third), "text");
  });
  assert.equal(reports(stage).length, 3, "another client doesn't know of it");
  assert.equal(asked(), 2, "and needn't");
  await stage.pass(RETRY_DELAY_MS_MAX + 1);
  assert.deepEqual(reports(stage).map(({ node }) => node), [2, 3, 2, 2, 3]);
  assert.equal(asked(), 4);
  stage.wires.unbar("c2", "s2");
  await stage.pass(RETRY_DELAY_MS_MAX);
  assert.equal(textOf((await stage.finish(load))?.data), "text");
});

test("T46: a connection that isn't answered is reported as one that is refused", async () => {
  const { stage } = await cutOff();
  stage.wires.hold("c3", "s1");
  const { client } = await connectCaching(stage, "c3", 0);
  const snapshot = await stage.finish(client.snapshot());
  const load = snapshot.load(X);
  await stage.pass(CONNECT_TIMEOUT_MS + HELLO_TIMEOUT_MS);
  assert.equal(textOf((await stage.finish(load))?.data), "text");
  assert.deepEqual(reports(stage), [{ node: 2, session: 1 }]);
});

test("T46: the last readable copy isn't given up for a report: nothing would be won", async () => {
  const { stage, scene } = await cutOff(0);
  stage.wires.hold("s1", "m1");
  const snapshot = await stage.finish(scene.client.snapshot());
  const loads = Promise.all([4, 5].map((oid) => snapshot.load(oidAt(oid), { withinMs: 2 * LIFE_SIGN_MS })));
  loads.catch(() => undefined); // one of the two is at s1
  await stage.pass(LIFE_SIGN_MS + 100);
  assert.ok(reports(stage).length > 0);
  assert.equal(stage.master.machine.view.phase, "running");
  await stage.pass(2 * LIFE_SIGN_MS);
  await assert.rejects(loads);
});

test("T46: a report of an earlier session of a storage is too late", async () => {
  const { stage, scene } = await cutOff();
  stage.wires.hold("c2", "m1");
  const snapshot = await stage.finish(scene.client.snapshot({ sync: false }));
  await stage.finish(snapshot.load(X));
  stage.storage("s1").kill();
  await stage.run();
  stage.startStorage("s1");
  await stage.run();
  assert.equal(stage.master.machine.view.table, "0: 2U 3U", "it is back, and whole");
  stage.wires.hold("s1", "m1");
  stage.wires.free("c2", "m1");
  await stage.run();
  assert.deepEqual(reports(stage), [{ node: 2, session: 1 }]);
  await stage.pass(LIFE_SIGN_MS);
  assert.equal(stage.master.machine.view.table, "0: 2U 3U");
});
