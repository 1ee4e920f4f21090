/** What `neo stop` doesn't do unasked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodes } from "../../cli/exit.ts";
import { CliCluster } from "./kit.ts";

test("T22 T24 neo stop NODE is refused while nobody else has what it holds, unless --yes says so", async () => {
  await using cluster = await CliCluster.started({ storages: 2, replicas: 1, partitions: 12 });
  await cluster.ok("stop", "s2");
  const pid = cluster.pid("s1");
  const refused = await cluster.neo("stop", "s1");
  assert.equal(refused.exitCode, exitCodes.refused);
  assert.match(refused.stderr, /Cannot stop s1: nobody could read 12 partitions, or write there/);
  assert.match(refused.stderr, /neo stop s1 --yes/);
  assert.equal(cluster.pid("s1"), pid);
  const { stderr } = await cluster.ok("stop", "s1", "--yes");
  assert.match(stderr, /Warning: nobody could read 12 partitions/);
});
