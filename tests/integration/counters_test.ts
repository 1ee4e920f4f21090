/** Many processes that change the same few objects: no change is lost, with a resolver and without one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { CounterResult, CounterStart } from "./counter_child.ts";
import { CliCluster } from "./kit.ts";
import { numberOf } from "./numbers.ts";
import { runTogether } from "./programs.ts";
import { isSoak } from "./soak.ts";

const PROCESSES = 8;
const COUNTERS = 4;
const INCREMENTS = isSoak ? 10_000 : 2_000;

for (const resolves of [true, false]) {
  const promise = resolves
    ? `with a resolver ${INCREMENTS} increments make exactly ${INCREMENTS}`
    : `without a resolver none of ${INCREMENTS} increments that returned is lost`;
  test(`N1 ${PROCESSES} processes add to shared counters: ${promise}`, async () => {
    await using cluster = await CliCluster.started({ storages: 2, replicas: 1 });
    const client = await cluster.connect();
    const counters = await client.newOids(COUNTERS);
    const starts = Array.from({ length: PROCESSES }, (_, at): CounterStart => ({
      uri: cluster.uri,
      name: `counter-${at + 1}`,
      counters,
      increments: INCREMENTS / PROCESSES,
      resolves,
    }));
    const results = await runTogether<CounterResult>("counter_child.ts", starts);

    const snapshot = await client.snapshot();
    const values = (await snapshot.loadMany(counters)).map(numberOf);
    const sum = values.reduce((total, value) => total + value, 0);
    const done = results.reduce((total, result) => total + result.done, 0);
    let committed = 0;
    for await (const _ of client.transactions()) committed += 1;
    const what = shown(results);
    assert.equal(sum, done, what);
    assert.equal(committed, done, what);
    assert.equal(done, INCREMENTS, what);
  });
}

/** How hard it was. */
function shown(results: readonly CounterResult[]): string {
  const attempts = new Map<number, number>();
  for (const [tries, count] of results.flatMap((result) => result.attempts)) {
    attempts.set(tries, (attempts.get(tries) ?? 0) + count);
  }
  const sorted = [...attempts].sort(([a], [b]) => a - b);
  const resolved = results.reduce((total, result) => total + result.resolved, 0);
  const failed = results.flatMap((result) => result.failed);
  return `attempts: ${sorted.map(([tries, count]) => `${count} took ${tries}`).join(", ")}; `
    + `${resolved} conflicts resolved; not done: ${failed.length > 0 ? failed.join(", ") : "none"}`;
}
