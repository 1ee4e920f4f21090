import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { openDatabase } from "../adapters/sqlite.ts";
import { openMetadata } from "../adapters/sqlite_metadata.ts";
import { systemRandom } from "../adapters/system.ts";
import { Metadata } from "../roles/master/metadata.ts";
import { neo, temporaryFolder } from "../tests/cli_world.ts";
import { CONFIG_FILE, readConfig, UNFINISHED_FILE } from "./config.ts";
import { findPorts, HOST } from "./ports.ts";
import { clustersByName } from "./target.ts";

type Folder = ReturnType<typeof temporaryFolder>;

async function inFolder(work: (folder: Folder) => Promise<void>): Promise<void> {
  const folder = temporaryFolder();
  try {
    await work(folder);
  } finally {
    folder.remove();
  }
}

test("neo init makes databases that know each other, and a name for the cluster (T50)", () =>
  inFolder(async ({ path, env }) => {
    const made = await neo(["init", "shop", "--storages", "3", "--json"], { cwd: path, env });

    assert.equal(made.exitCode, 0, made.stderr);
    const config = readConfig(join(path, "shop"));
    assert.match(config.cluster, /^[a-z]+-[a-z]+-\d{4}$/);
    assert.equal(made.json.cluster, config.cluster);
    assert.equal(made.json.storagesMax, 480);
    assert.equal(made.json.next, "neo start -C shop");
    assert.deepEqual(clustersByName(env), { [config.cluster]: join(path, "shop") });

    const store = openMetadata(join(path, "shop", "m1", "master.sqlite"));
    const metadata = Metadata.ofImage(store.state.snapshot!.image);
    await store.close();
    assert.equal(metadata.clusterId, config.clusterId);
    assert.deepEqual(metadata.nodes.map(({ name }) => name), ["m1", "s1", "s2", "s3", "a1"]);
    for (const name of ["s1", "s2", "s3"]) {
      const database = openDatabase(join(path, "shop", name, "storage.sqlite"));
      const { identity } = database.state;
      await database.close();
      assert.equal(identity.clusterId, config.clusterId);
      assert.match(identity.diskId, /^[0-9a-f]{32}$/);
      assert.equal(metadata.storageOf(identity.diskId)?.name, name);
    }
  }));

test("neo init warns when there are more storages than copies of partitions", () =>
  inFolder(async ({ path, env }) => {
    const args = ["--storages", "3", "--replicas", "0", "--partitions", "1"];

    const { exitCode, stderr } = await neo(["init", "shop", ...args], { cwd: path, env });

    assert.equal(exitCode, 0);
    assert.match(stderr, /^Warning: 2 of 3 storages will hold nothing: there are 1 copies to deal\n$/);
  }));

test("neo init says how many storages the partitions allow, and what to type next", () =>
  inFolder(async ({ path, env }) => {
    const { stdout } = await neo(["init", "shop", "--name", "shop"], { cwd: path, env });

    assert.match(stdout, /^Made cluster shop in /);
    assert.match(stdout, /Room for up to 480 storages; an even deal for 2 to 6, 8, 10, 12, /);
    assert.match(stdout, /\nNext: neo start -C shop\n$/);
  }));

test("neo init --single puts all nodes into one process on this machine's own address (T59)", () =>
  inFolder(async ({ path, env }) => {
    await neo(["init", "one", "--single"], { cwd: path, env });

    const { nodes } = readConfig(join(path, "one"));
    assert.deepEqual(nodes.map(({ role, process }) => [role, process]), [
      ["master", "single"],
      ["storage", "single"],
      ["admin", "single"],
    ]);
    assert.ok(nodes.every(({ address }) => address.startsWith("127.0.0.1:")));
  }));

test("neo init leaves folders alone that hold something", () =>
  inFolder(async ({ path, env }) => {
    mkdirSync(join(path, "full"));
    writeFileSync(join(path, "full", "thesis.txt"), "");
    await neo(["init", "shop"], { cwd: path, env });
    mkdirSync(join(path, "half"));
    writeFileSync(join(path, "half", UNFINISHED_FILE), "");
    const before = readFileSync(join(path, "shop", CONFIG_FILE), "utf8");

    const cases = [["full", /it isn't empty/], ["shop", /a cluster stands there/], [
      "half",
      /didn't come to its end/,
    ]] as const;
    for (const [dir, says] of cases) {
      const { exitCode, stderr } = await neo(["init", dir], { cwd: path, env });
      assert.equal(exitCode, 6);
      assert.match(stderr, says);
    }

    assert.deepEqual(readdirSync(join(path, "full")), ["thesis.txt"]);
    assert.equal(readFileSync(join(path, "shop", CONFIG_FILE), "utf8"), before);
  }));

test("neo init takes ports in a row from --base-port, unless one is in use", () =>
  inFolder(async ({ path, env }) => {
    const wanted = await findPorts(4, undefined, systemRandom());
    const server = createServer().listen(wanted[3], HOST);
    await once(server, "listening");
    const args = ["--base-port", String(wanted[0])];

    const taken = await neo(["init", "shop", ...args], { cwd: path, env });
    server.close();
    await once(server, "close");
    const free = await neo(["init", "shop", ...args, "--json"], { cwd: path, env });

    assert.equal(taken.exitCode, 6);
    assert.match(taken.stderr, new RegExp(`port ${wanted[3]} is in use`));
    assert.equal(free.exitCode, 0, free.stderr);
    const ports = free.json.nodes.map(({ address }: { address: string }) => Number(address.split(":")[1]));
    assert.deepEqual(ports, wanted);
    const high = await neo(["init", "high", "--base-port", "65533"], { cwd: path, env });
    assert.equal(high.exitCode, 2);
  }));

test("neo init works without a place for names, and says so", () =>
  inFolder(async ({ path, env }) => {
    writeFileSync(join(path, "file"), "");

    const made = await neo(["init", "shop"], {
      cwd: path,
      env: { ...env, NEO_CONFIG_HOME: join(path, "file", "x") },
    });

    assert.equal(made.exitCode, 0);
    assert.match(made.stderr, /^Warning: the name can't be written down, use -C /);
    assert.ok(existsSync(join(path, "shop", CONFIG_FILE)));
  }));

test("neo init warns when it takes a name from another folder", () =>
  inFolder(async ({ path, env }) => {
    await neo(["init", "one", "--name", "shop"], { cwd: path, env });

    const { stderr } = await neo(["init", "two", "--name", "shop"], { cwd: path, env });

    assert.match(stderr, /-C shop meant .*one until now/);
    rmSync(join(path, "two"), { recursive: true });
    const gone = await neo(["status", "-C", "shop"], { cwd: path, env });
    assert.equal(gone.exitCode, 7);
    assert.match(gone.stderr, /two has no neo.toml/);
  }));

test("neo status of a cluster that was just made is stopped, with 3", () =>
  inFolder(async ({ path, env }) => {
    await neo(["init", "shop", "--name", "shop"], { cwd: path, env });

    const text = await neo(["status", "-C", "shop"], { cwd: path, env });
    const json = await neo(["status", "--json"], { cwd: join(path, "shop", "s1"), env });

    assert.equal(text.exitCode, 3);
    assert.match(text.stdout, /^shop: stopped\n[^]*Next: neo start -C shop\n$/);
    assert.equal(json.exitCode, 3);
    assert.equal(json.json.state, "stopped");
    assert.equal(json.json.partitions, 240);
    assert.deepEqual(
      json.json.nodes.map(({ name, state }: { name: string; state: string }) => [name, state]),
      [
        ["m1", "stopped"],
        ["s1", "stopped"],
        ["s2", "stopped"],
        ["a1", "stopped"],
      ],
    );
  }));
