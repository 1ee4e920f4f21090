/** Tweaks while clients work: cells move between storages, and are taken away again before they have come. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn, Oid, Partition } from "../../core/ids.ts";
import { MAX_TID } from "../../core/ids.ts";
import { ERASE_PAUSE_MS, RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import type { AskName, Body } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import type { Database, DatabaseAnswers } from "../../core/ports.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import type { StageShape } from "../hazards/kit.ts";
import { Puppet } from "../hazards/puppet.ts";
import type { Reply } from "../hazards/puppet.ts";
import { oidAt, textOf } from "../hazards/words.ts";
import { adding, commitTexts, connectWarm, timesHeard, timesSaid, valuesOf } from "./kit.ts";
import type { Scene } from "./kit.ts";

/** A cluster, a client, and an operator. */
class Shop {
  readonly stage: Stage;
  readonly scene: Scene;
  readonly #operator: Puppet;
  readonly #conn: Conn;

  private constructor(stage: Stage, scene: Scene, operator: Puppet, conn: Conn) {
    this.stage = stage;
    this.scene = scene;
    this.#operator = operator;
    this.#conn = conn;
  }

  static async open(shape: StageShape): Promise<Shop> {
    const stage = await new Stage(shape).open();
    const scene = await connectWarm(stage, "c1");
    const operator = new Puppet(stage, "op", stage.hello("admin"));
    const { conn } = await operator.dial("m1:1");
    return new Shop(stage, scene, operator, conn);
  }

  /** Asks, and lets what can move move. */
  async ask<N extends AskName>(name: N, body: Body<N>): Promise<Reply<N>> {
    const reply = this.#operator.ask(this.#conn, name, body);
    await this.stage.run();
    assert.equal(reply.error, undefined, reply.error?.message);
    return reply;
  }

  /** Asks, and stops everything between storages in the middle of a copying. */
  async askAndHold(to: string, body: Body<"drainNode">): Promise<void> {
    const reply = this.#operator.ask(this.#conn, "drainNode", body);
    const others = this.stage.names;
    await this.stage.until(() =>
      others.some((from) =>
        this.stage.storage(from).heard.some(({ what }) => /^asked (slices|keys|rows)$/.test(what))
      )
    );
    for (const from of others) this.stage.wires.hold(from, to);
    await this.stage.run();
    assert.ok(reply.answer, reply.error?.message);
  }

  tweak(): Promise<Reply<"tweak">> {
    return this.ask("tweak", { ignored: [], dryRun: false });
  }

  /** A storage that isn't a member is started, and taken in. */
  async add(name: string): Promise<void> {
    this.stage.startStorage(name);
    await this.stage.run();
    await this.ask("addNode", { name, weight: 0, path: [], replaces: "" });
    await this.stage.pass(2 * RETRY_DELAY_MS_MAX);
    assert.equal(this.stage.storage(name).machine.load.phase, "serving");
  }

  /** Rows of the table: `2U 3O`. */
  get table(): string[] {
    const rows = this.stage.master.machine.view.table.split("\n");
    return rows.map((row) => row.slice(row.indexOf(" ") + 1).split(" ").sort().join(" "));
  }

  /** What a storage's disk says, as it is now. */
  async read<R extends keyof DatabaseAnswers>(
    name: string,
    query: { read: R } & object,
  ): Promise<DatabaseAnswers[R]> {
    const database = this.stage.storage(name).store as unknown as Database;
    return await database.read(query as never) as never;
  }

  async digest(name: string, partition: number): Promise<string> {
    const query = { read: "digest" as const, partition: partition as Partition, upTo: MAX_TID };
    const { count, digest } = await this.read(name, query);
    return `${count} ${[...digest].join()}`;
  }
}

const X = oidAt(5);
const Y = oidAt(4);

test("16.5/135 from one storage to two: the data move, and what was discarded is deleted where it was (testDropPartitions)", async () => {
  const shop = await Shop.open({ storages: 1, replicas: 0, partitions: 2 });
  await commitTexts(shop.stage, shop.scene, [[X, "odd"], [Y, "even"]]);
  await shop.add("s2");
  await shop.tweak();
  await shop.stage.pass(10 * ERASE_PAUSE_MS);

  const [first, second] = [
    await shop.read("s1", { read: "stocked" }),
    await shop.read("s2", { read: "stocked" }),
  ];
  assert.deepEqual(shop.table.map((row) => row.length), [2, 2], shop.table.join());
  assert.deepEqual([first.partitions.length, second.partitions.length], [1, 1]);
  assert.notDeepEqual(first.partitions, second.partitions);
  const snapshot = await shop.stage.finish(shop.scene.client.snapshot());
  const found = await shop.stage.finish(snapshot.loadMany([X, Y]));
  assert.deepEqual(found.map((one) => textOf(one?.data)), ["odd", "even"]);
});

test("16.5/129 a client that doesn't know of a tweak yet asks storages that have the cell no more, and gets its answer (testClientReadingDuringTweak)", async () => {
  const shop = await Shop.open({ storages: 1, replicas: 0, partitions: 2 });
  const { stage, scene } = shop;
  await commitTexts(stage, scene, [[X, "odd"], [Y, "even"]]);
  await shop.add("s2");
  const snapshot = await stage.finish(scene.client.snapshot());
  stage.wires.hold("m1", "c1"); // the changes are on their way
  await shop.tweak();
  await stage.pass(10 * ERASE_PAUSE_MS);
  const loads = [snapshot.load(X), snapshot.load(Y)];
  await stage.run();
  assert.equal(timesSaid(stage, "s1", "refuse notReadable"), 1, "it has given one of both away");
  stage.wires.free("m1", "c1");
  const found = await stage.finish(Promise.all(loads));
  assert.deepEqual(found.map((one) => textOf(one?.data)), ["odd", "even"]);
});

test("16.5/130 a cell that is copied is taken away again: what still comes is for nobody, and all copies are equal (testAbortingReplication)", async () => {
  const shop = await Shop.open({ storages: 2, replicas: 1, partitions: 1 });
  const { stage, scene } = shop;
  await commitTexts(stage, scene, [[X, "text"]]);
  await shop.add("s3");
  await shop.askAndHold("s3", { name: "s2", undo: false });
  assert.deepEqual(shop.table, ["2U 3F 4O"]);
  await shop.ask("drainNode", { name: "s2", undo: true });
  assert.deepEqual(shop.table, ["2U 3U"]);
  stage.wires.free("s1", "s3");
  stage.wires.free("s2", "s3");
  await stage.pass(10 * ERASE_PAUSE_MS);
  assert.equal(stage.problems, undefined);
  await commitTexts(stage, scene, [[X, "more"]]);
  assert.deepEqual((await shop.read("s3", { read: "stocked" })).partitions, []);
  assert.equal(await shop.digest("s1", 0), await shop.digest("s2", 0));
});

test("16.5/132 a cell that was taken away while it was copied, and is back, isn't readable by the first copying (testTweakVsReplication)", async () => {
  const shop = await Shop.open({ storages: 2, replicas: 1, partitions: 1 });
  const { stage, scene } = shop;
  await commitTexts(stage, scene, [[X, "text"]]);
  await shop.add("s3");
  await shop.askAndHold("s3", { name: "s2", undo: false });
  const pending = await adding(stage, scene, [Y], 1);
  const early = pending.commit(); // its write on s3 has no lock
  await stage.run();
  await shop.ask("drainNode", { name: "s2", undo: true });
  assert.deepEqual(shop.table, ["2U 3U"]);
  await shop.ask("drainNode", { name: "s2", undo: false });
  assert.deepEqual(shop.table, ["2U 3F 4O"]);
  await stage.finish(early);
  assert.deepEqual(shop.table, ["2U 3F 4O"], "what it waits for hasn't come");
  for (const from of ["s1", "s2"]) stage.wires.free(from, "s3");
  await stage.pass(60_000);
  assert.deepEqual(shop.table, ["2U 4U"]);
  assert.equal(await shop.digest("s1", 0), await shop.digest("s3", 0));
  assert.deepEqual(await valuesOf(stage, scene, [Y]), [1]);
});

test("16.5/134 a cell is discarded, unknown to its storage, during a commit with a conflict: no deadlock, and the value is right (testCommitVsDiscardedCell)", async () => {
  const shop = await Shop.open({ storages: 2, replicas: 0, partitions: 2 });
  const { stage, scene } = shop;
  const counters: Oid[] = [X, Y];
  await stage.finish((await adding(stage, scene, counters, 1)).commit());
  const other = await connectWarm(stage, "c2");
  const tx = await adding(stage, scene, counters, 10);
  await stage.finish((await adding(stage, other, counters, 100)).commit()); // tx conflicts
  const before = shop.table;
  stage.wires.hold("m1", "s1"); // it hears of nothing
  stage.wires.hold("s1", "m1");
  const moved = shop.ask("drainNode", { name: "s1", undo: false });
  const commit = tx.commit();
  await stage.run();
  stage.wires.free("s1", "m1");
  await stage.run();
  stage.wires.free("m1", "s1");
  await moved;
  await stage.finish(commit);
  await stage.pass(120_000);
  assert.notDeepEqual(shop.table, before);
  assert.deepEqual(shop.table, ["3U", "3U"]);
  assert.deepEqual(await valuesOf(stage, scene, counters), [111, 111]);
  assert.ok(timesHeard(stage, "s1", "told leave") === 1, "it is dropped when it has given all away");
});

test("a commit doesn't wait for a storage that is dropped, and what that says later is no news", async () => {
  const shop = await Shop.open({ storages: 2, replicas: 1, partitions: 1 });
  const { stage, scene } = shop;
  stage.wires.hold("s2", "m1"); // what it has locked
  const tx = await adding(stage, scene, [X], 1);
  const commit = tx.commit();
  await stage.run();
  assert.equal(stage.master.machine.view.pending, 1);
  await shop.ask("dropNode", { name: "s2" });
  await stage.finish(commit);
  stage.wires.free("s2", "m1");
  await stage.run();
  assert.deepEqual([stage.master.machine.view.phase, shop.table], ["running", ["2U"]]);
  assert.deepEqual(stage.storage("s2").ended, {}, "it ends by itself");
  assert.deepEqual(await valuesOf(stage, scene, [X]), [1]);
});

test("storages close what they copied over, once nothing is left to copy (T28)", async () => {
  const shop = await Shop.open({ storages: 2, replicas: 1, partitions: 4 });
  const { stage, scene } = shop;
  await commitTexts(stage, scene, [[X, "text"]]);
  await shop.add("s3");
  const ofStorages = (name: string) => {
    const { heard } = stage.storage(name);
    const came = heard.flatMap(({ what, effects, conn }) =>
      what === "identified" && effects.some((effect) => effect.do === "accept")
        && heard.some((one) => one.conn === conn && /^asked (slices|keys|rows|pick)$/.test(one.what))
        ? [conn]
        : []
    );
    return {
      came,
      open: came.filter((conn) => !heard.some((one) => one.what === "lost" && one.conn === conn)),
    };
  };
  await shop.tweak();
  await stage.pass(60_000);
  const both = [ofStorages("s1"), ofStorages("s2")];
  assert.ok(both.some(({ came }) => came.length > 0), "something was copied");
  assert.deepEqual(both.map(({ open }) => open), [[], []]);
});

test("a storage that comes back gets only the changes of the table that it lacks (T38)", async () => {
  const shop = await Shop.open({ storages: 3, replicas: 1, partitions: 60 });
  const { stage } = shop;
  stage.storage("s3").kill();
  await stage.run();
  stage.startStorage("s3");
  await stage.pass(2 * RETRY_DELAY_MS_MAX);
  const [back] = bodiesOf(stage.storage("s3"), "fence");
  const whole = (await shop.ask("showTable", {})).answer!.image;
  assert.equal(stage.storage("s3").machine.load.phase, "serving");
  assert.ok(back!.image.length > 0 && back!.image.length !== whole.length);
  assert.throws(() => PartitionTable.ofImage(back!.image), "it is a difference");
});
