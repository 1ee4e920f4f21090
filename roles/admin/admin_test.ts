import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../../adapters/system.ts";
import type { Answer } from "../../core/messages.ts";
import {
  adminBench,
  answersOf,
  asksOf,
  asNode,
  asPartition,
  asTid,
  errorsOf,
  follow,
  helloAs,
  LOST,
  only,
  tableOf,
  welcomeOf,
} from "../../tests/machines.ts";
import { PRIMARY } from "../seeker.ts";

const status: Answer<"status"> = {
  clusterId: "c-1",
  cluster: "test",
  state: "running",
  primary: "m1",
  epoch: 1,
  generation: 1,
  version: 1,
  partitions: 4,
  replicas: 1,
  origin: "",
  backup: null,
  pack: null,
  oldestSnapshot: null,
  lastTid: asTid(9),
  clients: 3,
  waitingFor: "",
  nodes: [],
};

test("AdminMachine takes operators at once, whether there is a primary or not", () => {
  const bench = adminBench();
  bench.give({ type: "opened" });
  const { conn, effects } = bench.comes(helloAs("admin", { name: "operator" }));
  assert.deepEqual(effects, [{ do: "accept", conn }]);
});

for (const name of ["status", "stop"] as const) {
  test(`AdminMachine passes ${name} on to the primary, and its answer back to who asked (T12)`, () => {
    const bench = adminBench();
    const primary = follow(bench);
    const [first, second] = [bench.comes(helloAs("admin")).conn, bench.comes(helloAs("admin")).conn];
    const [one] = asksOf(bench.asked(first, name, {}), name);
    const [two] = asksOf(bench.asked(second, name, {}), name);
    assert.deepEqual([one?.conn, two?.conn], [primary, primary]);
    const body = name === "status" ? status : {};

    const answers = [two!, one!].flatMap((question) => only(bench.answered(question, body), "answer"));

    assert.deepEqual(answers.map((answer) => [answer.conn, answer.message.name]), [[second, name], [
      first,
      name,
    ]]);
  });
}

test("AdminMachine passes on what an operator asks about storages and the table, with all it says, and the answer (T22)", () => {
  const bench = adminBench();
  const primary = follow(bench);
  const { conn } = bench.comes(helloAs("admin"));
  const body = { ignored: ["s2"], dryRun: true };
  const [question] = asksOf(bench.asked(conn, "tweak", body), "tweak");
  assert.deepEqual([question?.conn, question?.message.body], [primary, body]);
  const plan = { version: 7, copied: 1, feeding: 1, dropped: 0, kept: 0, nodes: [], warnings: ["one"] };
  const effects = bench.answered(question!, plan);
  assert.deepEqual(answersOf(effects, "tweak"), [plan]);
  assert.deepEqual(only(effects, "answer").map((answer) => answer.conn), [conn]);
});

test("AdminMachine gives the primary no more time than the operator gives", () => {
  const bench = adminBench();
  follow(bench);
  const { conn } = bench.comes(helloAs("admin"));
  assert.deepEqual(asksOf(bench.asked(conn, "status", {}, 700), "status").map(({ withinMs }) => withinMs), [
    700,
  ]);
});

test("AdminMachine passes a refusal back as it is", () => {
  const bench = adminBench();
  follow(bench);
  const { conn } = bench.comes(helloAs("admin"));
  const [question] = asksOf(bench.asked(conn, "stop", {}), "stop");
  const error = { code: "denied", message: "Cannot serve stop to this peer" } as const;
  assert.deepEqual(errorsOf(bench.failed(question!, error)), [error]);
});

test("AdminMachine without a primary shows what it saw last, and that nobody leads", () => {
  const bench = adminBench();
  const primary = follow(bench, welcomeOf({ lastTid: asTid(55), epoch: 3 }));
  const next = tableOf();
  const cells = [{ partition: asPartition(0), node: asNode(3), state: "outOfDate", since: 2 }];
  next.apply(2, cells);
  const change = { generation: 1, base: 1, version: 2, cells, digest: next.digest(sha256), epoch: 3 };
  bench.told(primary, "tableChange", change);
  bench.lost(primary, { target: PRIMARY });
  const { conn } = bench.comes(helloAs("admin"));

  const [report] = answersOf(bench.asked(conn, "status", {}), "status");

  const { state, primary: leader, epoch, version, lastTid, nodes, waitingFor } = report!;
  assert.deepEqual([state, leader, epoch, version, lastTid], ["noPrimary", "", 3, 2, 55n]);
  assert.equal(waitingFor, "a primary master");
  assert.deepEqual(nodes.map(({ name, cells, readable }) => [name, cells, readable]), [["s1", 4, 4], [
    "s2",
    4,
    3,
  ]]);
});

test("AdminMachine that has never seen a primary says why it has none", () => {
  const bench = adminBench();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(helloAs("admin"));
  assert.match(errorsOf(bench.asked(conn, "status", {}))[0]?.message ?? "", /none has answered yet/);

  bench.lost(bench.conn(), { target: PRIMARY, error: { ...LOST, message: "nobody listens on m1:1" } });

  const [error] = errorsOf(bench.asked(conn, "status", {}));
  assert.equal(error?.code, "lost");
  assert.match(error?.message ?? "", /Cannot ask the primary: nobody listens on m1:1/);
});

test("AdminMachine doesn't stop a cluster without its primary, and serves nothing else", () => {
  const bench = adminBench();
  const primary = follow(bench);
  bench.lost(primary, { target: PRIMARY });
  const { conn } = bench.comes(helloAs("admin"));
  assert.equal(errorsOf(bench.asked(conn, "stop", {}))[0]?.code, "lost");

  const [error] = errorsOf(bench.asked(conn, "sync", {}));

  assert.equal(error?.code, "denied");
  assert.match(error?.message ?? "", /Cannot serve sync: an admin takes what operators ask/);
});

test("AdminMachine logs each change of a storage and of the phase, once, and warns of a lost one", () => {
  const bench = adminBench();
  const primary = follow(bench);
  const node = { index: asNode(2), name: "s1", role: "storage", address: "s1:1", session: 1 };
  const logs = (state: string) =>
    only(bench.told(primary, "nodes", { nodes: [{ ...node, state }] }), "log").map((
      { level, text },
    ) => [level, text]);
  assert.deepEqual(logs("unavailable"), [["warning", "Storage s1 is unavailable"]]);
  assert.deepEqual(logs("unavailable"), []);
  assert.deepEqual(logs("running"), [["info", "Storage s1 is running"]]);
  const phase = only(bench.told(primary, "phase", { phase: "stopping", epoch: 1 }), "log");
  assert.deepEqual(phase.map(({ text }) => text), ["Cluster is stopping"]);
});

test("AdminMachine asks for the whole table when a difference doesn't fit, and takes it", () => {
  const bench = adminBench();
  const primary = follow(bench);
  const body = { generation: 1, base: 7, version: 8, digest: new Uint8Array(16), cells: [], epoch: 1 };
  const [question] = asksOf(bench.told(primary, "tableChange", body), "askTable");
  const whole = tableOf();
  whole.apply(8, []);
  bench.answered(question!, { image: whole.toImage() });
  bench.lost(primary, { target: PRIMARY });
  const { conn } = bench.comes(helloAs("admin"));
  assert.equal(answersOf(bench.asked(conn, "status", {}), "status")[0]?.version, 8);
});

test("AdminMachine doesn't follow a primary that knows less than it has seen", () => {
  const bench = adminBench();
  const primary = follow(bench, welcomeOf({ epoch: 5 }));
  bench.lost(primary, { target: PRIMARY });
  const { conn } = bench.reached(PRIMARY, helloAs("master"));

  const effects = bench.told(conn, "welcome", welcomeOf({ epoch: 4 }));

  assert.deepEqual(errorsOf(effects).map(({ code }) => code), ["staleEpoch"]);
  assert.deepEqual(only(effects, "close").map((close) => close.conn), [conn]);
});

test("AdminMachine takes news from its primary only", () => {
  const bench = adminBench();
  const primary = follow(bench);
  const { conn } = bench.comes(helloAs("admin"));
  assert.deepEqual(bench.told(conn, "phase", { phase: "ended", epoch: 9 }), []);
  assert.deepEqual(bench.told(conn, "welcome", welcomeOf({ epoch: 9 })), []);
  bench.lost(primary, { target: PRIMARY });
  assert.equal(answersOf(bench.asked(conn, "status", {}), "status")[0]?.epoch, 1);
});

test("AdminMachine that follows wants no wake-up, and ends when it is told to (T10)", () => {
  const bench = adminBench();
  follow(bench);
  assert.equal(bench.machine.due(), undefined);
  assert.deepEqual(bench.give({ type: "terminate" }), [{ do: "stop" }]);
});
