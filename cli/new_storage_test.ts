import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../adapters/sqlite.ts";
import { neo, temporaryFolder } from "../tests/cli_world.ts";
import { CONFIG_FILE, readConfig } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import { nextFreeName, removeNode, storageOf } from "./new_storage.ts";
import { databaseFileOf } from "./stores.ts";

async function inCluster(work: (config: ClusterConfig, folder: string) => Promise<void>): Promise<void> {
  const { path, env, remove } = temporaryFolder();
  try {
    const made = await neo(["init", "shop", "--name", "shop", "--partitions", "5"], { cwd: path, env });
    assert.equal(made.exitCode, 0, made.stderr);
    const folder = join(path, "shop");
    await work(readConfig(folder), folder);
  } finally {
    remove();
  }
}

const textOf = (folder: string) => readFileSync(join(folder, CONFIG_FILE), "utf8");

async function diskIdOf(config: ClusterConfig, name: string): Promise<string> {
  const database = openDatabase(databaseFileOf(config.nodes.find((node) => node.name === name)!));
  await database.close();
  assert.deepEqual([database.state.identity.name, database.state.identity.partitions], [name, 5]);
  return database.state.identity.diskId;
}

test("storageOf() makes a storage with a disk id of its own, and adds it behind what stands in neo.toml", () =>
  inCluster(async (config, folder) => {
    writeFileSync(join(folder, CONFIG_FILE), `# ours\n${textOf(folder)}\n# the end`);
    const before = textOf(folder);
    assert.equal(nextFreeName(config), "s3");
    const made = await storageOf(config, "s3");

    assert.ok(made.made);
    assert.ok(textOf(folder).startsWith(before.trimEnd()), "every word stays");
    assert.deepEqual(made.group.nodes.map(({ name }) => name), ["s3"]);
    assert.deepEqual(readConfig(folder), made.config);
    const [s1, s3] = [await diskIdOf(config, "s1"), await diskIdOf(made.config, "s3")];
    assert.match(s3, /^[0-9a-f]{32}$/);
    assert.notEqual(s1, s3);

    const again = await storageOf(made.config, "s3");
    assert.equal(again.made, false);
    assert.equal(await diskIdOf(again.config, "s3"), s3, "what is there is used");
  }));

test("storageOf() makes a lost database anew, with another disk id", () =>
  inCluster(async (config, folder) => {
    const old = await diskIdOf(config, "s2");
    rmSync(join(folder, "s2"), { recursive: true });
    const text = textOf(folder);
    assert.ok((await storageOf(config, "s2")).made);
    assert.notEqual(await diskIdOf(config, "s2"), old);
    assert.equal(textOf(folder), text);
  }));

test("storageOf() takes no node of another role, and no folder of another node", () =>
  inCluster(async (config) => {
    await assert.rejects(
      storageOf(config, "m1"),
      /Cannot add m1: it is a node of this cluster, of role master/,
    );
    const [first, ...others] = config.nodes;
    const moved = { ...config, nodes: [{ ...first!, name: "m9" }, ...others] };
    await assert.rejects(storageOf(moved, "m1"), /its folder .* is that of m9/);
  }));

test("removeNode() takes one node out of neo.toml, leaves every other word, and its data", () =>
  inCluster(async (config, folder) => {
    mkdirSync(join(folder, "notes"));
    const before = textOf(folder);
    const { config: larger } = await storageOf(config, "s3");
    assert.equal(removeNode(larger, "s3"), true);
    assert.equal(textOf(folder).trimEnd(), before.trimEnd());
    await diskIdOf(larger, "s3");
    assert.equal(removeNode(readConfig(folder), "s3"), false);
    removeNode(readConfig(folder), "s1");
    assert.deepEqual(readConfig(folder).nodes.map(({ name }) => name), ["m1", "s2", "a1"]);
  }));
