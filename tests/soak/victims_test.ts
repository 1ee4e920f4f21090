import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeIndex } from "../../core/ids.ts";
import { PartitionTable } from "../../core/partition_table.ts";
import { mayFail } from "./victims.ts";

const STATES = { U: "upToDate", O: "outOfDate" } as const;
const storages = new Map([["s1", 1], ["s2", 2], ["s3", 3]] as [string, NodeIndex][]);

/** `"UO."`: up to date on s1, out of date on s2, not on s3. */
function tableOf(rows: readonly string[]): PartitionTable {
  const cells = rows.map((row) =>
    [...row].flatMap((letter, at) =>
      letter === "." ? [] : [{ node: (at + 1) as NodeIndex, state: STATES[letter as "U" | "O"], since: 1 }]
    )
  );
  return new PartitionTable({ generation: 1, version: 1, replicas: 1, rows: cells });
}

const cases: readonly {
  readonly rows?: readonly string[];
  readonly masters?: readonly string[];
  readonly failing?: readonly string[];
  readonly name: string;
  readonly expected: boolean;
}[] = [
  { name: "s1", rows: ["UU.", ".UU"], expected: true },
  { name: "s1", rows: ["UU.", "U.U"], failing: ["s2"], expected: false },
  { name: "s1", rows: ["UU.", "U.U"], failing: ["s1"], expected: false },
  { name: "s3", rows: ["UU.", "UU."], failing: ["s2"], expected: true },
  { name: "s1", rows: ["UO.", ".UU"], expected: false },
  { name: "s2", rows: ["UO.", "UOO"], expected: true },
  { name: "s2", rows: ["UU."], failing: ["m1"], expected: false },
  { name: "m1", expected: true },
  { name: "m1", failing: ["s3"], expected: false },
  { name: "m1", masters: ["m1", "m2", "m3"], failing: ["s3"], expected: true },
  { name: "m1", masters: ["m1", "m2", "m3"], failing: ["m2"], expected: false },
  { name: "s1", masters: ["m1", "m2", "m3"], failing: ["m2"], expected: true },
  { name: "x1", expected: false },
];
for (const { name, rows = ["UU.", ".UU"], masters = ["m1"], failing = [], expected } of cases) {
  test(`mayFail() is ${expected} for ${name} with [${rows}], masters ${masters}, while [${failing}] fail`, () => {
    const known = { table: tableOf(rows), storages, masters, failing: new Set(failing) };
    assert.equal(mayFail(name, known), expected);
  });
}
