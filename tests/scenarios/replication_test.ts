/** Copies that come and go: storages added, cells moved, copies resumed, while clients read and write. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Oid, Tid } from "../../core/ids.ts";
import { FAILOVER_GRACE_MS, RETRY_DELAY_MS_MAX, STARTUP_GRACE_MS } from "../../core/limits.ts";
import type { Body } from "../../core/messages.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import type { Reply } from "../hazards/puppet.ts";
import { bytesOf, oidAt, textOf } from "../hazards/words.ts";
import { assertQuiet, history, readersOf, storedAt } from "./failures_kit.ts";
import { adding, commitTexts, connectCaching, connectWarm, summing, timesHeard } from "./kit.ts";
import type { Scene } from "./kit.ts";

const X = oidAt(4);

/** An operator's hands. */
class Operator {
  readonly #stage: Stage;
  #puppet: Puppet;
  #conn: Awaited<ReturnType<Puppet["dial"]>>["conn"] | undefined;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#puppet = new Puppet(stage, "a1", stage.hello("admin", { name: "a1" }), []);
  }

  async ask<N extends "tweak" | "addNode" | "dropNode" | "drainNode" | "setReplicas">(
    name: N,
    body: Body<N>,
  ): Promise<Reply<N>> {
    this.#conn ??= (await this.#puppet.dial("m1:1")).conn;
    const reply = this.#puppet.ask(this.#conn, name, body);
    await this.#stage.run();
    return reply;
  }

  tweak(...ignored: readonly string[]): Promise<Reply<"tweak">> {
    return this.ask("tweak", { ignored, dryRun: false });
  }

  /** Takes in a storage that was never here. */
  async add(name: string): Promise<void> {
    this.#stage.startStorage(name);
    await this.#stage.run();
    const { answer, error } = await this.ask("addNode", { name, weight: 1, path: [], replaces: "" });
    assert.ok(answer, error?.message);
    await this.#stage.pass(RETRY_DELAY_MS_MAX);
  }
}

interface Scenery {
  readonly stage: Stage;
  readonly one: Scene;
  readonly two: Scene;
  readonly operator: Operator;
}

async function opened(shape: StageShape): Promise<Scenery> {
  const stage = await new Stage(shape).open();
  const [one, two] = [await connectWarm(stage, "c1"), await connectWarm(stage, "c2")];
  return { stage, one, two, operator: new Operator(stage) };
}

const table = (stage: Stage): string => stage.master.machine.view.table;

/** All readable copies of an object say this. */
function assertCopies(stage: Stage, oid: Oid, text: string): void {
  const partition = Number(oid) % stage.shape.partitions;
  const readers = readersOf(stage, partition);
  assert.ok(readers.length > 0);
  for (const name of readers) assert.equal(storedAt(stage, name, oid), text, `object ${oid} of ${name}`);
}

async function fill({ stage, one }: Scenery, count: number, text: string): Promise<void> {
  for (let nr = 0; nr < count; nr++) await commitTexts(stage, one, [[oidAt(10 + nr), `${text} ${nr}`]]);
}

function assertFilled(stage: Stage, count: number, text: string): void {
  for (let nr = 0; nr < count; nr++) assertCopies(stage, oidAt(10 + nr), `${text} ${nr}`);
}

test("16.5/127 a storage is added, and one that feeds it is lost meanwhile: the cluster runs on, and ends with two copies of all", async () => {
  const scenery = await opened({ storages: 2, replicas: 1, partitions: 3 });
  const { stage, operator } = scenery;
  await fill(scenery, 6, "value");
  stage.wires.hold("s1", "s3");
  stage.wires.hold("s2", "s3");
  await operator.add("s3");
  const { answer, error } = await operator.tweak();
  assert.ok(answer && answer.feeding > 0, error?.message);
  assert.match(table(stage), /F/);
  const feeding = /(\d+)F/.exec(table(stage))![1];
  const lost = `s${Number(feeding) - 1}`;
  stage.storage(lost).kill();
  await stage.run();
  assert.equal(stage.master.machine.view.phase, "running");
  assert.ok(!table(stage).includes(`${feeding}F`), "what fed is discarded at once");
  stage.wires.free("s1", "s3");
  stage.wires.free("s2", "s3");
  stage.startStorage(lost);
  await stage.pass(STARTUP_GRACE_MS);
  for (let partition = 0; partition < 3; partition++) assert.equal(readersOf(stage, partition).length, 2);
  assert.ok(!/[FO]/.test(table(stage)));
  assertFilled(stage, 6, "value");
});

test("16.5/129 a client with an older table reads from a storage that has no copy any more: it looks again, and finds it", async () => {
  const scenery = await opened({ storages: 1, replicas: 0, partitions: 2 });
  const { stage, operator } = scenery;
  await fill(scenery, 4, "value");
  const reader = await connectCaching(stage, "c3", 0);
  const snapshot = await stage.finish(reader.client.snapshot());
  await stage.finish(snapshot.load(oidAt(10)));
  stage.wires.hold("m1", "c3");
  await operator.add("s2");
  await operator.tweak();
  await stage.pass(STARTUP_GRACE_MS);
  assert.ok(/3U/.test(table(stage)) && !/[FO]/.test(table(stage)), table(stage));
  const loads = [10, 11, 12, 13].map((oid) => snapshot.load(oidAt(oid)));
  await stage.run();
  stage.wires.free("m1", "c3");
  await stage.pass(RETRY_DELAY_MS_MAX);
  const found = await stage.finish(Promise.all(loads));
  assert.deepEqual(found.map((one) => textOf(one?.data)), [0, 1, 2, 3].map((nr) => `value ${nr}`));
});

test("16.5/130 a cell that is discarded while it is copied takes nothing more: what still arrives is ignored", async () => {
  const scenery = await opened({ storages: 1, replicas: 0, partitions: 2 });
  const { stage, operator } = scenery;
  await fill(scenery, 6, "value");
  stage.wires.hold("s1", "s2");
  await operator.add("s2");
  await operator.tweak();
  assert.match(table(stage), /3O/);
  const dropped = await operator.ask("dropNode", { name: "s2" });
  assert.ok(dropped.answer, dropped.error?.message);
  assert.equal(table(stage), "0: 2U\n1: 2U");
  stage.wires.free("s1", "s2"); // rows
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(stage.storage("s2").ended?.error?.code ?? "in order", "in order");
  assertFilled(stage, 6, "value");
  assert.equal(stage.storage("s1").machine.load.transactions, 0);
});

test("16.5/132 cells are taken away while they are copied and given again, with writes under way: the first copy doesn't count", async () => {
  const scenery = await opened({ storages: 2, replicas: 0, partitions: 3 });
  const { stage, operator, one } = scenery;
  await fill(scenery, 6, "value");
  for (const name of ["s1", "s2"]) stage.wires.hold(name, "s3");
  await operator.add("s3");
  await operator.tweak();
  assert.match(table(stage), /4O/);
  const tx = await stage.finish(one.client.begin());
  for (const oid of [21, 22, 23]) tx.store(oidAt(oid), bytesOf("under way"));
  stage.wires.hold("c1", "m1");
  const commit = tx.commit();
  await stage.run();
  const drained = await operator.ask("drainNode", { name: "s3", undo: false });
  assert.ok(drained.answer, drained.error?.message);
  assert.ok(!table(stage).includes("4O"), table(stage));
  for (const name of ["s1", "s2"]) stage.wires.free(name, "s3"); // rows for the cells that were
  await stage.run();
  await operator.add("s3");
  await operator.tweak();
  assert.match(table(stage), /5[OU]/, "under another index");
  stage.wires.free("c1", "m1");
  await stage.finish(commit);
  await stage.pass(STARTUP_GRACE_MS);
  assert.ok(!/[FO]/.test(table(stage)), table(stage));
  assert.match(table(stage), /5U/);
  const snapshot = await stage.finish((await connectCaching(stage, "c3", 0)).client.snapshot());
  const textAt = async (oid: number) => textOf((await stage.finish(snapshot.load(oidAt(oid))))?.data);
  for (let nr = 0; nr < 6; nr++) assert.equal(await textAt(10 + nr), `value ${nr}`);
  for (const oid of [21, 22, 23]) assert.equal(await textAt(oid), "under way");
  assertQuiet(stage);
});

test("16.5/134 a copy is discarded, and doesn't know, during a commit that has a conflict: nobody waits for it, it commits nothing", async () => {
  const { stage, one, two, operator } = await opened({ storages: 2, replicas: 1, partitions: 1 });
  await operator.ask("setReplicas", { replicas: 0 });
  const plan = await operator.ask("tweak", { ignored: [], dryRun: true });
  const leaving = plan.answer!.nodes.find(({ cellsAfter }) => cellsAfter === 0)!.name;
  const staying = leaving === "s1" ? "s2" : "s1";
  const resolving = summing();
  const tx = await adding(stage, one, [X], 1, resolving.resolve);
  await stage.finish((await adding(stage, two, [X], 10)).commit());
  stage.wires.hold(staying, "c1");
  const commit = tx.commit();
  await stage.run();
  stage.wires.hold("m1", leaving);
  await operator.tweak();
  assert.deepEqual(readersOf(stage, 0), [staying]);
  stage.wires.free(staying, "c1");
  const tid = await stage.finish(commit);
  assert.equal(resolving.conflicts.length, 1);
  assert.equal(storedAt(stage, staying, X)?.charCodeAt(0), 11);
  stage.wires.free("m1", leaving);
  await stage.run();
  assert.ok(!bodiesOf(stage.storage(leaving), "unlock").some((unlock) => unlock.tid === tid));
  assertQuiet(stage);
});

test("16.5/135 one storage becomes two: what has moved is there, and goes from where it was", async () => {
  const scenery = await opened({ storages: 1, replicas: 0, partitions: 2 });
  const { stage, operator, one } = scenery;
  await fill(scenery, 8, "value");
  await operator.add("s2");
  await operator.tweak();
  await stage.pass(STARTUP_GRACE_MS);
  assert.deepEqual([readersOf(stage, 0), readersOf(stage, 1)].map(({ length }) => length), [1, 1]);
  assert.ok(!/[FO]/.test(table(stage)));
  assertFilled(stage, 8, "value");
  await commitTexts(stage, one, [[oidAt(90), "flushes"], [oidAt(91), "flushes"]]);
  for (let nr = 0; nr < 8; nr++) {
    const away = readersOf(stage, (10 + nr) % 2)[0] === "s1" ? "s2" : "s1";
    assert.equal(storedAt(stage, away, oidAt(10 + nr)), undefined, `object ${10 + nr} of ${away}`);
  }
  assert.equal((await history(stage, one.client)).filter(({ oids }) => oids.length === 1).length >= 8, true);
});

/** Behind which tids a storage has asked others for what they have. */
function askedBy(stage: Stage, name: string): Tid[] {
  return stage.actor(name).heard.flatMap(({ effects }) => effects).flatMap((effect) => {
    if (effect.do !== "ask") return [];
    const { message } = effect;
    switch (message.name) {
      case "slices":
      case "keys":
        return [message.body.after];
      case "rows":
        return [message.body.after.tid];
      default:
        return [];
    }
  });
}

test("16.5/136 T25 a copy that has a hole below newer rows resumes where it began, and fetches what is missing only", async () => {
  const scenery = await opened({ storages: 2, replicas: 1, partitions: 1 });
  const { stage, one, two } = scenery;
  await fill(scenery, 20, "before");
  stage.wires.bar("c1", "s2");
  stage.wires.cut("c1", "s2");
  stage.wires.hold("s1", "s2");
  await commitTexts(stage, one, [[oidAt(50), "hole"]]);
  assert.equal(table(stage), "0: 2U 3O");
  const [resume] = (await history(stage, two.client)).slice(-2).map(({ tid }) => tid); // the one before the hole
  assert.ok(resume);
  await commitTexts(stage, two, [[oidAt(51), "above"]]);
  assert.deepEqual([storedAt(stage, "s2", oidAt(50)), storedAt(stage, "s2", oidAt(51))], [
    undefined,
    "above",
  ]);
  stage.storage("s2").kill();
  await stage.run();
  stage.wires.free("s1", "s2");
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(table(stage), "0: 2U 3U");
  const copied = stage.storage("s2").heard.flatMap(({ effects }) => effects).flatMap((effect) => {
    const write = (effect as { write?: { op: string; revisions?: readonly unknown[] } }).write;
    return write?.op === "copy" ? write.revisions ?? [] : [];
  });
  assert.ok(copied.length <= 2, `${copied.length} revisions were brought`);
  assert.ok(askedBy(stage, "s2").length <= 8);
  for (const after of askedBy(stage, "s2")) {
    assert.ok(after >= resume, "nothing from before the hole is looked at");
  }
  stage.storage("s1").kill();
  await stage.pass(STARTUP_GRACE_MS);
  for (const [oid, text] of [[50, "hole"], [51, "above"], [10, "before 0"]] as const) {
    assertCopies(stage, oidAt(oid), text);
  }
});

test("16.5/140 a storage that stops while it copies keeps what it was brought, and doesn't begin at zero", async () => {
  const scenery = await opened({ storages: 1, replicas: 0, partitions: 1 });
  const { stage, operator, one } = scenery;
  const large = (nr: number): Uint8Array => incompressible(400_000, nr);
  for (let nr = 0; nr < 24; nr++) {
    const tx = await stage.finish(one.client.begin());
    tx.store(oidAt(10 + nr), large(nr));
    await stage.finish(tx.commit());
  }
  await operator.add("s2");
  const wanted = await operator.ask("setReplicas", { replicas: 1 });
  assert.ok(wanted.answer, wanted.error?.message);
  stage.wires.hold("s1", "s2");
  const { answer, error } = await operator.tweak();
  assert.equal(answer?.copied, 1, error?.message);
  stage.wires.free("s1", "s2");
  const pages = (): number =>
    timesHeard(stage, "s2", "answered rows") + timesHeard(stage, "s2", "answered pick");
  await stage.until(() => pages() >= 2);
  const brought = (): number =>
    Array.from({ length: 24 }, (_, nr) => storedAt(stage, "s2", oidAt(10 + nr))).filter((text) =>
      text !== undefined
    ).length;
  const before = brought();
  assert.ok(before > 0 && before < 24, `${before}`);
  stage.storage("s2").terminate();
  await stage.run();
  stage.startStorage("s2");
  await stage.pass(STARTUP_GRACE_MS);
  assert.equal(table(stage), "0: 2U 3U");
  assert.equal(brought(), 24);
  const again = stage.storage("s2").heard.flatMap(({ effects }) => effects).flatMap((effect) => {
    const write = (effect as { write?: { op: string; revisions?: readonly unknown[] } }).write;
    return write?.op === "copy" ? write.revisions ?? [] : [];
  });
  assert.ok(again.length <= 24 + 3 - before, `${again.length} were brought again, ${before} were there`);
});

/** Bytes that zlib makes no smaller, other ones for each seed. */
function incompressible(length: number, seed: number): Uint8Array {
  let word = seed + 1;
  return new Uint8Array(length).map(() => {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    return word >>> 24;
  });
}

test("16.5/141 16.5/142 a copy becomes readable while a transaction is between its store and its vote: it waits for nobody, and misses nothing", async () => {
  for (const answered of [true, false]) {
    const { stage, one, two } = await opened({ storages: 2, replicas: 1, partitions: 1 });
    stage.storage("s2").kill();
    await stage.run();
    await commitTexts(stage, two, [[oidAt(9), "missed"]]);
    const tx = await stage.finish(one.client.begin());
    tx.store(X, bytesOf("T"));
    stage.wires.hold("c1", "m1");
    const commit = tx.commit();
    await stage.run(); // it has voted at s1, and its finish is on its way
    if (!answered) stage.wires.hold("s1", "s2");
    stage.startStorage("s2");
    await stage.run();
    assert.equal(table(stage), answered ? "0: 2U 3U" : "0: 2U 3O", "it isn't held up");
    stage.wires.free("c1", "m1");
    await stage.run();
    stage.wires.free("s1", "s2");
    await stage.finish(commit);
    await stage.pass(FAILOVER_GRACE_MS);
    assert.equal(table(stage), "0: 2U 3U");
    assertCopies(stage, X, "T");
    assertCopies(stage, oidAt(9), "missed");
    await commitTexts(stage, two, [[X, "later"]]);
    assertCopies(stage, X, "later");
    assertQuiet(stage);
  }
});

test("16.5/144 a tweak with a storage away that isn't named is denied, one that names it isn't; an only copy isn't dropped", async () => {
  const scenery = await opened({ storages: 3, replicas: 1, partitions: 3 });
  const { stage, operator } = scenery;
  await fill(scenery, 3, "value");
  stage.storage("s3").kill();
  await stage.run();
  for (const dryRun of [true, false]) {
    const { error } = await operator.ask("tweak", { ignored: [], dryRun });
    assert.equal(error?.code, "denied");
  }
  const { error } = await operator.ask("dropNode", { name: "s1" });
  assert.equal(error?.code, "denied");
  const { answer } = await operator.tweak("s3");
  assert.ok(answer);
  await stage.pass(STARTUP_GRACE_MS);
  for (let partition = 0; partition < 3; partition++) {
    assert.deepEqual(readersOf(stage, partition).filter((name) => name !== "s3").length, 2);
  }
  assertFilled(stage, 3, "value");
});

for (const cacheBytes of [0, 1024 * 1024]) {
  test(`16.5/151 objects are created, changed and deleted: gone from then on, there before, on each copy (cache: ${cacheBytes})`, async () => {
    const stage = await new Stage({ storages: 2, replicas: 1, partitions: 3 }).open();
    const scenes = [
      await connectWarm(stage, "c1", cacheBytes),
      await connectWarm(stage, "c2", cacheBytes),
    ] as const;
    const oids = [10, 11, 12].map(oidAt);
    await commitTexts(stage, scenes[0], oids.map((oid) => [oid, "created"]));
    const changed = await commitTexts(stage, scenes[1], oids.map((oid) => [oid, "changed"]));
    const tx = await stage.finish(scenes[0].client.begin());
    await stage.finish(tx.loadMany(oids));
    for (const oid of oids) tx.delete(oid);
    await stage.finish(tx.commit());
    for (const { client } of scenes) {
      const [now, then] = [
        await stage.finish(client.snapshot()),
        await stage.finish(client.snapshot({ at: changed })),
      ];
      assert.deepEqual(await stage.finish(now.loadMany(oids)), [undefined, undefined, undefined]);
      const found = await stage.finish(then.loadMany(oids));
      assert.deepEqual(found.map((one) => textOf(one?.data)), ["changed", "changed", "changed"]);
    }
    for (const name of stage.names) {
      for (const oid of oids) assert.equal(storedAt(stage, name, oid), undefined);
    }
  });
}
