import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { anomaliesOf } from "./anomalies.ts";
import { ListExecutor, mistakes } from "./list_executor.ts";
import type { Mistake } from "./list_executor.ts";
import type { AnomalyKind, ListHistory } from "./list_history.ts";
import { SimRandom } from "./random.ts";

/** Without what only a storage or a primary knows: a checker must find mistakes by the lists alone, too. */
function bare({ transactions, stored }: ListHistory): ListHistory {
  return {
    stored,
    transactions: transactions.map(({ name, steps, fate }) => ({ name, steps, fate })),
  };
}

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const runOf = (seed: number, mistake?: Mistake) =>
  new ListExecutor(new SimRandom(seed, "lists"), mistake).run(60);

test("N1 anomaliesOf() has nothing against any history under snapshot isolation, and sees write skew in some", () => {
  let skews = 0;
  fc.assert(fc.property(seeds, (seed) => {
    const verdict = anomaliesOf(runOf(seed));
    assert.deepEqual(verdict.anomalies, []);
    skews += verdict.writeSkews;
  }));
  assert.ok(skews > 0);
});

/** What each mistake leads to, with the data alone; `staleSnapshot` takes time or sessions to be seen. */
const traces: { readonly [M in Mistake]: readonly AnomalyKind[] } = {
  lostUpdate: ["lostUpdate"],
  dirtyRead: ["G1a", "G1b", "G1c", "G-single", "incompatibleOrder"],
  fracturedSnapshot: ["G-single"],
  halfRefused: ["dirtyUpdate", "G1a"],
  forgottenAppend: ["internal"],
  staleSnapshot: [],
  tornCommit: ["lostUpdate"],
};

for (const mistake of mistakes) {
  test(`N1 anomaliesOf() notices ${mistake} in nearly all histories, and calls it by its name`, () => {
    const count = 40;
    let noticed = 0;
    const kinds = new Set<AnomalyKind>();
    for (let seed = 1; seed <= count; seed++) {
      const history = runOf(seed, mistake);
      if (anomaliesOf(history).anomalies.length > 0) noticed += 1;
      for (const { kind } of anomaliesOf(bare(history)).anomalies) kinds.add(kind);
    }
    assert.ok(noticed > 0.9 * count, `${noticed} of ${count}`);
    for (const kind of traces[mistake]) assert.ok(kinds.has(kind), `${kind} among ${[...kinds]}`);
  });
}
