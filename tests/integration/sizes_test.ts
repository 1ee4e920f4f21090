/** How large a cluster is, from counters (T55). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CliCluster } from "./kit.ts";

test("cluster size tells what is live, what is history and what else there is, for each storage and all (T55)", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 6 });
  const client = await cluster.connect();
  const oids = await client.newOids(3);
  const write = async (bytes: number): Promise<void> => {
    const tx = await client.begin();
    for (const oid of oids) {
      await tx.load(oid);
      // what is random isn't compressed
      tx.store(oid, crypto.getRandomValues(new Uint8Array(bytes)));
    }
    await tx.commit();
  };
  await write(100);
  await write(200);
  await write(50);
  const { storages, total, silent } = (await cluster.ok("cluster", "size", "--json")).json;
  assert.deepEqual(silent, []);
  for (
    const { live, history, bytes, fileBytes, indexBytes, reusableBytes, freeBytes, growthPerDay } of storages
  ) {
    assert.deepEqual([live, history, bytes], [150, 900, 1_050]);
    assert.equal(fileBytes, bytes + indexBytes + reusableBytes);
    assert.ok(freeBytes > 0);
    assert.equal(growthPerDay, null, "there is no earlier day yet");
  }
  assert.deepEqual([total.live, total.history, total.freeBytes], [300, 1_800, null]);
  assert.match(
    (await cluster.ok("cluster", "size")).stdout,
    /NODE +LIVE +HISTORY[^]*s1 +150 B +900 B[^]*all +300 B/,
  );

  await cluster.stop("s2");
  const less = (await cluster.ok("cluster", "size", "--json")).json;
  assert.deepEqual([less.silent, less.storages.length], [["s2"], 1]);
});
