import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answersOf,
  asksOf,
  emptyReport,
  helloAs,
  masterBench,
  runMaster,
  storageHello,
  tableOf,
} from "../../tests/machines.ts";
import type { BenchOf } from "../../tests/machines.ts";
import type { MasterMachine } from "./master.ts";

function statusOf(bench: BenchOf<MasterMachine>) {
  const { conn } = bench.comes(helloAs("admin"));
  return answersOf(bench.asked(conn, "status", {}), "status")[0]!;
}

test("reportOf() shows a cluster that runs: table, last tid, clients, and each node with its cells", () => {
  const bench = masterBench();
  runMaster(bench);
  bench.comes(helloAs("client"));

  const { nodes, ...rest } = statusOf(bench);

  assert.deepEqual(rest, {
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
    lastTid: 0n,
    clients: 1,
    waitingFor: "",
  });
  assert.deepEqual(nodes, [
    {
      index: 1,
      name: "m1",
      role: "master",
      address: "m1:1",
      state: "running",
      cells: 0,
      readable: 0,
      problem: null,
    },
    {
      index: 2,
      name: "s1",
      role: "storage",
      address: "s1:1",
      state: "running",
      cells: 4,
      readable: 4,
      problem: null,
    },
    {
      index: 3,
      name: "s2",
      role: "storage",
      address: "s2:1",
      state: "running",
      cells: 4,
      readable: 4,
      problem: null,
    },
  ]);
});

test("reportOf() says what a cluster that recovers waits for", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  assert.match(statusOf(bench).waitingFor, /^storages with partitions 0, 1, 2, 3$/);

  const came = bench.comes(storageHello(1));
  bench.answered(asksOf(came.effects, "fence")[0]!, emptyReport(tableOf()));
  assert.equal(statusOf(bench).waitingFor, "s2", "operational, but a storage with readable cells is absent");
  assert.equal(statusOf(bench).state, "recovering");
});

test("reportOf() counts a lost storage's cells as no longer readable", () => {
  const bench = masterBench();
  const [, s2] = runMaster(bench);
  bench.lost(s2!);
  const { nodes, version } = statusOf(bench);
  const found = nodes.find(({ name }) => name === "s2");
  assert.deepEqual([found?.state, found?.cells, found?.readable, version], ["unavailable", 4, 0, 2]);
});

test("reportOf() shows where a storage is now, and its trouble", () => {
  const bench = masterBench();
  bench.give({ type: "opened" });
  const { conn } = bench.comes(storageHello(1, { address: "moved:9" }));
  bench.told(conn, "space", { low: true, freeBytes: 77 });
  const node = () => statusOf(bench).nodes.find(({ name }) => name === "s1");
  assert.equal(node()?.address, "moved:9");
  assert.match(node()?.problem ?? "", /77 bytes are free/);

  bench.told(conn, "space", { low: false, freeBytes: 1e12 });
  assert.equal(node()?.problem, null);
});

test("reportOf() names a storage that came with a disk that isn't in the registry, and what to do", () => {
  const bench = masterBench();
  runMaster(bench);
  bench.comes(storageHello(1, { name: "s9", diskId: "disk-x", address: "s9:1" }));
  const stranger = statusOf(bench).nodes.find(({ name }) => name === "s9");
  assert.deepEqual([stranger?.index, stranger?.state, stranger?.address], [0, "unknown", "s9:1"]);
  assert.match(stranger?.problem ?? "", /put its own folder back, or replace the node/);
});
