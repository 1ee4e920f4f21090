import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import { asNode, asPartition } from "../tests/machines.ts";
import { MalformedError } from "./errors.ts";
import { toOid } from "./ids.ts";
import { CELL_NEXT, cellStates, isReadable, PartitionTable } from "./partition_table.ts";
import type { Cell, CellState } from "./partition_table.ts";

const states: Readonly<Record<string, CellState>> = {
  U: "upToDate",
  O: "outOfDate",
  F: "feeding",
  C: "corrupted",
};

/** `["U.O"]`: partition 0 is up to date on node 1, not on 2, out of date on 3. */
function tableOf(rows: readonly string[], version: number = 1): PartitionTable {
  const cells = rows.map((row) =>
    [...row].flatMap((letter, at): Cell[] =>
      letter === "." ? [] : [{ node: asNode(at + 1), state: states[letter]!, since: 1 }]
    )
  );
  return new PartitionTable({ generation: 1, version, replicas: 1, rows: cells });
}

function change(partition: number, node: number, state: string, since: number = 2) {
  return { partition: asPartition(partition), node: asNode(node), state, since };
}

/** A cell for each way to be, `none` included. */
const froms = ["none", ...cellStates.filter((state) => state !== "discarded")] as const;
/** Written out here once more: a step that is added or dropped must be decided twice. */
const allowed: { readonly [from in (typeof froms)[number]]: readonly CellState[] } = {
  none: ["upToDate", "outOfDate"],
  upToDate: ["outOfDate", "feeding", "corrupted", "discarded"],
  outOfDate: ["upToDate", "outOfDate", "discarded"],
  feeding: ["upToDate", "outOfDate", "corrupted", "discarded"],
  corrupted: ["outOfDate", "discarded"],
};
for (const from of froms) {
  for (const to of cellStates) {
    const may = allowed[from].includes(to);
    test(`PartitionTable.apply() ${may ? "lets" : "doesn't let"} a cell go from ${from} to ${to} (T3)`, () => {
      const rows = from === "none" ? [[]] : [[{ node: asNode(1), state: from, since: 1 }]];
      const table = new PartitionTable({ generation: 1, version: 1, replicas: 0, rows });
      if (may) {
        table.apply(2, [change(0, 1, to)]);
        assert.equal(table.cell(asPartition(0), asNode(1))?.state, to === "discarded" ? undefined : to);
      } else {
        const message = `Broken invariant: a cell may go from ${from} to ${to}`;
        assert.throws(() => table.apply(2, [change(0, 1, to)]), { name: "InvariantError", message });
      }
    });
  }
}

test("CELL_NEXT knows the five states of a cell, and nothing leads out of a discarded one (T3)", () => {
  assert.deepEqual([...cellStates].sort(), ["corrupted", "discarded", "feeding", "outOfDate", "upToDate"]);
  assert.deepEqual(Object.keys(CELL_NEXT).sort(), ["none", ...cellStates].sort());
  assert.deepEqual(CELL_NEXT.discarded, []);
});

test("PartitionTable.apply() takes no state that isn't one (T3)", () => {
  const table = tableOf(["U"]);
  assert.throws(() => table.apply(2, [change(0, 1, "broken")]), { code: "malformed" });
});

const readable = { U: true, F: true, O: false, C: false };
for (const [letter, expected] of Object.entries(readable)) {
  test(`isReadable() is ${expected} for a cell that is ${states[letter]} (T3)`, () => {
    assert.equal(isReadable(tableOf([letter]).cell(asPartition(0), asNode(1))), expected);
  });
}

test("isReadable() is false where no cell is (T3)", () => {
  assert.equal(isReadable(tableOf(["U"]).cell(asPartition(0), asNode(2))), false);
});

test("PartitionTable.apply() wants a version above its own, and changes of partitions that it has", () => {
  const table = tableOf(["U"], 5);
  for (const version of [4, 5]) assert.throws(() => table.apply(version, []), { name: "InvariantError" });
  assert.throws(() => table.apply(6, [change(1, 1, "outOfDate")]), { name: "InvariantError" });
});

const operational = [
  { rows: ["U.", ".U"], up: [1, 2], expected: true },
  { rows: ["U.", ".U"], up: [1], expected: false },
  { rows: ["U.", ".O"], up: [1, 2], expected: false },
  { rows: ["UU", "UU"], up: [2], expected: true },
  { rows: ["F.", ".U"], up: [1, 2], expected: true },
  { rows: ["C.", ".U"], up: [1, 2], expected: false },
  { rows: ["..", ".U"], up: [1, 2], expected: false },
  { rows: ["U.", "U."], up: [], expected: false },
];
for (const { rows, up, expected } of operational) {
  test(`PartitionTable.isOperational() is ${expected} for [${rows}] with nodes [${up}] up (T40)`, () => {
    const table = tableOf(rows);
    for (const node of up) table.setUp(asNode(node), true);
    assert.equal(table.isOperational(), expected);
  });
}

/** The operational check that looks at everything. */
function scan(table: PartitionTable, up: ReadonlySet<number>) {
  const rows = Array.from({ length: table.partitions }, (_, p) => table.cells(asPartition(p)));
  const live = rows.map((row) => row.filter((cell) => isReadable(cell) && up.has(cell.node)));
  return {
    operational: live.every((row) => row.length > 0),
    unready: live.flatMap((row, p) => (row.length === 0 ? [p] : [])),
    last: [1, 2, 3, 4].filter((node) => live.some((row) => row.length === 1 && row[0]!.node === node)),
  };
}

const PARTITIONS = 5;
const step = fc.oneof(
  fc.record({ node: fc.integer({ min: 1, max: 4 }), up: fc.boolean() }),
  fc.record({
    node: fc.integer({ min: 1, max: 4 }),
    partition: fc.nat(PARTITIONS - 1),
    state: fc.constantFrom(...cellStates),
  }),
);
const anyRows = fc.array(fc.string({ unit: fc.constantFrom(..."UOFC."), minLength: 4, maxLength: 4 }), {
  minLength: PARTITIONS,
  maxLength: PARTITIONS,
});

test("PartitionTable.isOperational() by counts agrees with a full scan after any changes (T40)", () => {
  fc.assert(
    fc.property(anyRows, fc.array(step, { maxLength: 60 }), (rows, steps) => {
      const table = tableOf(rows);
      const up = new Set<number>();
      for (const one of steps) {
        if ("up" in one) {
          table.setUp(asNode(one.node), one.up);
          if (one.up) up.add(one.node);
          else up.delete(one.node);
        } else {
          const from = table.cell(asPartition(one.partition), asNode(one.node))?.state ?? "none";
          if (!CELL_NEXT[from].includes(one.state)) continue;
          const version = table.version + 1;
          table.apply(version, [change(one.partition, one.node, one.state, version)]);
        }
        const expected = scan(table, up);
        assert.equal(table.isOperational(), expected.operational);
        assert.deepEqual(table.unready(), expected.unready);
        const last = [1, 2, 3, 4].filter((node) => table.isLastReadable(asNode(node)));
        assert.deepEqual(last, expected.last);
      }
    }),
    { numRuns: 300 },
  );
});

test("PartitionTable.isOperational() and a change look at none of the other cells (T40)", () => {
  let looks = 0;
  const rows = Array.from({ length: 1_000 }, () => [{
    node: asNode(1),
    since: 1,
    get state(): CellState {
      looks += 1;
      return "upToDate";
    },
  }]);
  const table = new PartitionTable({ generation: 1, version: 1, replicas: 0, rows });
  table.setUp(asNode(1), true);
  looks = 0;

  assert.equal(table.isOperational(), true);
  assert.equal(looks, 0);

  table.apply(2, [change(7, 1, "outOfDate")]);
  assert.equal(table.isOperational(), false);
  assert.ok(looks <= 4, `${looks} cells were looked at for one change`);
});

const deals = [
  { partitions: 4, replicas: 0, storages: 2, each: 2 },
  { partitions: 4, replicas: 1, storages: 2, each: 4 },
  { partitions: 12, replicas: 1, storages: 3, each: 8 },
  { partitions: 240, replicas: 2, storages: 6, each: 120 },
];
for (const { partitions, replicas, storages, each } of deals) {
  test(`PartitionTable.deal() gives each of ${storages} storages ${each} cells of ${partitions} x ${replicas + 1}`, () => {
    const nodes = Array.from({ length: storages }, (_, at) => asNode(at + 1));
    const table = PartitionTable.deal({ partitions, replicas, nodes });
    assert.deepEqual(nodes.map((node) => table.cellsOf(node).length), nodes.map(() => each));
    for (let p = 0; p < partitions; p++) {
      const row = table.cells(asPartition(p));
      assert.equal(
        new Set(row.map(({ node }) => node)).size,
        replicas + 1,
        "copies stand on different nodes",
      );
    }
    assert.equal(table.partitionOf(toOid(partitions + 1)), 1);
  });
}

test("PartitionTable.deal() wants as many storages as copies", () => {
  const deal = () => PartitionTable.deal({ partitions: 4, replicas: 1, nodes: [asNode(1)] });
  assert.throws(deal, { name: "InvariantError" });
});

/** A table of `partitions` rows of 3 cells on nodes that are numbered from `first` on, with every `since` at `since`. */
function sized(partitions: number, first: number, since: number): PartitionTable {
  const rows = Array.from({ length: partitions }, (_, p) =>
    [0, 1, 2].map((copy): Cell => ({
      node: asNode(first + ((p + copy) % 6)),
      state: "upToDate",
      since,
    })));
  return new PartitionTable({ generation: 1, version: since, replicas: 2, rows });
}

test("PartitionTable.toImage() names each node once, however many cells it has (T8)", () => {
  const LARGE = 4_000_000_000;
  const more = (partitions: number) =>
    sized(partitions, LARGE, 1).toImage().length - sized(partitions, 1, 1).toImage().length;

  assert.equal(more(240), more(6), "six nodes of 5 bytes instead of 1, whatever the number of cells");
  assert.equal(more(6), 6 * 4);
});

const widths = [
  { since: 1, bytes: 3 },
  { since: 127, bytes: 3 },
  { since: 16_000, bytes: 4 },
  { since: 2_000_000, bytes: 5 },
];
for (const { since, bytes } of widths) {
  test(`PartitionTable.toImage() takes ${bytes} bytes a cell and one a row at table version ${since} (T8)`, () => {
    const [small, large] = [sized(24, 1, since), sized(240, 1, since)];
    const [cells, rows] = [3 * (240 - 24), 240 - 24];
    const heads = 3; // the lengths of what grew
    const grown = large.toImage().length - small.toImage().length;
    assert.ok(grown <= bytes * cells + rows + heads, `${grown} bytes for ${cells} cells in ${rows} rows`);
  });
}

test("PartitionTable.ofImage() reads back what toImage() wrote, whatever the table", () => {
  fc.assert(fc.property(anyRows, fc.integer({ min: 1, max: 2 ** 40 }), (rows, version) => {
    const table = tableOf(rows, version);
    const read = PartitionTable.ofImage(table.toImage());
    assert.equal(read.toString(), table.toString());
    assert.deepEqual([read.generation, read.version, read.replicas, read.partitions], [1, version, 1, 5]);
    assert.deepEqual(read.digest(sha256), table.digest(sha256));
  }));
});

test("PartitionTable.ofImage() reads damaged bytes or says malformed, and nothing else", () => {
  const image = tableOf(["UO.F", "C.U.", "....", "UUUU"]).toImage();
  fc.assert(
    fc.property(fc.nat(image.length - 1), fc.nat(255), fc.nat(image.length), (at, value, length) => {
      const damaged = image.slice(0, Math.max(length, at + 1));
      damaged[at] = value;
      try {
        PartitionTable.ofImage(damaged).toString();
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});

test("PartitionTable.digest() differs when one cell's state or since does", () => {
  const digest = (letter: string, since: number) => {
    const table = tableOf(["UU", "UU"]);
    table.apply(2, [change(1, 2, states[letter]!, since)]);
    return table.digest(sha256).join();
  };
  assert.equal(new Set([digest("O", 2), digest("F", 2), digest("O", 1)]).size, 3);
});
