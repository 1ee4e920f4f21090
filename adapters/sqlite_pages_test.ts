import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Partition, Tid } from "../core/ids.ts";
import { homeOf, tidAt } from "../tests/conformance/database_kit.ts";
import { firstTids } from "./sqlite_pages.ts";

/** A history by partition, ready to be asked, and how often it was. */
function historyOf(tids: readonly (readonly number[])[]) {
  const asked = { queries: 0, rows: 0 };
  const tidsOf = (partition: Partition, after: Tid, limit: number) => {
    const found = (tids[partition] ?? []).map(tidAt).filter((tid) => tid > after).slice(0, limit);
    asked.queries++;
    asked.rows += found.length;
    return found;
  };
  return { asked, tidsOf, partitions: tids.map((_, partition) => homeOf(partition)) };
}

test("firstTids() gives what sorting everything would", () => {
  const anyDeal = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 60, size: "max" })
    .chain((tids) =>
      fc.array(fc.nat(4), { minLength: tids.length, maxLength: tids.length })
        .map((homes) => tids.map((tid, index) => ({ tid, home: homes[index]! })))
    );
  fc.assert(
    fc.property(anyDeal, fc.nat(70), fc.nat(20), (deal, after, count) => {
      const sorted = [...deal].sort((a, b) => a.tid - b.tid);
      const homes = [0, 1, 2, 3, 4].map((home) =>
        sorted.filter((one) => one.home === home).map(({ tid }) => tid)
      );
      const { tidsOf, partitions } = historyOf(homes);

      const page = firstTids([...partitions, ...partitions], { after: tidAt(after), count, tidsOf });

      const expected = sorted.filter(({ tid }) => tid > after).slice(0, count);
      assert.deepEqual(page, expected.map(({ tid, home }) => ({ partition: home, tid: tidAt(tid) })));
    }),
  );
});

test("firstTids() asks each partition about once when transactions are dealt evenly", () => {
  const homes = Array.from(
    { length: 240 },
    (_, home) => Array.from({ length: 50 }, (_, i) => 240 * i + home + 1),
  );
  const { asked, tidsOf, partitions } = historyOf(homes);

  const page = firstTids(partitions, { after: tidAt(1_000), count: 100, tidsOf });

  assert.deepEqual(page.map(({ tid }) => Number(tid)), Array.from({ length: 100 }, (_, i) => 1_001 + i));
  assert.deepEqual(asked, { queries: 240, rows: 480 });
});

test("firstTids() of one partition asks once", () => {
  const { asked, tidsOf, partitions } = historyOf([Array.from({ length: 500 }, (_, i) => i + 1)]);
  assert.equal(firstTids(partitions, { after: tidAt(0), count: 100, tidsOf }).length, 100);
  assert.deepEqual(asked, { queries: 1, rows: 100 });
});
