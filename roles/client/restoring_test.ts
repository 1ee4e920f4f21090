import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TID, toOid, toTid, ZERO_TID } from "../../core/ids.ts";
import { all, bytes, FakeCluster, HISTORY, transaction } from "../../tests/fake_cluster.ts";
import { copyTransactionsFrom, recordsBetween } from "./restoring.ts";

const EVERYTHING = { after: ZERO_TID, upTo: MAX_TID };

test("recordsBetween() gives what copyTransactionsFrom() took: tids, order, links, deletions, raw texts (T48, T60)", async () => {
  const cluster = new FakeCluster();
  const steps: number[] = [];

  const onProgress = ({ transactions }: { transactions: number }) => steps.push(transactions);
  const done = await copyTransactionsFrom(cluster, HISTORY, { origin: "FS30", onProgress });

  assert.deepEqual(done, { transactions: 4, objects: 5, bytes: 5, tid: 4000n });
  assert.deepEqual(steps, [1, 2, 3, 4]);
  assert.deepEqual(cluster.stages, [true, false]);
  assert.deepEqual(await all(recordsBetween(cluster, EVERYTHING)), HISTORY);
});

test("copyTransactionsFrom() looks up the data of links that come without, as in a text dump", async () => {
  const cluster = new FakeCluster();
  const dump = HISTORY.map((transaction) => ({
    ...transaction,
    records: transaction.records.map((record) =>
      record.from === undefined ? record : { ...record, data: undefined }
    ),
  }));

  await copyTransactionsFrom(cluster, dump, { origin: "zodbdump" });

  assert.deepEqual(await all(recordsBetween(cluster, EVERYTHING)), HISTORY);
});

test("copyTransactionsFrom() refuses a link to what isn't in the database", async () => {
  const cluster = new FakeCluster();
  const orphan = transaction(9000, [{ oid: toOid(1), data: undefined, from: toTid(8000) }]);

  const importing = copyTransactionsFrom(cluster, [orphan], { origin: "zodbdump" });

  await assert.rejects(importing, { code: "noSuchRevision" });
  assert.deepEqual(cluster.stages, [true]);
});

test("copyTransactionsFrom() keeps the last of two records of one object", async () => {
  const cluster = new FakeCluster();
  const [a, b] = [toOid(1), toOid(2)];
  const twice = transaction(5, [{ oid: a, data: bytes(1) }, { oid: b, data: bytes(2) }, {
    oid: a,
    data: bytes(3),
  }]);

  await copyTransactionsFrom(cluster, [twice], { origin: "FS30" });

  assert.deepEqual(cluster.commits[0]?.writes.map(({ oid, data }) => [oid, data?.[0]]), [[b, 2], [a, 3]]);
});

test("recordsBetween() fetches page by page, and objects in large sets", async () => {
  const cluster = new FakeCluster();
  const many = Array.from(
    { length: 2_500 },
    (_, index) => ({ oid: toOid(index), data: bytes(index & 0xff) }),
  );
  const history = Array.from({ length: 250 }, (_, index) => transaction(1 + index, index === 0 ? many : []));
  await copyTransactionsFrom(cluster, history, { origin: "FS30" });

  assert.deepEqual(await all(recordsBetween(cluster, EVERYTHING)), history);

  assert.equal(cluster.counts.get("transactions"), 3);
  assert.equal(cluster.counts.get("loadMany"), 3);
});
