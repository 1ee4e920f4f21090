/** What a running node does at SIGHUP and SIGUSR2 (N12). */
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { CliCluster, eventually } from "./kit.ts";

test("SIGHUP begins a new log where the old one was moved away, SIGUSR2 logs how the node is and what was said last (N12)", async () => {
  await using cluster = await CliCluster.started({ storages: 1, partitions: 6 });
  const pid = cluster.pid("s1");
  const file = join(cluster.folder, "log", "s1.log");
  renameSync(file, `${file}.moved`);
  process.kill(pid, "SIGHUP");
  await eventually("a new file", () => existsSync(file));
  assert.match(readFileSync(`${file}.moved`, "utf8"), /storage s1 listens/);

  process.kill(pid, "SIGUSR2");
  await eventually("what was said last", () => cluster.log("s1").some(({ text }) => text === "Said last"));
  const lines = cluster.log("s1");
  const state = lines.find(({ text }) => text === "State");
  assert.deepEqual([state?.["ready"], state?.["state"]], [true, "serving"]);
  const said = lines.find(({ text, peer }) => text === "Said last" && peer === "master m1");
  assert.match((said?.["messages"] as string[]).join("\n"), /^\d+\.\d{3} identified master$/m);
  assert.equal(cluster.pid("s1"), pid);
  assert.equal((await cluster.neo("status")).exitCode, 0);
});
