import assert from "node:assert/strict";
import { test } from "node:test";
import { planLine, showPlan } from "./layout_view.ts";
import type { LayoutPlan } from "./layout_view.ts";
import { Output } from "./output.ts";

const plan: LayoutPlan = {
  version: 3,
  copied: 2,
  feeding: 1,
  dropped: 0,
  kept: 0,
  nodes: [
    { name: "s1", cells: 4, cellsAfter: 3, useMilli: 0 },
    { name: "long-name", cells: 0, cellsAfter: 1, useMilli: 0 },
  ],
  warnings: [],
};

function shown(plan: LayoutPlan): { stdout: string; stderr: string } {
  const said = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write: (text: string | Uint8Array) => said[name] += String(text),
  });
  showPlan(new Output({ stdout: stream("stdout"), stderr: stream("stderr") }, {}, false), plan);
  return said;
}

const lines: readonly { plan: Partial<LayoutPlan>; says: string; would: string }[] = [
  {
    plan: {},
    says: "2 cells being copied, 1 cell staying until then",
    would: "2 cells would be copied, 1 cell would stay until then",
  },
  {
    plan: { copied: 0, feeding: 0, dropped: 4 },
    says: "4 cells given up",
    would: "4 cells would be given up",
  },
  {
    plan: { copied: 1, feeding: 0, kept: 3 },
    says: "1 cell being copied, 3 cells staying after all",
    would: "1 cell would be copied, 3 cells would stay after all",
  },
  { plan: { copied: 0, feeding: 0 }, says: "nothing to do", would: "nothing to do" },
];
for (const { plan: more, says, would } of lines) {
  test(`planLine() says "${says}"`, () => {
    assert.equal(planLine({ ...plan, ...more }, false), says);
    assert.equal(planLine({ ...plan, ...more }, true), would);
  });
}

test("showPlan() prints a line a storage, and use only when it is known", () => {
  assert.equal(
    shown(plan).stdout,
    "NODE       CELLS  AFTER\ns1         4      3\nlong-name  0      1\n",
  );
  const used = { ...plan, nodes: [{ name: "s1", cells: 4, cellsAfter: 3, useMilli: 1_250 }] };
  assert.equal(shown(used).stdout, "NODE  CELLS  AFTER  USE\ns1    4      3      1.25\n");
});

test("showPlan() warns on stderr", () => {
  assert.equal(shown({ ...plan, warnings: ["one"] }).stderr, "Warning: one\n");
});
