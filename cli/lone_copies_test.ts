import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex } from "../core/ids.ts";
import { tableOf } from "../tests/machines.ts";
import type { ClusterStatus } from "./ask.ts";
import { onlyReadableIn } from "./lone_copies.ts";

type Node = ClusterStatus["nodes"][number];

function storage(name: string, index: number, state = "running"): Node {
  return { index, name, role: "storage", address: "", state, cells: 0, readable: 0, problem: null };
}

test("onlyReadableIn() counts what nobody else has, of storages that run (T24)", () => {
  const alone = tableOf({ replicas: 0 });
  const [first, second] = [
    ...new Set(alone.cells(0 as never).concat(alone.cells(1 as never)).map(({ node }) => node)),
  ] as [NodeIndex, NodeIndex];
  const nodes = [storage("s1", first), storage("s2", second)];
  const count = (names: readonly string[], all: readonly Node[] = nodes, table = alone): number =>
    onlyReadableIn(names, table, [...all]);
  assert.equal(count(["s1"]) + count(["s2"]), alone.partitions);
  assert.equal(count(["s1", "s2"]), alone.partitions);
  assert.equal(count(["a1"]), 0);
  const both = tableOf({ replicas: 1 });
  assert.equal(count(["s1"], nodes, both), 0, "the other has it, too");
  assert.equal(
    count(["s1"], [storage("s1", first), storage("s2", second, "unavailable")], both),
    both.partitions,
  );
});
