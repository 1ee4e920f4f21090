/** The configuration service: revisions that reach every node and client, also those that were away (T51, X3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { zlibCompression } from "../../adapters/system.ts";
import type { Answer } from "../../core/messages.ts";
import { bodiesOf } from "../hazards/actors.ts";
import { Stage } from "../hazards/kit.ts";
import { bytesOf, oidAt } from "../hazards/words.ts";
import { OperatorHand } from "./damage_kit.ts";

interface Change {
  readonly scope: string;
  readonly key: string;
  readonly value: string | null;
}

function set(key: string, value: string | null, scope: string = "cluster"): Change {
  return { scope, key, value };
}

/** An operator who changes the configuration. */
class Configurer {
  readonly #hand: OperatorHand;

  constructor(stage: Stage, name: string = "eva") {
    this.#hand = new OperatorHand(stage, name);
  }

  async change(changes: readonly Change[], base: number | null = null): Promise<number> {
    const body = { base, author: "eva", reason: "why not", changes };
    return (await this.#hand.ask("changeConfig", body)).revision;
  }

  async refused(changes: readonly Change[], base: number | null = null): Promise<string> {
    const reply = await this.#hand.begin("changeConfig", { base, author: "eva", reason: "", changes });
    await this.stage.run();
    return reply.error!.message;
  }

  get stage(): Stage {
    return this.#hand.stage;
  }

  async status(): Promise<{ [name: string]: number }> {
    const { nodes } = await this.#hand.ask("configStatus", {});
    const others = nodes.filter(({ role }) => role !== "admin"); // the operator is one, and takes nothing
    return Object.fromEntries(others.map(({ name, revision }) => [name, revision]));
  }

  async history(): Promise<Answer<"configHistory">["revisions"]> {
    return (await this.#hand.ask("configHistory", { before: null, count: 100 })).revisions;
  }

  async get(): Promise<Answer<"getConfig">> {
    return await this.#hand.ask("getConfig", { after: null });
  }

  waitFor(after: number) {
    return this.#hand.begin("getConfig", { after });
  }
}

test("T51, X3: a revision reaches storages and clients at once, each what is set for it, and they say so", async () => {
  const stage = await new Stage().open();
  await stage.connect("c1");
  const operator = new Configurer(stage);
  const changes = [set("storage.copyBytesPerS", "1000000", "node:s1"), set("client.oidBatch", "7")];
  assert.equal(await operator.change(changes), 1);
  const lastTold = (name: string) => bodiesOf(stage.actor(name), "config").at(-1);
  const told = { revision: 1, isWhole: false };
  assert.deepEqual(lastTold("s1"), { ...told, values: [{ key: "storage.copyBytesPerS", value: "1000000" }] });
  assert.deepEqual(lastTold("s2"), { ...told, values: [] });
  assert.deepEqual(lastTold("c1"), { ...told, values: [{ key: "client.oidBatch", value: "7" }] });
  assert.deepEqual(await operator.status(), { m1: 1, s1: 1, s2: 1, c1: 1 });
});

test("T51: a client compresses as it is configured, from its next store on: level, algorithm and from which size", async () => {
  const stage = await new Stage().open();
  const client = await stage.connect("c1");
  const operator = new Configurer(stage);
  const data = bytesOf(Array.from({ length: 2_000 }, (_, i) => `${(i * i) % 977} apples;`).join(" "));
  let stored = 0;
  const travels = async (): Promise<Uint8Array> => {
    const tx = await stage.finish(client.begin());
    tx.store(oidAt(++stored), data);
    await stage.finish(tx.commit());
    return bodiesOf(stage.storage("s1"), "store").at(-1)!.data!;
  };
  assert.deepEqual(await travels(), zlibCompression.compress(1, data, 6));
  await operator.change([set("client.compressionLevel", "1")]);
  const fast = zlibCompression.compress(1, data, 1);
  assert.notEqual(fast.length, zlibCompression.compress(1, data, 6).length);
  assert.deepEqual(await travels(), fast);
  assert.match(await operator.refused([set("client.compressionLevel", "10")]), /from 1 to 9, found "10"/);
  await operator.change([set("client.compressBytesMin", String(data.length + 1))]);
  assert.deepEqual(await travels(), data);
  await operator.change([set("client.compressBytesMin", "0"), set("client.compression", "none")]);
  assert.deepEqual(await travels(), data);
  await operator.change([set("client.compressionLevel", null), set("client.compression", null)]);
  assert.deepEqual(await travels(), zlibCompression.compress(1, data, 6));
});

test("T51: a changed keepalive counts for connections that are there, in clients too", async () => {
  const lostAfter = async (keepaliveMs: string | undefined): Promise<boolean> => {
    const stage = await new Stage().open();
    await stage.warm("c1");
    const operator = new Configurer(stage);
    if (keepaliveMs !== undefined) {
      await operator.change([set("peer.keepaliveMs", keepaliveMs, "role:client")]);
    }
    stage.wires.hold("s1", "c1");
    const before = stage.actor("c1").heard.length;
    await stage.pass(2_000);
    return stage.actor("c1").heard.slice(before).some(({ what }) => what === "lost");
  };
  assert.deepEqual([await lostAfter(undefined), await lostAfter("200")], [false, true]);
});

test("T51: a storage that is away has the change when it returns; a new primary has all of it", async () => {
  const stage = await new Stage().open();
  const operator = new Configurer(stage);
  stage.storage("s2").kill();
  await stage.run();
  await operator.change([set("storage.reserveBytes", "5")]);
  stage.startStorage("s2");
  await stage.run();
  const whole = { revision: 1, isWhole: true, values: [{ key: "storage.reserveBytes", value: "5" }] };
  assert.deepEqual(bodiesOf(stage.storage("s2"), "config").at(-1), whole);
  assert.deepEqual(await operator.status(), { m1: 1, s1: 1, s2: 1 });
  stage.master.kill();
  stage.startMaster();
  await stage.run();
  assert.deepEqual(bodiesOf(stage.storage("s1"), "config").at(-1), whole);
  const again = new Configurer(stage, "adam");
  assert.deepEqual((await again.get()).settings, [{
    scope: "cluster",
    key: "storage.reserveBytes",
    value: "5",
  }]);
});

test("X3: revisions keep author, time, reason and what was before; nothing of a refused one is done", async () => {
  const stage = await new Stage().open();
  const operator = new Configurer(stage);
  await operator.change([set("client.oidBatch", "7")]);
  await operator.change([set("client.oidBatch", null), set("log.level", "debug", "role:storage")]);
  const [second, first] = await operator.history();
  assert.deepEqual([first?.number, first?.author, first?.reason], [1, "eva", "why not"]);
  assert.ok(first!.atMs <= second!.atMs);
  assert.deepEqual(second?.changes, [
    { scope: "cluster", key: "client.oidBatch", before: "7", after: null },
    { scope: "role:storage", key: "log.level", before: null, after: "debug" },
  ]);
  const refusals: readonly (readonly [Change[], RegExp])[] = [
    [[set("client.oidBatch", "9"), set("client.cacheBytes", "-1")], /client\.cacheBytes: .*found "-1"/],
    [[set("no.such", "1")], /no\.such: there is no such key/],
    [[set("client.oidBatch", null)], /client\.oidBatch: nothing is set for cluster/],
    [[set("client.oidBatch", "1"), set("client.oidBatch", "2")], /twice/],
    [[], /expected 1 to 200 changes, found 0/],
  ];
  for (const [changes, says] of refusals) assert.match(await operator.refused(changes), says);
  assert.equal((await operator.get()).revision, 2);
});

test("X3: of two who change what they have read, the second is refused; who waits for a revision hears of it", async () => {
  const stage = await new Stage().open();
  const [eva, adam] = [new Configurer(stage), new Configurer(stage, "adam")];
  const waiting: { readonly answer?: Answer<"getConfig"> } = await adam.waitFor(0);
  await stage.run();
  assert.equal("answer" in waiting, false);
  await eva.change([set("client.oidBatch", "7")], 0);
  assert.equal(waiting.answer?.revision, 1);
  assert.match(await eva.refused([set("client.oidBatch", "8")], 0), /it is at revision 1, not 0/);
  assert.equal(await eva.change([set("client.oidBatch", "8")], 1), 2);
});

test("T51: a change that the masters' log doesn't hold is told to nobody", async () => {
  const stage = await new Stage().open();
  const hand = new OperatorHand(stage);
  stage.consensus.lags = true;
  const body = { base: null, author: "eva", reason: "", changes: [set("client.oidBatch", "7")] };
  const reply = await hand.begin("changeConfig", body);
  await stage.run();
  assert.deepEqual([reply.answer, bodiesOf(stage.storage("s1"), "config").length], [undefined, 1]);
  stage.consensus.lags = false;
  stage.master.post({ type: "saved" });
  await stage.run();
  assert.deepEqual([reply.answer, bodiesOf(stage.storage("s1"), "config").length], [{ revision: 1 }, 2]);
});
