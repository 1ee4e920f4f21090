/** Each exit code, by a command that ends with it on real clusters. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodes } from "../../cli/exit.ts";
import type { Outcome } from "../../cli/exit.ts";
import { neo } from "../cli_world.ts";
import { CliCluster } from "./kit.ts";

/** When a line is run: before the start, while all is well, while a storage is away. */
type When = "stopped" | "running" | "degraded";

const TABLE: readonly (readonly [when: When, outcome: Outcome, line: string, says: RegExp])[] = [
  ["stopped", "ok", "version", /^$/],
  ["stopped", "notRunning", "status", /^$/],
  ["stopped", "notRunning", "tx list", /isn't running\nHint: .*neo start/],
  ["stopped", "usage", "obj get seven", /expected an oid/],
  ["stopped", "refused", "init shop", /Hint: /],
  ["stopped", "notFound", "status -C nobody", /Hint: /],
  ["stopped", "unreachable", "cluster show --wait 0.2 -C neo://shop@127.0.0.1:1", /refused/i],
  ["stopped", "waiting", "start --wait 0", /^Starting /],
  ["running", "ok", "status", /^$/],
  ["running", "failed", "import {toml}", /neither a Data\.fs nor a zodbdump/],
  ["running", "notFound", "obj get 77", /there is none/],
  ["running", "refused", "node drain s1", /Cannot drain s1/],
  ["running", "security", "cluster show --wait 5 -C {plain}", /certificate|TLS/],
  ["degraded", "degraded", "status", /^$/],
];

test("neo ends as the table of exit codes says, in text and in JSON", async () => {
  await using shop = await CliCluster.init({ storages: 2, partitions: 2, tls: true });
  const around = { env: { ...shop.around.env, NEO_CLUSTER: shop.folder }, cwd: shop.beside("") };
  const plain = `neo://shop@${shop.nodes("master")[0]!.address}`;
  const seen = new Set<Outcome>();
  const runAll = async (now: When): Promise<void> => {
    for (const [when, outcome, line, says] of TABLE) {
      if (when !== now) continue;
      const args = line.replace("{plain}", plain).replace("{toml}", `${shop.folder}/neo.toml`).split(" ");
      const text = await neo(args, around);
      assert.equal(text.exitCode, exitCodes[outcome], `neo ${line}: ${text.stdout}${text.stderr}`);
      assert.match(text.stderr, says, line);
      seen.add(outcome);
      if (outcome === "waiting") continue; // it goes on, and is done the next time
      const json = await neo([...args, "--json"], around);
      assert.equal(json.exitCode, exitCodes[outcome], `neo ${line} --json`);
      if (json.stdout === "") assert.equal(JSON.parse(json.stderr).exitCode, exitCodes[outcome]);
    }
  };
  await runAll("stopped");
  await shop.start();
  await runAll("running");
  await shop.kill9("s2");
  await runAll("degraded");
  const elsewhere: readonly Outcome[] = ["interrupted"]; // cli/cli_test.ts
  assert.deepEqual([...seen, ...elsewhere].sort(), Object.keys(exitCodes).sort());
});
