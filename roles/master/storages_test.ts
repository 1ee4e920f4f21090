import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../../core/ids.ts";
import type { Effect } from "../../core/machine.ts";
import {
  answersOf,
  asksOf,
  asNode,
  emptyReport,
  errorsOf,
  helloAs,
  LOST,
  masterBench,
  only,
  runMaster,
  storageHello,
  tableOf,
  tellsOf,
} from "../../tests/machines.ts";
import type { BenchOf } from "../../tests/machines.ts";
import type { MasterMachine } from "./master.ts";
import { Storages } from "./storages.ts";

const registered = [
  { index: 1, name: "m1", role: "master", address: "m1:1", diskId: "" },
  { index: 2, name: "s1", role: "storage", address: "s1:1", diskId: "disk-s1" },
  { index: 3, name: "s2", role: "storage", address: "s2:1", diskId: "disk-s2" },
];

test("Storages knows the storages of the registry, unavailable until they come", () => {
  const storages = new Storages(registered);
  assert.deepEqual(storages.all.map(({ name, state, session }) => [name, state, session]), [
    ["s1", "unavailable", 0],
    ["s2", "unavailable", 0],
  ]);
  assert.equal(storages.node(asNode(1)), undefined);
  assert.deepEqual(storages.conns("unavailable"), []);
});

test("Storages gives each connection a number of its own", () => {
  const storages = new Storages(registered);
  const numbers = [storages.nextSession(), storages.nextSession(), storages.nextSession()];
  assert.equal(new Set(numbers).size, 3);
  assert.ok(!numbers.includes(0), "0 means none");
});

test("Storages finds a storage by its connection, and connections by state", () => {
  const storages = new Storages(registered);
  const [s1, s2] = storages.all;
  s1!.conn = 5 as Conn;
  s1!.become("pending");
  s2!.conn = 6 as Conn;
  s2!.become("running");
  assert.equal(storages.at(6 as Conn), s2);
  assert.equal(storages.at(7 as Conn), undefined);
  assert.deepEqual(storages.conns("running"), [6]);
  assert.deepEqual(storages.conns("pending", "running"), [5, 6]);
});

/** What a client was told of nodes: `s1 running`. */
function newsOf(effects: readonly Effect[], client: Conn): string[] {
  return tellsOf(effects, "nodes").flatMap(({ conns, body }) =>
    conns.includes(client) ? body.nodes.map(({ name, state }) => `${name} ${state}`) : []
  );
}

/** A master that runs with s1, s2 and a client, and has lost s2. */
function lostOne(): { bench: BenchOf<MasterMachine>; client: Conn; effects: Effect[] } {
  const bench = masterBench();
  const [, s2] = runMaster(bench);
  const { conn: client } = bench.comes(helloAs("client"));
  return { bench, client, effects: bench.lost(s2!) };
}

test("MasterMachine tells clients of a storage only when that has answered that it serves (T29)", () => {
  const { bench, client, effects } = lostOne();
  assert.deepEqual(newsOf(effects, client), ["s2 unavailable"]);

  const came = bench.comes(storageHello(2));
  assert.deepEqual(newsOf(came.effects, client), []);
  const fenced = bench.answered(asksOf(came.effects, "fence")[0]!, emptyReport(tableOf()));
  assert.deepEqual(newsOf(fenced, client), []);
  const during = bench.comes(helloAs("client", { name: "second" }));
  const [opened] = tellsOf(during.effects, "sessionOpened");
  assert.ok(opened?.conns.includes(came.conn), "it will know this client when that hears of it");
  const [welcome] = tellsOf(during.effects, "welcome");
  assert.deepEqual(welcome?.body.nodes.map(({ name, state }) => [name, state]), [
    ["s1", "running"],
    ["s2", "pending"],
  ]);

  const started = bench.answered(asksOf(fenced, "start")[0]!, {});

  assert.deepEqual(newsOf(started, client), ["s2 running"]);
  assert.deepEqual(newsOf(started, during.conn), ["s2 running"]);
});

test("MasterMachine lets clients in at start-up only when every storage has answered that it serves (T29)", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const early = bench.comes(helloAs("client"));
  assert.deepEqual(early.effects, []);
  const came = [1, 2].map((number) => bench.comes(storageHello(number)).effects);
  const [, fenced] = came.map((effects) =>
    bench.answered(asksOf(effects, "fence")[0]!, emptyReport(tableOf()))
  );
  const [first, second] = asksOf(fenced!, "start");
  assert.deepEqual(only(bench.answered(first!, {}), "accept"), []);

  const effects = bench.answered(second!, {});

  assert.deepEqual(only(effects, "accept"), [{ do: "accept", conn: early.conn }]);
  const [welcome] = tellsOf(effects, "welcome");
  assert.ok(welcome?.body.nodes.every(({ state }) => state === "running"));
});

test("MasterMachine counts the answer of an older connection of a storage for nothing", () => {
  const { bench } = lostOne();
  const first = bench.comes(storageHello(2));
  bench.lost(first.conn);
  const second = bench.comes(storageHello(2));

  const late = bench.answered(asksOf(first.effects, "fence")[0]!, emptyReport(tableOf()));
  assert.deepEqual(late, []);
  const [fence] = asksOf(second.effects, "fence");
  assert.notEqual(fence?.message.body.session, asksOf(first.effects, "fence")[0]?.message.body.session);
});

test("MasterMachine ends the first connection of a storage that connects again, and judges the second anew", () => {
  const bench = masterBench();
  const [, s2] = runMaster(bench);

  const { conn, effects } = bench.comes(storageHello(2));

  assert.deepEqual(only(effects, "close").map((close) => close.conn), [s2]);
  assert.deepEqual(only(effects, "accept").map((accept) => accept.conn), [conn]);
  const saves = only(effects, "save");
  const accept = effects.findIndex((effect) => effect.do === "accept");
  assert.ok(
    saves.length > 0 && effects.indexOf(saves[0]!) < accept,
    "its cells are outdated before it is let in",
  );
});

test("MasterMachine gives up a storage that refuses what it must do, and says why in the report", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const came = bench.comes(storageHello(1));
  const error = {
    code: "staleTable",
    message: "Cannot obey a primary with table 1.1, this storage has 1.9",
  } as const;

  const effects = bench.failed(asksOf(came.effects, "fence")[0]!, error);

  assert.deepEqual(only(effects, "close").map(({ conn }) => conn), [came.conn]);
  const admin = bench.comes(helloAs("admin")).conn;
  const [report] = answersOf(bench.asked(admin, "status", {}), "status");
  assert.deepEqual(report?.nodes.map(({ name, problem }) => [name, problem]), [
    ["m1", null],
    ["s1", error.message],
    ["s2", null],
  ]);
});

test("MasterMachine turns a storage with a foreign disk away, and says which", () => {
  const bench = masterBench();
  runMaster(bench);
  const { effects } = bench.comes(storageHello(1, { diskId: "disk-x" }));
  const [error] = errorsOf(effects);
  assert.equal(error?.code, "unknownNode");
  assert.match(error?.message ?? "", /"s1".*disk-x.*"test"/);
});

test("MasterMachine takes no storage for another whose disk id it says, if its certificate is its own (N6)", () => {
  const bench = masterBench();
  runMaster(bench);
  const { effects } = bench.comes(storageHello(2, { name: "s1" }), { holder: "storage s1" });
  const [error] = errorsOf(effects);
  assert.equal(error?.code, "untrusted");
  assert.match(error?.message ?? "", /storage s1: its disk id is that of storage s2/);
  assert.deepEqual(only(effects, "close"), [], "the other one's connection stays");
  const own = bench.comes(storageHello(2), { holder: "storage s2" });
  assert.deepEqual(only(own.effects, "accept"), [{ do: "accept", conn: own.conn }]);
});

test("MasterMachine hears of a lost connection that it has ended itself without losing the new one", () => {
  const bench = masterBench();
  const [, s2] = runMaster(bench);
  const { conn: client } = bench.comes(helloAs("client"));
  const { effects } = bench.comes(storageHello(2));

  assert.deepEqual(newsOf(bench.lost(s2!, { error: LOST }), client), []);

  const fenced = bench.answered(asksOf(effects, "fence")[0]!, emptyReport(tableOf()));
  assert.equal(asksOf(fenced, "start").length, 1);
});
