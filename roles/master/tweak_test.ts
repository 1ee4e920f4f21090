import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex, Partition } from "../../core/ids.ts";
import { isReadable, PartitionTable } from "../../core/partition_table.ts";
import type { Cell, CellState } from "../../core/partition_table.ts";
import { cheapestMoves } from "../../tests/tweak_oracle.ts";
import { quotasOf, spreadOf, sum } from "./topology.ts";
import { planTweak, spentFeeding } from "./tweak.ts";
import type { PlannedChange, TweakInput, TweakNode } from "./tweak.ts";

const asNode = (value: number) => value as NodeIndex;
const asPartition = (value: number) => value as Partition;

/** A table from one text a row, a letter a node from 1 on: `U`, `F`, `O`, or `.` for no cell. */
function tableOf(rows: readonly string[], replicas: number = 1): PartitionTable {
  const states: { readonly [letter: string]: CellState } = {
    U: "upToDate",
    F: "feeding",
    O: "outOfDate",
    C: "corrupted",
  };
  const cells = rows.map((row) =>
    [...row].flatMap((letter, at): Cell[] => {
      const state = states[letter];
      return state === undefined ? [] : [{ node: asNode(at + 1), state, since: 1 }];
    })
  );
  return new PartitionTable({ generation: 1, version: 1, replicas, rows: cells });
}

function rowsOf(table: PartitionTable, nodes: number): string[] {
  return Array.from(
    { length: table.partitions },
    (_, p) =>
      Array.from(
        { length: nodes },
        (_, at) => table.cell(asPartition(p), asNode(at + 1))?.state.charAt(0).toUpperCase() ?? ".",
      ).join(""),
  );
}

function nodesOf(count: number, more: (at: number) => Partial<TweakNode> = () => ({})): TweakNode[] {
  return Array.from({ length: count }, (_, at) => ({
    index: asNode(at + 1),
    weight: 1,
    path: [],
    ...more(at),
  }));
}

function apply(table: PartitionTable, changes: readonly PlannedChange[]): void {
  if (changes.length === 0) return;
  const version = table.version + 1;
  table.apply(
    version,
    changes.map(({ partition, node, state }) => ({
      partition,
      node,
      state,
      since: state === "outOfDate" ? version : table.cell(partition, node)!.since,
    })),
  );
}

/** All out-of-date cells become readable, one after another in the order of `pick`; `each` looks in between. */
function catchUp(table: PartitionTable, pick: (count: number) => number, each: () => void = () => {}): void {
  for (;;) {
    const late = Array.from(
      { length: table.partitions },
      (_, p) =>
        table.cells(asPartition(p)).flatMap(({ node, state }) =>
          state === "outOfDate" ? [{ partition: asPartition(p), node }] : []
        ),
    ).flat();
    if (late.length === 0) return;
    apply(table, [{ ...late[pick(late.length)]!, state: "upToDate" }]);
    apply(table, spentFeeding(table, () => true));
    each();
  }
}

interface Case extends TweakInput {
  readonly table: PartitionTable;
  readonly nodes: readonly TweakNode[];
}

/** A cluster in any state that can be: each row has a readable cell on a storage that isn't ignored. */
const anyCase: fc.Arbitrary<Case> = fc.record({
  nodes: fc.array(
    fc.record({
      weight: fc.constantFrom(0, 1, 1, 1, 2, 3),
      rack: fc.constantFrom("a", "b", "c"),
      ignored: fc.constantFrom(false, false, false, true),
    }),
    { minLength: 1, maxLength: 7 },
  ),
  rows: fc.array(
    fc.tuple(fc.string({ unit: fc.constantFrom("U", "F", "O", "."), maxLength: 7 }), fc.nat(6)),
    {
      minLength: 1,
      maxLength: 12,
    },
  ),
  replicas: fc.nat(3),
  use: fc.oneof(fc.constant([]), fc.array(fc.nat(100), { minLength: 12, maxLength: 12 })),
  racks: fc.boolean(),
}).filter(({ nodes }) => nodes.some(({ weight, ignored }) => weight > 0 && !ignored)).map(
  ({ nodes, rows, replicas, use, racks }) => {
    const there = nodes.flatMap(({ ignored }, at) => (ignored ? [] : [at]));
    const texts = rows.map(([text, at]) => {
      const letters = [...text.padEnd(nodes.length, ".").slice(0, nodes.length)];
      const sure = there[at % there.length]!;
      if (!there.some((at) => letters[at] === "U" || letters[at] === "F")) letters[sure] = "U";
      return letters.join("");
    });
    return {
      table: tableOf(texts, replicas),
      replicas,
      use,
      nodes: nodes.map(({ weight, rack, ignored }, at): TweakNode => ({
        index: asNode(at + 1),
        weight,
        path: racks ? [rack, `host${at % 2}`] : [],
        ignored,
      })),
    };
  },
);

/** Readable cells of each row. */
function readableOf(table: PartitionTable): number[] {
  return Array.from(
    { length: table.partitions },
    (_, p) => table.cells(asPartition(p)).filter(isReadable).length,
  );
}

test("planTweak never takes a readable copy before its replacement is readable", () => {
  fc.assert(fc.property(anyCase, fc.infiniteStream(fc.nat()), (one, picks) => {
    const least = readableOf(one.table).map((count) => Math.min(count, one.replicas + 1));
    const check = () =>
      readableOf(one.table).forEach((count, p) => assert.ok(count >= least[p]!, `row ${p}`));
    const random = picks[Symbol.iterator]();
    apply(one.table, planTweak(one).changes);
    check();
    catchUp(one.table, (count) => (random.next().value as number) % count, check);
  }));
});

test("planTweak does nothing the second time, at once, on the way, and when all has caught up", () => {
  fc.assert(fc.property(anyCase, fc.infiniteStream(fc.nat()), (one, picks) => {
    const random = picks[Symbol.iterator]();
    const again = () => assert.deepEqual(planTweak(one).changes, []);
    apply(one.table, planTweak(one).changes);
    again();
    catchUp(one.table, (count) => (random.next().value as number) % count, again);
  }));
});

test("planTweak gives each row its copies and each storage its quota, by weight", () => {
  fc.assert(fc.property(anyCase, (one) => {
    const plan = planTweak(one);
    apply(one.table, plan.changes);
    const takers = one.nodes.filter(({ weight, ignored }) => weight > 0 && !ignored);
    const copies = Math.min(one.replicas + 1, takers.length);
    const { partitions } = one.table;
    const quotas = quotasOf(takers.map(({ weight }) => weight), partitions * copies, partitions);
    const counts = takers.map(() => 0);
    for (let p = 0; p < partitions; p++) {
      const staying = one.table.cells(asPartition(p)).filter(({ state }) => state !== "feeding");
      const places = takers.flatMap(({ index }, at) =>
        staying.some(({ node }) => node === index) ? [at] : []
      );
      assert.equal(places.length, copies, `row ${p}`);
      for (const at of places) counts[at]! += 1;
    }
    counts.forEach((count, at) => {
      assert.ok(count >= Math.floor(quotas[at]! + 1e-9) && count <= Math.ceil(quotas[at]! - 1e-9));
      assert.equal(plan.nodes[at]!.cellsAfter, count);
    });
  }));
});

test("planTweak leaves the cells of ignored storages as they are", () => {
  fc.assert(fc.property(anyCase, (one) => {
    const ignored = one.nodes.filter(({ ignored }) => ignored).map(({ index }) => index);
    assert.ok(planTweak(one).changes.every(({ node }) => !ignored.includes(node)));
  }));
});

test("planTweak makes every change that it makes by the table of transitions (T3)", () => {
  fc.assert(fc.property(anyCase, (one) => {
    const before = one.table.version;
    const { changes } = planTweak(one);
    apply(one.table, changes); // throws for a step that isn't in the table
    assert.equal(one.table.version, changes.length === 0 ? before : before + 1);
  }));
});

test("planTweak moves as little as any plan could that gives the same copies and quotas", () => {
  fc.assert(fc.property(anyCase, (one) => {
    const cold = { ...one, use: [] };
    assert.equal(planTweak(cold).moves, cheapestMoves(cold));
  }));
});

test("planTweak puts no more copies of a row at one place than the topology's rules allow", () => {
  fc.assert(fc.property(anyCase, (one) => {
    apply(one.table, planTweak(one).changes);
    const takers = one.nodes.filter(({ weight, ignored }) => weight > 0 && !ignored);
    const copies = Math.min(one.replicas + 1, takers.length);
    const { partitions } = one.table;
    const quotas = quotasOf(takers.map(({ weight }) => weight), partitions * copies, partitions);
    const { groups, caps } = spreadOf({ paths: takers.map(({ path }) => path), quotas, partitions, copies });
    for (let p = 0; p < partitions; p++) {
      caps.forEach((cap, group) => {
        const there = takers.filter(({ index }, at) => {
          const cell = one.table.cell(asPartition(p), index);
          return groups[at]!.includes(group) && cell !== undefined && cell.state !== "feeding";
        });
        assert.ok(there.length <= cap, `row ${p}`);
      });
    }
  }));
});

/** Use of a cluster in which some partitions take nearly everything. */
function skewed(partitions: number, hot: readonly number[], share: number): number[] {
  const rest = (1 - share) / (partitions - hot.length);
  return Array.from({ length: partitions }, (_, p) => hot.includes(p) ? share / hot.length : rest);
}

function ratiosOf(table: PartitionTable, nodes: readonly NodeIndex[], use: readonly number[]): number[] {
  const loads = nodes.map((node) => sum(table.cellsOf(node).map(({ partition }) => use[partition]!)));
  return loads.map((load) => load * nodes.length / sum(loads));
}

/** Has some partitions on these storages only, whatever stood there. */
function crowd(table: PartitionTable, partitions: readonly number[], nodes: readonly NodeIndex[]): void {
  for (const partition of partitions.map(asPartition)) {
    for (const { node } of [...table.cells(partition)]) {
      apply(table, [{ partition, node, state: "discarded" }]);
    }
    for (const node of nodes) {
      apply(table, [{ partition, node, state: "outOfDate" }]);
      apply(table, [{ partition, node, state: "upToDate" }]);
    }
  }
}

for (
  const [storages, replicas] of [[3, 0], [4, 0], [3, 1], [4, 1], [6, 1], [3, 2], [4, 2], [5, 2], [
    9,
    2,
  ]] as const
) {
  test(`planTweak spreads 3 partitions with 90 % of the use over ${storages} storages with ${replicas} replicas: none has more than 1.3 times the mean (T41)`, () => {
    const nodes = nodesOf(storages);
    const indexes = nodes.map(({ index }) => index);
    const hot = [1, 121, 201];
    const use = skewed(240, hot, 0.9);
    const table = PartitionTable.deal({ partitions: 240, replicas, nodes: indexes });
    crowd(table, hot, indexes.slice(0, replicas + 1));
    const before = Math.max(...ratiosOf(table, indexes, use));
    const plan = planTweak({ table, replicas, nodes, use });
    apply(table, plan.changes);
    catchUp(table, () => 0);
    const worst = Math.max(...ratiosOf(table, indexes, use));

    assert.ok(worst <= 1.3, `${worst} after ${before}`);
    assert.ok(before > 1.3 || plan.moves === 0);
    assert.equal(Math.max(...plan.nodes.map(({ useAfter }) => useAfter)).toFixed(6), worst.toFixed(6));
    assert.deepEqual(planTweak({ table, replicas, nodes, use }).changes, []);
    for (const node of indexes) {
      const cells = table.cellsOf(node).length;
      assert.ok(Math.abs(cells - 240 * (replicas + 1) / storages) < 1, "its capacity counts too");
    }
  });
}

test("planTweak gives storages use by their weight, and tells of use that it can't divide", () => {
  const nodes = nodesOf(5, (at) => (at === 0 ? { weight: 2 } : {}));
  const use = skewed(240, [3, 4, 5], 0.9);
  const table = PartitionTable.deal({ partitions: 240, replicas: 1, nodes: nodes.map(({ index }) => index) });
  const { nodes: after } = planTweak({ table, replicas: 1, nodes, use });
  assert.deepEqual(after.map(({ cellsAfter }) => cellsAfter), [160, 80, 80, 80, 80]);
  assert.ok(after.every(({ useAfter }) => useAfter <= 1.3));
  const even = planTweak({ table, replicas: 1, nodes: nodesOf(5), use });
  assert.ok(even.nodes.some(({ useAfter }) => useAfter > 1.3), "6 hot cells on 5 storages");
});

test("planTweak leaves a use alone that is within bounds: it moves nothing for a little", () => {
  const nodes = nodesOf(4);
  const table = PartitionTable.deal({ partitions: 240, replicas: 1, nodes: nodes.map(({ index }) => index) });
  const use = Array.from({ length: 240 }, (_, p) => 10 + (p % 2) * 4);
  assert.deepEqual(planTweak({ table, replicas: 1, nodes, use }).changes, []);
});

test("a third storage takes its third, and a feeding cell that gets out of date is no more (16.5/127, testSafeTweak)", () => {
  const table = tableOf(["UU.", "UU.", "UU."]);
  const nodes = nodesOf(3);
  const plan = planTweak({ table, replicas: 1, nodes });
  assert.equal(plan.moves, 2);
  apply(table, plan.changes);
  assert.deepEqual(rowsOf(table, 3), ["FUO", "UU.", "UFO"]);
  catchUp(table, () => 0);
  assert.deepEqual(rowsOf(table, 3), [".UU", "UU.", "U.U"]);
});

test("flat, 9 storages have 2 of 9 partitions each; as 3 x 3, no row has both copies in a group (16.5/131, testTopology)", () => {
  const rows = Array.from({ length: 9 }, () => "UU.......");
  const flat = tableOf(rows);
  apply(flat, planTweak({ table: flat, replicas: 1, nodes: nodesOf(9) }).changes);
  catchUp(flat, () => 0);
  const grouped = tableOf(rows);
  const nodes = nodesOf(9, (at) => ({ path: [`group${Math.floor(at / 3)}`, `host${at}`] }));
  const plan = planTweak({ table: grouped, replicas: 1, nodes });
  assert.deepEqual(plan.warnings, []);
  apply(grouped, plan.changes);
  catchUp(grouped, () => 0);
  for (const table of [flat, grouped]) {
    for (const { index } of nodes) assert.equal(table.cellsOf(index).length, 2, `node ${index}`);
  }
  for (let p = 0; p < 9; p++) {
    const groups = grouped.cells(asPartition(p)).map(({ node }) => Math.floor((node - 1) / 3));
    assert.equal(new Set(groups).size, 2, `row ${p}`);
  }
});

test("planTweak has a storage of weight 0 give all away, and keeps its copies until they are elsewhere", () => {
  const table = tableOf(["UU.", "UU."]);
  const nodes = nodesOf(3, (at) => (at === 0 ? { weight: 0 } : {}));
  apply(table, planTweak({ table, replicas: 1, nodes }).changes);
  assert.deepEqual(rowsOf(table, 3), ["FUO", "FUO"]);
  catchUp(table, () => 0);
  assert.deepEqual(rowsOf(table, 3), [".UU", ".UU"]);
});

test("planTweak keeps the copies of a storage that gives all away, where nobody can take them", () => {
  const table = tableOf(["UU"]);
  const plan = planTweak({ table, replicas: 1, nodes: nodesOf(2, (at) => (at === 0 ? { weight: 0 } : {})) });
  assert.deepEqual(plan.changes, [{ partition: 0, node: 1, state: "feeding" }]);
  assert.deepEqual(plan.warnings, ["2 copies need as many storages: there are 1, so a row gets 1"]);
});

test("planTweak changes the number of copies, up and down", () => {
  const up = tableOf(["U..", ".U.", "..U"], 1);
  const more = planTweak({ table: up, replicas: 1, nodes: nodesOf(3) });
  assert.equal(more.moves, 3);
  apply(up, more.changes);
  catchUp(up, () => 0);
  for (const { index } of nodesOf(3)) assert.equal(up.cellsOf(index).length, 2);

  const down = tableOf(["UU.", "OUU", "U.U"], 0);
  const less = planTweak({ table: down, replicas: 0, nodes: nodesOf(3) });
  assert.equal(less.moves, 0);
  apply(down, less.changes);
  for (const { index } of nodesOf(3)) {
    assert.deepEqual(down.cellsOf(index).map(({ cell }) => cell.state), ["upToDate"]);
  }
});

test("planTweak takes a feeding cell back when its row stays after all", () => {
  const table = tableOf(["FUO", "UU.", "UFO"]);
  const nodes = nodesOf(3, (at) => (at === 2 ? { weight: 0 } : {}));
  assert.deepEqual(planTweak({ table, replicas: 1, nodes }).changes, [
    { partition: 0, node: 1, state: "upToDate" },
    { partition: 0, node: 3, state: "discarded" },
    { partition: 2, node: 2, state: "upToDate" },
    { partition: 2, node: 3, state: "discarded" },
  ]);
});

test("planTweak counts a readable cell for nothing while it has writes that were taken without a lock (A7)", () => {
  const table = tableOf(["UF"], 0);
  const nodes = nodesOf(2, (at) => (at === 1 ? { weight: 0 } : {}));
  assert.deepEqual(planTweak({ table, replicas: 0, nodes, settled: () => false }).changes, []);
  assert.deepEqual(planTweak({ table, replicas: 0, nodes }).changes.map(({ state }) => state), ["discarded"]);
});

test("planTweak leaves out a level of the topology that would overload somebody, and says so", () => {
  const table = tableOf(Array.from({ length: 12 }, () => "UU...."));
  const nodes = nodesOf(6, (at) => ({ path: [at === 5 ? "small" : "large", `host${at % 5}`] }));
  const plan = planTweak({ table, replicas: 1, nodes });
  assert.deepEqual(plan.warnings, [
    "copies aren't spread at level 1 of the topology: large has too large a part of the storages",
  ]);
  assert.ok(plan.nodes.every(({ cellsAfter }) => cellsAfter === 4));
});

test("planTweak without a storage that takes cells changes nothing, and says why", () => {
  const plan = planTweak({ table: tableOf(["U"]), replicas: 0, nodes: nodesOf(1, () => ({ weight: 0 })) });
  assert.deepEqual([plan.changes, plan.warnings], [[], ["no storage may take cells"]]);
});

test("spentFeeding keeps replicas + 1 readable copies: of F F O O with one replica none goes with the first new cell", () => {
  const table = tableOf(["FFOO"]);
  const settled = (_partition: Partition, _node: NodeIndex) => true;
  assert.deepEqual(spentFeeding(table, settled), []);
  apply(table, [{ partition: asPartition(0), node: asNode(3), state: "upToDate" }]);
  assert.deepEqual(spentFeeding(table, settled), [{ partition: 0, node: 1, state: "discarded" }]);
  apply(table, spentFeeding(table, settled));
  apply(table, [{ partition: asPartition(0), node: asNode(4), state: "upToDate" }]);
  assert.deepEqual(spentFeeding(table, settled), [{ partition: 0, node: 2, state: "discarded" }]);
});

test("spentFeeding empties storages first that have nothing but feeding cells", () => {
  const table = tableOf(["FFUO", "U..."]);
  assert.deepEqual(spentFeeding(table, () => true), [{ partition: 0, node: 2, state: "discarded" }]);
});

test("spentFeeding waits for a readable cell that has writes taken without a lock (A7)", () => {
  const table = tableOf(["FUU"]);
  assert.deepEqual(spentFeeding(table, (_partition, node) => node !== 3), []);
});

test("planTweak drops the copy that isn't readable, of a row that has too many", () => {
  const { changes } = planTweak({ table: tableOf(["OU", "UO"], 0), replicas: 0, nodes: nodesOf(2) });
  assert.deepEqual(changes, [
    { partition: 0, node: 1, state: "discarded" },
    { partition: 1, node: 2, state: "discarded" },
  ]);
});

test("planTweak lets the one that feeds a row already go on feeding it", () => {
  const nodes = nodesOf(3, (at) => (at === 2 ? {} : { weight: 0 }));
  const { changes } = planTweak({ table: tableOf(["UFO"], 0), replicas: 0, nodes });
  assert.deepEqual(changes, [{ partition: 0, node: 1, state: "discarded" }]);
});
