import assert from "node:assert/strict";
import { test } from "node:test";
import { copyTransactionsFrom } from "../roles/client/restoring.ts";
import { FakeCluster, transaction } from "../tests/fake_cluster.ts";
import { newestTransactions } from "./newest.ts";

for (
  const { count, gap } of [{ count: 3, gap: 1 }, { count: 3, gap: 10 ** 9 }, { count: 500, gap: 10 ** 6 }]
) {
  test(`newestTransactions() gives the last ${count} of transactions ${gap} apart, the newest last`, async () => {
    const cluster = new FakeCluster();
    const history = Array.from({ length: 400 }, (_, index) => transaction((1 + index) * gap, []));
    await copyTransactionsFrom(cluster, history, { origin: "FS30" });

    const found = await newestTransactions(cluster, count);

    assert.deepEqual(found.map(({ tid }) => tid), history.slice(-count).map(({ tid }) => tid));
  });
}
