import assert from "node:assert/strict";
import { test } from "node:test";
import type { Effect } from "../../core/machine.ts";
import {
  answersOf,
  errorsOf,
  helloAs,
  masterBench,
  runMaster,
  storageHello,
  tellsOf,
} from "../../tests/machines.ts";

function scene() {
  const shape = { storages: 2, replicas: 0, partitions: 4 };
  const bench = masterBench(shape);
  runMaster(bench, shape);
  const operator = bench.comes(helloAs("admin", { name: "" })).conn;
  bench.comes(storageHello(3));
  bench.asked(operator, "addNode", { name: "s3", weight: 0, path: [], replaces: "" });
  const copyCells = (name: string, of: string): Effect[] => bench.asked(operator, "copyCells", { name, of });
  return { bench, copyCells, table: () => bench.machine.view.table };
}

test("Clone gives a storage without cells out-of-date ones of the same partitions as another (N4)", () => {
  const { copyCells, table } = scene();
  const effects = copyCells("s3", "s1");
  assert.equal(table(), "0: 2U 4O\n1: 3U\n2: 2U 4O\n3: 3U");
  assert.deepEqual(answersOf(effects, "copyCells"), [{ cells: 2 }]);
  const [change] = tellsOf(effects, "tableChange");
  assert.deepEqual(change?.body.cells.map(({ since }) => since), [2, 2], "a new cell has a since of its own");
});

test("Clone refuses what makes no sense, in words", () => {
  const { copyCells } = scene();
  const denial = (name: string, of: string): string => errorsOf(copyCells(name, of))[0]!.message;
  assert.match(denial("s1", "s2"), /^Cannot give s1 the cells of s2: it has cells already/);
  assert.match(denial("s4", "s1"), /no storage s4 is a member/);
  assert.match(denial("s3", "s5"), /no storage s5 is a member/);
});
