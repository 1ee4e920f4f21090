import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { neo, neoProcess, spawnNeo, temporaryFolder } from "../cli_world.ts";

test("neo demo --once shows a past, equal replicas and a URI, and leaves nothing behind", async () => {
  const folder = temporaryFolder();
  const around = { env: { ...folder.env, TMPDIR: folder.path }, cwd: folder.path };

  const text = await neoProcess(["demo", "--once"], around);
  const json = await neoProcess(["demo", "--once", "--json"], around);

  assert.equal(text.exitCode, 0, text.stderr);
  assert.match(text.stderr, /^Making a cluster: [^\n]*\n$/, "what its nodes log isn't for its reader");
  assert.match(text.stdout, /^The cluster runs at neo:\/\/demo@127\.0\.0\.1:\d+\n/);
  assert.match(
    text.stdout,
    /FrontPage: Welcome! This wiki remembers[^]*as it was at [0-9a-f]{16}:\n {2}FrontPage: Welcome! This wiki is new/,
  );
  assert.equal(json.exitCode, 0, json.stderr);
  const { now, past, replicas, replicasEqual } = json.json;
  assert.deepEqual(Object.keys(now), ["FrontPage", "RecentChanges"]);
  assert.deepEqual(Object.keys(past), ["FrontPage", "Sandbox"]);
  assert.deepEqual(replicas.map(({ node, rows }: { node: string; rows: number }) => [node, rows]), [
    ["s1", 7],
    ["s2", 7],
  ]);
  assert.equal(replicas[0].digest, replicas[1].digest);
  assert.equal(replicasEqual, true);
  assert.deepEqual(readdirSync(folder.path).filter((name) => name.startsWith("neo-")), []);
  folder.remove();
});

test("neo demo stays until Ctrl-C, and others can connect meanwhile", async () => {
  const folder = temporaryFolder();
  const around = { env: { ...folder.env, TMPDIR: folder.path }, cwd: folder.path };
  const child = spawnNeo(["demo", "--json"], around);
  const ended = once(child, "exit");
  const [line] = await once(child.stdout.setEncoding("utf8"), "data");
  const { uri, commits } = JSON.parse(line);

  const list = await neo(["tx", "list", "--json", "-C", uri], around);
  process.kill(child.pid!, "SIGINT"); // child.kill() makes Deno report the signal, however the process ended

  assert.equal(list.exitCode, 0, list.stderr);
  const listed = list.json.transactions.map(({ tid, user }: { tid: string; user: string }) => [tid, user]);
  assert.deepEqual(listed, commits.map(({ tid }: { tid: string }) => [tid, "neo demo"]));
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(readdirSync(folder.path).filter((name) => name.startsWith("neo-")), []);
  folder.remove();
});
