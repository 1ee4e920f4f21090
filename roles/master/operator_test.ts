import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conn } from "../../core/ids.ts";
import { NODE_EXPIRY_MS } from "../../core/limits.ts";
import type { Effect } from "../../core/machine.ts";
import type { AskName, Body } from "../../core/messages.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import {
  answersOf,
  asksOf,
  asNode,
  asPartition,
  emptyReport,
  errorsOf,
  helloAs,
  masterBench,
  runMaster,
  storageHello,
  tellsOf,
} from "../../tests/machines.ts";
import type { BenchOf, BenchShape } from "../../tests/machines.ts";
import type { MasterMachine } from "./master.ts";

/** A cluster that runs, with an operator and a client. */
class Stage {
  readonly bench: BenchOf<MasterMachine>;
  readonly storages: Conn[];
  readonly operator: Conn;
  readonly client: Conn;

  constructor(shape: BenchShape = {}) {
    this.bench = masterBench(shape);
    this.storages = runMaster(this.bench, shape);
    this.operator = this.bench.comes(helloAs("admin", { name: "" })).conn;
    this.client = this.bench.comes(helloAs("client")).conn;
  }

  ask<N extends AskName>(name: N, body: Body<N>): Effect[] {
    return this.bench.asked(this.operator, name, body);
  }

  get table(): string[] {
    return this.bench.machine.view.table.split("\n").map((row) => row.slice(row.indexOf(" ") + 1));
  }

  /** A storage that isn't a member comes, as often as it wants. */
  comes(number: number): { conn: Conn; effects: Effect[] } {
    return this.bench.comes(storageHello(number));
  }

  /** A storage comes, is fenced and started. */
  joins(number: number): Conn {
    const { conn, effects } = this.bench.comes(storageHello(number));
    const [fence] = asksOf(effects, "fence");
    const table = PartitionTable.ofImage(fence!.message.body.image);
    const [start] = asksOf(this.bench.answered(fence!, emptyReport(table)), "start");
    this.bench.answered(start!, {});
    return conn;
  }

  /** All out-of-date cells of a storage have caught up. */
  catchesUp(number: number, conn: Conn): Effect[] {
    const table = PartitionTable.ofImage(answersOf(this.ask("showTable", {}), "showTable")[0]!.image);
    const cells = table.cellsOf(asNode(number + 1)).flatMap(({ partition, cell }) =>
      cell.state === "outOfDate" ? [{ partition, since: cell.since, covered: 0n as never }] : []
    );
    const epoch = this.bench.machine.view.epoch;
    const effects = this.bench.asked(conn, "catchUp", { epoch, cells });
    for (const { partition, since } of cells) {
      effects.push(...this.bench.told(conn, "settled", { epoch, partition, since }));
    }
    return effects;
  }
}

function denialsOf(effects: readonly Effect[]): string[] {
  return errorsOf(effects).map(({ code, message }) => `${code}: ${message}`);
}

const addS3 = { name: "s3", weight: 0, path: [], replaces: "" };

test("addNode takes in a storage that has come and wasn't known, once that is held (T22)", () => {
  const stage = new Stage();
  assert.deepEqual(denialsOf(stage.ask("addNode", addS3)), [
    "denied: Cannot add s3: no unknown storage of this name has come; start it first",
  ]);
  const came = stage.comes(3).effects;
  assert.deepEqual(errorsOf(came).map(({ code }) => code), ["unknownNode"]);
  assert.deepEqual(
    tellsOf(came, "nodes").map(({ conns }) => conns),
    [[stage.operator]],
    "who waits for it hears",
  );
  assert.deepEqual(tellsOf(stage.comes(3).effects, "nodes"), [], "once");
  const effects = stage.ask("addNode", { ...addS3, weight: 2, path: ["east", "h3"] });

  assert.deepEqual(answersOf(effects, "addNode"), [{ index: 4 }]);
  assert.ok(
    effects.findIndex(({ do: what }) => what === "save")
      < effects.findIndex(({ do: what }) => what === "answer"),
  );
  const nodes = answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes;
  assert.deepEqual(
    nodes.map(({ name, state, weight, path, cells }) => [name, state, weight, path.join("/"), cells]),
    [
      ["s1", "running", 1, "", 4],
      ["s2", "running", 1, "", 4],
      ["s3", "unavailable", 2, "east/h3", 0],
    ],
  );
  stage.joins(3);
  assert.deepEqual(stage.table, ["2U 3U", "2U 3U", "2U 3U", "2U 3U"], "it has no cells before a tweak");
});

test("a tweak moves cells to a new storage, and takes none away before it has caught up (scenario 135, testDropPartitions)", () => {
  const stage = new Stage();
  stage.comes(3);
  stage.ask("addNode", addS3);
  const s3 = stage.joins(3);
  const dry = answersOf(stage.ask("tweak", { ignored: [], dryRun: true }), "tweak")[0]!;
  assert.deepEqual([dry.copied, dry.feeding, dry.dropped, dry.version], [2, 2, 0, 1]);
  assert.deepEqual(stage.table, ["2U 3U", "2U 3U", "2U 3U", "2U 3U"], "a dry run changes nothing");

  const effects = stage.ask("tweak", { ignored: [], dryRun: false });

  const plan = answersOf(effects, "tweak")[0]!;
  assert.deepEqual([plan.copied, plan.feeding, plan.dropped, plan.version], [2, 2, 0, 2]);
  assert.deepEqual(plan.nodes.map(({ name, cells, cellsAfter }) => [name, cells, cellsAfter]), [
    ["s1", 4, 3],
    ["s2", 4, 3],
    ["s3", 0, 2],
  ]);
  const [change] = tellsOf(effects, "tableChange");
  assert.deepEqual([...change!.conns].sort(), [...stage.storages, s3, stage.operator, stage.client].sort());
  assert.deepEqual(stage.table, ["2F 3U 4O", "2U 3U", "2U 3F 4O", "2U 3U"]);

  stage.catchesUp(3, s3);
  assert.deepEqual(stage.table, ["3U 4U", "2U 3U", "2U 4U", "2U 3U"]);
  const again = stage.ask("tweak", { ignored: [], dryRun: false });
  assert.deepEqual(tellsOf(again, "tableChange"), []);
  assert.equal(answersOf(again, "tweak")[0]!.copied, 0);
  assert.deepEqual(stage.table, ["3U 4U", "2U 3U", "2U 4U", "2U 3U"], "a second tweak changes nothing");
});

test("a feeding cell goes only when the new cell has no write left that was taken without a lock (A7)", () => {
  const stage = new Stage({ partitions: 1, replicas: 0, storages: 1 });
  stage.comes(2);
  stage.ask("addNode", { ...addS3, name: "s2" });
  const s2 = stage.joins(2);
  stage.ask("drainNode", { name: "s1", undo: false });
  assert.deepEqual(stage.table, ["2F 3O"]);
  const epoch = stage.bench.machine.view.epoch;
  stage.bench.asked(s2, "catchUp", {
    epoch,
    cells: [{ partition: asPartition(0), since: 2, covered: 0n as never }],
  });
  stage.ask("tweak", { ignored: [], dryRun: false });
  assert.deepEqual(stage.table, ["2F 3U"], "by a tweak neither");
  stage.bench.told(s2, "settled", { epoch, partition: asPartition(0), since: 2 });
  assert.deepEqual(stage.table, ["3U"]);
});

test("a feeding cell that is lost is no more, and the cluster runs on (scenario 127, testSafeTweak)", () => {
  const stage = new Stage({ partitions: 3 });
  stage.comes(3);
  stage.ask("addNode", addS3);
  const s3 = stage.joins(3);
  stage.ask("tweak", { ignored: [], dryRun: false });
  assert.deepEqual(stage.table, ["2F 3U 4O", "2U 3U", "2U 3F 4O"]);
  stage.bench.lost(stage.storages[0]!);
  assert.equal(stage.bench.machine.view.phase, "running");
  assert.deepEqual(stage.table, ["3U 4O", "2O 3U", "2O 3F 4O"]);
  stage.catchesUp(3, s3);
  stage.catchesUp(1, stage.joins(1));
  assert.deepEqual(stage.table, ["3U 4U", "2U 3U", "2U 4U"]);
});

test("a storage that was away when its cells were discarded is told of them when it returns (B9)", () => {
  const stage = new Stage({ partitions: 3 });
  stage.comes(3);
  stage.ask("addNode", addS3);
  stage.joins(3);
  stage.ask("tweak", { ignored: [], dryRun: false });
  stage.bench.lost(stage.storages[0]!);
  const { effects } = stage.comes(1);
  assert.deepEqual(tellsOf(effects, "discarded").map(({ body }) => body.cells), [[{
    partition: 0,
    since: 1,
  }]]);
  const asks = effects.findIndex((effect) => effect.do === "ask" && effect.message.name === "fence");
  const tells = effects.findIndex((effect) => effect.do === "tell" && effect.message.name === "discarded");
  assert.ok(asks < tells, "a storage obeys behind its fence");
});

test("a tweak is denied while a storage is away that isn't named, and done when it is (scenario 144, testAdminOnerousOperationCondition)", () => {
  const stage = new Stage({ storages: 3 });
  stage.bench.lost(stage.storages[2]!);
  const denied = ["denied: Cannot tweak: storage s3 doesn't run; start it, or leave it out with --ignore"];
  for (const dryRun of [true, false]) {
    assert.deepEqual(denialsOf(stage.ask("tweak", { ignored: [], dryRun })), denied);
  }
  const effects = stage.ask("tweak", { ignored: ["s3"], dryRun: false });
  assert.deepEqual(denialsOf(effects), []);
  assert.equal(answersOf(effects, "tweak")[0]!.copied, 2, "rows of s3 get a second copy elsewhere");
  assert.ok(stage.table.every((row) => row.includes("2") && row.includes("3")));
  assert.deepEqual(denialsOf(stage.ask("tweak", { ignored: ["s9"], dryRun: true })), [
    "denied: Cannot leave out s9: no storage has this name; there are s1, s2, s3",
  ]);
});

for (const name of ["dropNode", "killNode"] as const) {
  test(`${name} is refused for the only readable copy of something; a feeding one elsewhere is enough (scenario 144)`, () => {
    const verb = name.slice(0, 4);
    const alone = new Stage({ replicas: 0 });
    assert.deepEqual(denialsOf(alone.ask(name, { name: "s1" })), [
      `denied: Cannot ${verb} s1: it has the only readable copy of partitions 0, 2; wait until others have caught up, or drain it`,
    ]);
    const fed = new Stage({ partitions: 1, replicas: 0, storages: 1 });
    fed.comes(2);
    fed.ask("addNode", { ...addS3, name: "s2" });
    const s2 = fed.joins(2);
    fed.ask("drainNode", { name: "s1", undo: false });
    const epoch = fed.bench.machine.view.epoch;
    const cells = [{ partition: asPartition(0), since: 2, covered: 0n as never }];
    fed.bench.asked(s2, "catchUp", { epoch, cells });
    assert.deepEqual(fed.table, ["2F 3U"]);
    const effects = fed.ask(name, { name: "s2" });
    assert.deepEqual(denialsOf(effects), []);
    assert.deepEqual(tellsOf(effects, "leave").map(({ conns }) => conns), [[s2]]);
    if (name === "dropNode") assert.deepEqual(fed.table, ["2U"], "what fed its row stays after all");
  });
}

test("dropNode discards the cells, forgets the storage, tells it, and everybody else (T22, B9)", () => {
  const stage = new Stage({ storages: 3 });
  const effects = stage.ask("dropNode", { name: "s2" });

  assert.deepEqual(
    stage.table,
    ["2U", "4U 2U", "4U", "2U"],
    "no copy is made before a tweak",
  );
  assert.deepEqual(answersOf(effects, "dropNode").length, 1);
  assert.deepEqual(tellsOf(effects, "leave").map(({ conns, body }) => [conns, body.reason]), [
    [[stage.storages[1]], "storage s2 was dropped from the cluster: its operator dropped it"],
  ]);
  const news = tellsOf(effects, "nodes").flatMap(({ body }) =>
    body.nodes.map(({ name, state }) => `${name} ${state}`)
  );
  assert.equal(news.at(-1), "s2 unknown");
  const listed = answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes;
  assert.deepEqual(listed.map(({ name }) => name), ["s1", "s3"]);

  stage.bench.lost(stage.storages[1]!);
  assert.deepEqual(
    errorsOf(stage.comes(2).effects).map(({ code }) => code),
    ["unknownNode"],
    "it is a stranger now",
  );
  assert.deepEqual(
    answersOf(stage.ask("addNode", { ...addS3, name: "s2" }), "addNode"),
    [{ index: 5 }],
    "D1",
  );
});

test("a copy that is out of date is none: who has the only readable one is neither dropped nor ended", () => {
  const stage = new Stage();
  stage.bench.lost(stage.storages[1]!);
  stage.joins(2);
  assert.deepEqual(stage.table, ["2U 3O", "2U 3O", "2U 3O", "2U 3O"]);
  for (const name of ["killNode", "dropNode"] as const) {
    assert.match(
      denialsOf(stage.ask(name, { name: "s1" }))[0] ?? "",
      /the only readable copy of partitions 0, 1, 2, 3;/,
    );
    assert.deepEqual(denialsOf(stage.ask(name, { name: "s2" })), []);
  }
});

test("killNode ends a storage's process only: its cells are out of date when it is gone (T22)", () => {
  const stage = new Stage();
  const effects = stage.ask("killNode", { name: "s2" });
  assert.deepEqual(answersOf(effects, "killNode"), [{}]);
  assert.deepEqual(stage.table, ["2U 3U", "2U 3U", "2U 3U", "2U 3U"]);
  stage.bench.lost(stage.storages[1]!);
  assert.deepEqual(stage.table, ["2U 3O", "2U 3O", "2U 3O", "2U 3O"]);
  assert.deepEqual(denialsOf(stage.ask("killNode", { name: "s2" })), [
    "denied: Cannot kill s2: it isn't connected",
  ]);
});

test("drainNode moves all cells elsewhere, then drops the storage by itself", () => {
  const stage = new Stage();
  assert.deepEqual(denialsOf(stage.ask("drainNode", { name: "s1", undo: false })), [
    "denied: Cannot drain s1: 1 storages would be left for 2 copies; add a storage first, or lower the number of replicas",
  ]);
  stage.comes(3);
  stage.ask("addNode", addS3);
  const s3 = stage.joins(3);
  const effects = stage.ask("drainNode", { name: "s1", undo: false });
  const plan = answersOf(effects, "drainNode")[0]!;
  assert.deepEqual([plan.copied, plan.feeding, plan.dropped], [4, 4, 0]);
  assert.deepEqual(stage.table, ["2F 3U 4O", "2F 3U 4O", "2F 3U 4O", "2F 3U 4O"]);
  assert.equal(answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes[0]!.draining, true);

  const caught = stage.catchesUp(3, s3);

  assert.deepEqual(stage.table, ["3U 4U", "3U 4U", "3U 4U", "3U 4U"]);
  assert.deepEqual(tellsOf(caught, "leave").map(({ conns }) => conns), [[stage.storages[0]]]);
  const listed = answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes;
  assert.deepEqual(listed.map(({ name }) => name), ["s2", "s3"]);
});

test("drainNode can be undone: what feeds stays after all, and what was to be copied isn't", () => {
  const stage = new Stage({ storages: 3 });
  stage.ask("drainNode", { name: "s1", undo: false });
  assert.equal(stage.table.join().match(/2F/g)?.length, 3);
  const plan = answersOf(stage.ask("drainNode", { name: "s1", undo: true }), "drainNode")[0]!;
  assert.deepEqual([plan.copied, plan.feeding, plan.kept, plan.dropped], [0, 0, 3, 3]);
  assert.equal(answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes[0]!.draining, false);
});

test("drainNode with undo changes nothing where nothing was to leave, whatever a tweak would find to do (T22)", () => {
  const stage = new Stage();
  stage.comes(3);
  stage.ask("addNode", addS3);
  stage.joins(3); // it has no cells: a tweak would give it some
  const before = stage.table;
  const plan = answersOf(stage.ask("drainNode", { name: "s1", undo: true }), "drainNode")[0]!;
  assert.deepEqual(stage.table, before);
  assert.deepEqual([plan.copied, plan.feeding, plan.dropped, plan.kept], [0, 0, 0, 0]);
  assert.deepEqual(plan.nodes.map(({ name, cells, cellsAfter }) => [name, cells, cellsAfter]), [
    ["s1", 4, 4],
    ["s2", 4, 4],
    ["s3", 0, 0],
  ]);
  assert.deepEqual(plan.warnings, ["storage s1 isn't being drained: there is nothing to undo"]);
});

test("addNode in place of a storage gives its cells to the new one, out of date, under a new index (B7, D1)", () => {
  const stage = new Stage();
  const replace = { ...addS3, name: "s2", replaces: "s2" };
  stage.bench.lost(stage.storages[1]!);
  const swapped = storageHello(2, { diskId: "another" });
  assert.deepEqual(errorsOf(stage.bench.comes(swapped).effects).map(({ code }) => code), ["unknownNode"]);
  assert.deepEqual(denialsOf(stage.ask("addNode", { ...replace, replaces: "" })), [
    "denied: Cannot add s2: a storage of this name is a member, with another disk; add it with --replace s2, or give it another name",
  ]);
  assert.deepEqual(
    denialsOf(stage.ask("addNode", { ...replace, replaces: "s1" })).map((text) => text.slice(0, 22)),
    [
      "denied: Cannot add s2:",
    ],
  );

  assert.deepEqual(answersOf(stage.ask("addNode", replace), "addNode"), [{ index: 4 }]);

  assert.deepEqual(stage.table, ["2U 4O", "2U 4O", "2U 4O", "2U 4O"]);
  const { effects } = stage.bench.comes(swapped);
  assert.equal(asksOf(effects, "fence")[0]?.message.body.node, 4);
  assert.deepEqual(errorsOf(stage.bench.comes(storageHello(2)).effects).map(({ code }) => code), [
    "unknownNode",
  ]);
});

test("addNode replaces no storage that is connected, and none that holds the only copy of something", () => {
  const stage = new Stage();
  stage.comes(3);
  assert.deepEqual(denialsOf(stage.ask("addNode", { ...addS3, replaces: "s1" })), [
    "denied: Cannot replace s1: it is connected; stop it first, or drain it",
  ]);
  assert.deepEqual(denialsOf(stage.ask("addNode", { ...addS3, weight: 2_000 })), [
    "denied: Cannot add s3: the most that a storage may have is a weight of 1000 and 8 names in its path",
  ]);
});

test("setReplicas tells everybody the whole table, and moves nothing before the next tweak (N3)", () => {
  const stage = new Stage({ storages: 3 });
  const before = stage.table;
  assert.deepEqual(denialsOf(stage.ask("setReplicas", { replicas: 3 })), [
    "denied: Cannot keep 4 copies: there are 3 storages; add some first",
  ]);
  const effects = stage.ask("setReplicas", { replicas: 2 });
  assert.deepEqual(answersOf(effects, "setReplicas"), [{ version: 2 }]);
  const [told] = tellsOf(effects, "table");
  assert.deepEqual([...told!.conns].sort(), [...stage.storages, stage.operator, stage.client].sort());
  const table = PartitionTable.ofImage(told!.body.image);
  assert.deepEqual([table.replicas, table.version, stage.table], [2, 2, before]);
  assert.equal(answersOf(stage.ask("tweak", { ignored: [], dryRun: false }), "tweak")[0]!.copied, 4);
  stage.ask("setReplicas", { replicas: 0 });
  const less = answersOf(stage.ask("tweak", { ignored: [], dryRun: false }), "tweak")[0]!;
  assert.deepEqual([less.copied, less.dropped], [0, 8], "out-of-date ones and what is too much");
});

test("operators change the table only while the cluster runs", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(helloAs("admin"));
  const asks = [
    ["tweak", { ignored: [], dryRun: true }],
    ["addNode", addS3],
    ["dropNode", { name: "s1" }],
    ["killNode", { name: "s1" }],
    ["drainNode", { name: "s1", undo: false }],
    ["setReplicas", { replicas: 0 }],
  ] as const;
  for (const [name, body] of asks) {
    const [denial] = denialsOf(bench.asked(conn, name, body as never));
    assert.match(denial ?? "", /^denied: Cannot .*: the cluster is recovering; wait until it runs$/);
  }
  assert.equal(answersOf(bench.asked(conn, "listNodes", {}), "listNodes")[0]?.nodes.length, 2);
  assert.equal(answersOf(bench.asked(conn, "showTable", {}), "showTable").length, 1);
});

test("neither clients nor storages are served as operators", () => {
  const stage = new Stage();
  for (const conn of [stage.client, stage.storages[0]!]) {
    const effects = stage.bench.asked(conn, "dropNode", { name: "s2" });
    assert.deepEqual(errorsOf(effects).map(({ code }) => code), ["denied"]);
  }
  assert.deepEqual(stage.table, ["2U 3U", "2U 3U", "2U 3U", "2U 3U"]);
});

test("storages that are away without cells are forgotten after a time, and notes of unknown ones (T62)", () => {
  const stage = new Stage();
  stage.comes(3);
  stage.ask("addNode", addS3);
  stage.comes(4);
  const names = () =>
    answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes.map(({ name, state }) => `${name} ${state}`);
  assert.deepEqual(names(), ["s1 running", "s2 running", "s3 unavailable", "s4 unknown"]);
  stage.bench.pass(NODE_EXPIRY_MS - 1);
  assert.equal(names().length, 4);
  stage.bench.pass(1);
  assert.deepEqual(names(), ["s1 running", "s2 running"]);
  assert.equal(stage.bench.machine.due(), undefined, "nothing is left to expire (T10)");
});

test("a storage that returns in time, or has cells, isn't forgotten (T62)", () => {
  const stage = new Stage();
  stage.comes(3);
  stage.ask("addNode", addS3);
  stage.bench.pass(NODE_EXPIRY_MS - 1);
  stage.joins(3);
  stage.bench.lost(stage.storages[1]!);
  stage.bench.pass(NODE_EXPIRY_MS);
  const { nodes } = answersOf(stage.ask("listNodes", {}), "listNodes")[0]!;
  assert.deepEqual(nodes.map(({ name }) => name), ["s1", "s2", "s3"]);
});

test("a tweak spreads what storages say their cells are used for (T41)", () => {
  const stage = new Stage({ storages: 3, replicas: 0, partitions: 12 });
  const hot = [0, 3, 6]; // all on s1
  const cells = hot.map((p) => ({ partition: asPartition(p), reads: 3_000, writes: 0, bytes: 0 }));
  stage.bench.told(stage.storages[0]!, "use", { cells });
  const rest = Array.from({ length: 12 }, (_, p) => p).filter((p) => !hot.includes(p));
  for (const [at, conn] of stage.storages.entries()) {
    const own = rest.filter((p) => p % 3 === at);
    stage.bench.told(conn, "use", {
      cells: own.map((p) => ({ partition: asPartition(p), reads: 0, writes: 10, bytes: 100_000 })),
    });
  }
  const listed = answersOf(stage.ask("listNodes", {}), "listNodes")[0]!.nodes;
  assert.ok(listed[0]!.useMilli > 900);
  const plan = answersOf(stage.ask("tweak", { ignored: [], dryRun: true }), "tweak")[0]!;
  assert.equal(plan.copied, 4, "two hot cells go to each of the others, in exchange for a cold one");
  assert.ok(plan.nodes.every(({ useMilli }) => useMilli <= 1_300));
  stage.bench.pass(30 * 3_600_000);
  assert.equal(
    answersOf(stage.ask("tweak", { ignored: [], dryRun: true }), "tweak")[0]!.copied,
    0,
    "long ago",
  );
});
