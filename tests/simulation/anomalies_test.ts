import assert from "node:assert/strict";
import { test } from "node:test";
import { anomaliesOf } from "./anomalies.ts";
import { orderGraph } from "./list_graph.ts";
import type { AnomalyKind, ListHistory, ListStep, ListTransaction } from "./list_history.ts";

/** `"x+1"` appends 1 to x, `"x=1,2"` reads x as [1, 2]. */
function steps(text: string): ListStep[] {
  return text.split(" ").filter(Boolean).map((word): ListStep => {
    const [key, rest] = [word[0]!, word.slice(2)];
    if (word[1] === "+") return { do: "append", key, element: Number(rest) };
    return { do: "read", key, list: rest === "" ? [] : rest.split(",").map(Number) };
  });
}

type More = Partial<ListTransaction>;

function history(
  transactions: readonly (readonly [steps: string, more?: More])[],
  stored: { readonly [key: string]: readonly number[] } = {},
): ListHistory {
  return {
    transactions: transactions.map(([text, more], i) => {
      return { name: `T${i + 1}`, steps: steps(text), fate: "committed", ...more };
    }),
    stored: new Map(Object.entries(stored)),
  };
}

const refused = { fate: "refused" } as const;
const unknown = { fate: "unknown" } as const;

function kinds(of: ListHistory): AnomalyKind[] {
  return [...new Set(anomaliesOf(of).anomalies.map(({ kind }) => kind))];
}

const wrong: readonly {
  readonly kinds: readonly AnomalyKind[];
  readonly of: ListHistory;
  readonly why: string;
}[] = [
  {
    why: "a transaction that doesn't see its own append",
    kinds: ["internal"],
    of: history([["x= x+1 x="]]),
  },
  { why: "a blind append that isn't seen", kinds: ["internal"], of: history([["x+1"], ["x+2 x=1"]]) },
  {
    why: "two reads of one list that differ",
    kinds: ["internal"],
    of: history([["x+1"], ["x= x=1"]]),
  },
  { why: "an element of nobody", kinds: ["garbage"], of: history([["x+1"], ["x=1,7"]]) },
  { why: "a stored element of nobody", kinds: ["garbage"], of: history([["x+1"]], { x: [1, 7] }) },
  { why: "an append that was done twice", kinds: ["duplicate"], of: history([["x+1"]], { x: [1, 1] }) },
  {
    why: "lists of which neither is the beginning of the other",
    kinds: ["incompatibleOrder"],
    of: history([["x+1"], ["x+2"], ["x=1"], ["x=2,1"]]),
  },
  {
    why: "a read of a refused append",
    kinds: ["G1a"],
    of: history([["x+1", refused], ["x=1"], ["y="]]),
  },
  {
    why: "a read of a refused append below another",
    kinds: ["G1a"],
    of: history([["x+1", refused], ["x+2"], ["x=1,2"]]),
  },
  {
    why: "a refused transaction that read a refused append",
    kinds: ["G1a"],
    of: history([["x+1", refused], ["x=1", refused]]),
  },
  {
    why: "a stored append of a refused transaction",
    kinds: ["dirtyUpdate"],
    of: history([["x+1", refused], ["x+2"]], { x: [1, 2] }),
  },
  {
    why: "a read between two appends of a transaction",
    kinds: ["G1b", "G-single"],
    of: history([["x+1 x+2"], ["x=1"], ["x=1,2"]]),
  },
  {
    why: "two writers in different orders",
    kinds: ["G0"],
    of: history([["x+1 y+1"], ["x+2 y+2"]], { x: [1, 2], y: [2, 1] }),
  },
  {
    why: "two transactions that saw each other",
    kinds: ["G1c"],
    of: history([["x+1 y=2"], ["y+2 x=1"]], { x: [1], y: [2] }),
  },
  {
    why: "half of a transaction, with the other half missed",
    kinds: ["G-single"],
    of: history([["x+1 y+1"], ["x=1 y="]], { x: [1], y: [1] }),
  },
  {
    why: "half of a transaction, seen by one that was refused",
    kinds: ["G-single"],
    of: history([["x+1 y+1"], ["x=1 y=", refused]], { x: [1], y: [1] }),
  },
  {
    why: "two readers who saw two writers in different orders (a long fork)",
    kinds: ["G-nonadjacent"],
    of: history([["x+1"], ["y+1"], ["x=1 y="], ["x= y=1"]], { x: [1], y: [1] }),
  },
  {
    why: "two appends to the same version, of which one is gone",
    kinds: ["lostUpdate"],
    of: history([["x= x+1"], ["x= x+2"]], { x: [1] }),
  },
  {
    why: "two appends to the same version, both there",
    kinds: ["lostUpdate", "G-single"],
    of: history([["x= x+1"], ["x= x+2"]], { x: [1, 2] }),
  },
  {
    why: "an acknowledged append that is gone",
    kinds: ["lostUpdate"],
    of: history([["x+1"], ["x+2"]], { x: [2] }),
  },
  {
    why: "half of a transaction of unknown fate",
    kinds: ["lostUpdate"],
    of: history([["x+1 y+1", unknown]], { x: [1], y: [] }),
  },
  {
    why: "a read of what has a tid beyond the snapshot",
    kinds: ["G-SIa"],
    of: history([["x+1", { at: 1n, tid: 9n }], ["x=1", { at: 8n }]], { x: [1] }),
  },
  {
    why: "a read that misses what ended before it began",
    kinds: ["G-single-order"],
    of: history([["x+1", { begunMs: 1, endedMs: 2 }], ["x=", { begunMs: 3, endedMs: 4 }]], { x: [1] }),
  },
  {
    why: "a read that misses what its session had seen",
    kinds: ["G-single-order"],
    of: history([["x+1"], ["x=1", { session: "a" }], ["x=", { session: "a" }]], { x: [1] }),
  },
  {
    why: "a read that misses what stands in its snapshot",
    kinds: ["G-single-order"],
    of: history([["x+1", { at: 1n, tid: 5n }], ["x=", { at: 5n }]], { x: [1] }),
  },
  {
    why: "a write that stands before one that had ended when it began",
    kinds: ["G0-order"],
    of: history([["x+1", { begunMs: 3, endedMs: 4 }], ["x+2", { begunMs: 1, endedMs: 2 }]], { x: [1, 2] }),
  },
  {
    why: "reads in a circle of data and time",
    kinds: ["G1c-order"],
    of: history([["x+1", { begunMs: 3, endedMs: 4 }], ["x=1", { begunMs: 1, endedMs: 2 }]], { x: [1] }),
  },
  {
    why: "readers in different orders, one of which is the order of time",
    kinds: ["G-nonadjacent-order"],
    of: history(
      [["x+1"], ["x=1 y="], ["y+1", { begunMs: 1, endedMs: 2 }], ["x=", { begunMs: 3, endedMs: 4 }]],
      { x: [1], y: [1] },
    ),
  },
  {
    why: "a tid below that of what had ended before",
    kinds: ["order"],
    of: history([
      ["x+1", { begunMs: 1, endedMs: 2, at: 6n, tid: 7n }],
      ["y+1", { begunMs: 3, endedMs: 4, at: 4n, tid: 5n }],
    ]),
  },
];

for (const { why, kinds: expected, of } of wrong) {
  test(`N1 anomaliesOf() calls ${why} ${expected.join(" and ")}`, () => {
    assert.deepEqual(kinds(of), expected);
    assert.equal(anomaliesOf(of).writeSkews, 0);
  });
}

const right: readonly { readonly why: string; readonly of: ListHistory }[] = [
  { why: "nothing at all", of: history([]) },
  {
    why: "transactions one after another",
    of: history([["x= x+1 x=1"], ["x=1 x+2 y+1"], ["x=1,2 y=1"]], { x: [1, 2], y: [1] }),
  },
  {
    why: "a refused append that nobody saw",
    of: history([["x= x+1", refused], ["x= x+2"], ["x=2"]], { x: [2] }),
  },
  {
    why: "appends of unknown fate, seen or not",
    of: history([["x+1", unknown], ["x+2", unknown], ["x=2"]], { x: [2] }),
  },
  {
    why: "a commit of unknown fate that came after the next transaction of its session",
    of: history([["x+1", { ...unknown, session: "a", endedMs: 1 }], ["x=", { session: "a", begunMs: 2 }]], {
      x: [1],
    }),
  },
  {
    why: "two appends of one transaction that are seen together",
    of: history([["x+1 x+2"], ["x=1,2"], ["x="]], { x: [1, 2] }),
  },
  {
    why: "an old snapshot, read late",
    of: history([["x+1", { begunMs: 1, endedMs: 2, at: 1n, tid: 3n }], ["x=", { endedMs: 9, at: 2n }]], {
      x: [1],
    }),
  },
  {
    why: "an end and a beginning at one moment",
    of: history([["x+1", { begunMs: 1, endedMs: 2 }], ["x=", { begunMs: 2, endedMs: 3 }]], { x: [1] }),
  },
];

for (const { why, of } of right) {
  test(`N1 anomaliesOf() has nothing against ${why}`, () => {
    assert.deepEqual(anomaliesOf(of), { anomalies: [], writeSkews: 0 });
  });
}

test("N1 anomaliesOf() counts write skew, and doesn't call it wrong", () => {
  const pair = (x: string, y: string) => [[`${x}= ${y}= ${x}+1`], [`${x}= ${y}= ${y}+1`]] as const;

  const verdict = anomaliesOf(history([...pair("x", "y"), ...pair("v", "w"), ["x=1 y=1 v=1 w=1"]]));

  assert.deepEqual(verdict, { anomalies: [], writeSkews: 2 });
});

test("N1 anomaliesOf() counts a reader who sees the later of two and not the earlier, but not if it was refused", () => {
  const skews = (more: More) =>
    anomaliesOf(history([["x= y+1"], ["x= x+1"], ["x=1 y=", more]], { x: [1], y: [1] })).writeSkews;

  assert.deepEqual([skews({}), skews(refused)], [1, 0]);
});

test("N1 anomaliesOf() names the transactions of a cycle, and why they depend on each other", () => {
  const { anomalies } = anomaliesOf(history([["x+1 y+1"], ["x=1 y="]], { x: [1], y: [1] }));

  assert.deepEqual(anomalies, [{ kind: "G-single", text: "G-single: T2 -rw y 1-> T1 -wr x 1-> T2" }]);
});

test("N1 anomaliesOf() finds one small cycle among thousands of transactions", () => {
  const chain = Array.from(
    { length: 5_000 },
    (_, i) => [`x+${i} y+${i}`, { begunMs: 2 * i, endedMs: 2 * i + 1 }] as const,
  );
  const all = Array.from({ length: 5_000 }, (_, i) => i);

  const sound = history(chain, { x: all, y: all });
  const swapped = history(chain, { x: all, y: [...all.slice(0, 4_000), 4_001, 4_000, ...all.slice(4_002)] });

  assert.deepEqual(anomaliesOf(sound), { anomalies: [], writeSkews: 0 });
  assert.deepEqual(kinds(swapped), ["G0"]);
});

test("orderGraph() leaves out what follows from the rest, so that it stays as long as the history", () => {
  const times = Array.from({ length: 1_000 }, (_, i) => ["x=", { begunMs: i, endedMs: i + 2.5 }] as const);
  const { transactions } = history(times);

  const edges = orderGraph(transactions, transactions.map(() => true)).flat();

  assert.ok(edges.length < 4 * times.length, `${edges.length} edges`);
});

test("N1 anomaliesOf() refuses a history in which an element is appended twice", () => {
  assert.throws(() => anomaliesOf(history([["x+1"], ["x+1"]])), RangeError);
});
