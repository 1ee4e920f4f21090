import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256 } from "../adapters/system.ts";
import { MalformedError } from "./errors.ts";
import type { NodeIndex, Partition } from "./ids.ts";
import { PartitionTable } from "./partition_table.ts";
import { differenceOf, tableFrom } from "./table_difference.ts";

const old = PartitionTable.deal({ partitions: 240, replicas: 1, nodes: [1, 2] as NodeIndex[] });
const cells = [{ partition: 3 as Partition, node: 2 as NodeIndex, state: "outOfDate", since: 2 }];
const now = old.changed(2, cells, 3);
const base = old.digest(sha256);
const difference = differenceOf(now, { base, cells }, sha256);

test("tableFrom() makes the newer table of an own one and what has changed, which is a little (T38)", () => {
  const table = tableFrom(difference, old, sha256);
  assert.deepEqual([table.toString(), table.version, table.replicas], [now.toString(), 2, 3]);
  assert.ok(difference.length < 80 && now.toImage().length > 1_000);
  assert.equal(
    tableFrom(differenceOf(old, { base, cells: [] }, sha256), old, sha256).toString(),
    old.toString(),
  );
});

test("tableFrom() takes a whole table from anybody, whatever is there", () => {
  for (const own of [undefined, old, now]) {
    assert.equal(tableFrom(now.toImage(), own, sha256).toString(), now.toString());
  }
});

const misfits: readonly { what: string; sent: Uint8Array; own: PartitionTable | undefined; says: RegExp }[] =
  [
    { what: "without a table", sent: difference, own: undefined, says: /begins at another one/ },
    { what: "from another table", sent: difference, own: now, says: /begins at another one/ },
    {
      what: "that leads elsewhere than its sender says",
      sent: differenceOf(now, { base, cells: [] }, sha256),
      own: old,
      says: /leads to another one/,
    },
  ];
for (const { what, sent, own, says } of misfits) {
  test(`tableFrom() refuses a difference ${what} (D1)`, () => {
    assert.throws(() => tableFrom(sent, own, sha256), { code: "malformed", message: says });
  });
}

test("tableFrom() reads damaged bytes or says malformed, and nothing else", () => {
  fc.assert(
    fc.property(
      fc.nat(difference.length - 1),
      fc.nat(255),
      fc.nat(difference.length),
      (at, value, length) => {
        const damaged = difference.slice(0, Math.max(length, at + 1));
        damaged[at] = value;
        try {
          tableFrom(damaged, old, sha256);
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
