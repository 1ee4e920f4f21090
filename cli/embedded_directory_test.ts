import assert from "node:assert/strict";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StatementSync } from "node:sqlite";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { toOid } from "../core/ids.ts";
import type { Tid } from "../core/ids.ts";
import { connect } from "../mod.ts";
import type { Client, ConnectTarget } from "../mod.ts";
import { neo, temporaryFolder } from "../tests/cli_world.ts";
import { CONFIG_FILE, readConfig, UNFINISHED_FILE } from "./config.ts";
import type { NodeConfig } from "./config.ts";
import { newConfig } from "./new_config.ts";
import { planCluster } from "./plan.ts";
import { provision } from "./provision.ts";

const oid = toOid(1);

async function inFolder(
  work: (path: string, env: { [name: string]: string }) => Promise<void>,
): Promise<void> {
  const folder = temporaryFolder();
  try {
    await work(folder.path, folder.env);
  } finally {
    folder.remove();
  }
}

async function write(client: Client, text: string): Promise<Tid> {
  const { tid } = await client.transact(async (tx) => {
    await tx.load(oid);
    tx.store(oid, new TextEncoder().encode(text));
  });
  return tid;
}

async function read(client: Client): Promise<string> {
  return new TextDecoder().decode((await (await client.snapshot()).load(oid))?.data);
}

test("connect({ directory }) keeps what was committed, from one connect to the next (T59, X6)", () =>
  inFolder(async (path) => {
    const directory = join(path, "deep", "down", "notes");
    const first = await connect({ directory, partitions: 5 });
    const tid = await write(first, "kept");
    await first.close();

    const second = await connect({ directory: pathToFileURL(directory) });
    assert.equal(await read(second), "kept");
    assert.equal((await second.view()).table.partitions, 5);
    assert.ok(await write(second, "changed") > tid);
    const changes = second.changes({ since: tid });
    assert.deepEqual((await changes.next()).value?.oids, [oid]);
    await changes.return();
    await second.close();
  }));

test("connect({ directory }) makes what neo init --single makes, and listens nowhere (T59)", () =>
  inFolder(async (path) => {
    const directory = join(path, "notes");
    const client = await connect({ directory });
    const { cluster, nodes, partitions, replicas } = readConfig(directory);
    assert.deepEqual(nodes.map(({ name, process }) => [name, process]), [
      ["m1", "single"],
      ["s1", "single"],
      ["a1", "single"],
    ]);
    assert.deepEqual([partitions, replicas], [240, 0]);
    const [{ address }] = nodes as [NodeConfig];
    await assert.rejects(connect(`neo://${cluster}@${address}`, { withinMs: 200 }));
    await client.close();
  }));

test("connect({ directory }) refuses a folder that is open already, and leaves it alone", () =>
  inFolder(async (path) => {
    const directory = join(path, "notes");
    const first = await connect({ directory });
    await write(first, "mine");
    await assert.rejects(connect({ directory }), {
      name: "RefusedError",
      code: "denied",
      message:
        /^Cannot open .*notes: it is open already, here or in another process; close it there, or connect/,
    });
    assert.equal(await read(first), "mine");
    await first.close();
    const second = await connect({ directory });
    assert.equal(await read(second), "mine");
    await second.close();
  }));

test("connect({ directory }) runs a cluster of several storages that neo init has made", () =>
  inFolder(async (path, env) => {
    const made = await neo(["init", "shop", "--storages", "3", "--replicas", "1"], { cwd: path, env });
    assert.equal(made.exitCode, 0, made.stderr);
    const client = await connect({ directory: join(path, "shop") });
    await write(client, "everywhere");
    const { table, lastTid } = await client.view();
    const partition = Number(oid % BigInt(table.partitions)) as never;
    const copies = await client.call("digests", { partition, upTo: lastTid });
    assert.equal(copies.length, 2);
    assert.deepEqual(copies[0]!.digest, copies[1]!.digest);
    await client.close();
  }));

const refusals: { what: string; prepare: (path: string) => void; message: RegExp }[] = [
  {
    what: "a folder with something else in it",
    prepare: (path) => writeFileSync(join(path, "letter.txt"), "dear"),
    message: /^Cannot init .*: it isn't empty; name an empty folder, or one to be made$/,
  },
  {
    what: "a folder in which an init didn't come to its end",
    prepare: (path) => writeFileSync(join(path, UNFINISHED_FILE), ""),
    message: /an earlier init there didn't come to its end; remove the folder/,
  },
  {
    what: "a folder whose neo.toml can't be read",
    prepare: (path) => writeFileSync(join(path, CONFIG_FILE), "cluster = 5"),
    message: /neo\.toml/,
  },
];
for (const { what, prepare, message } of refusals) {
  test(`connect({ directory }) refuses ${what}, and changes nothing there`, () =>
    inFolder(async (path) => {
      const directory = join(path, "notes");
      mkdirSync(directory);
      prepare(directory);
      const before = readdirSync(directory);
      await assert.rejects(connect({ directory }), { name: "RefusedError", code: "denied", message });
      assert.deepEqual(readdirSync(directory), before);
    }));
}

test("connect({ directory }) refuses a file, and other partitions than there are", () =>
  inFolder(async (path) => {
    const file = join(path, "file");
    writeFileSync(file, "");
    await assert.rejects(connect({ directory: file }), { name: "RefusedError", message: /it is a file/ });
    await assert.rejects(connect({ directory: join(file, "below") }), {
      name: "DatabaseError",
      code: "ioError",
    });

    const directory = join(path, "notes");
    await (await connect({ directory, partitions: 5 })).close();
    await assert.rejects(connect({ directory, partitions: 6 }), {
      name: "RefusedError",
      message: /with 6 partitions: it was made with 5; leave the number away$/,
    });
    await (await connect({ directory, partitions: 5 })).close();
  }));

/** The databases of this process fail while `work` runs, as on a full disk. */
async function withFullDisk(work: () => Promise<void>): Promise<void> {
  const { run } = StatementSync.prototype;
  StatementSync.prototype.run = () => {
    throw Object.assign(new Error("database or disk is full"), { errcode: 13, code: "ERR_SQLITE_ERROR" });
  };
  try {
    await work();
  } finally {
    StatementSync.prototype.run = run;
  }
}

test("a client in whose folder a node fails says why, in what is under way and in what comes later", () =>
  inFolder(async (path) => {
    const target: ConnectTarget = { directory: join(path, "notes") };
    const client = await connect(target);
    await write(client, "before");
    const feed = client.changes();
    const next = feed.next();
    next.catch(() => {}); // it is looked at below
    const failure = {
      name: "DatabaseError",
      code: "ioError",
      message: /^Cannot go on: s1 has failed: .*full/,
    };
    await withFullDisk(async () => {
      await assert.rejects(write(client, "lost"), failure);
      await assert.rejects(next, failure);
      await assert.rejects(client.sync(), failure);
      await client.close();
    });

    const again = await connect(target);
    assert.equal(await read(again), "before");
    await again.close();
  }));

test("provision() of two in one folder refuses the later one, and takes nothing away from the other", () =>
  inFolder(async (path) => {
    const folder = join(path, "notes");
    const nothing = { name: undefined, masters: undefined, storages: undefined, replicas: undefined };
    const plan = planCluster({ ...nothing, partitions: 3, single: true });
    const config = () => newConfig(plan, { folder, cluster: "notes", ports: [10_000, 10_001, 10_002] });
    const filesOf = () => readdirSync(folder, { recursive: true }).sort();

    mkdirSync(join(folder, "m1"), { recursive: true });
    writeFileSync(join(folder, UNFINISHED_FILE), ""); // the other has begun
    const begun = filesOf();
    await assert.rejects(provision(config()), {
      name: "CliError",
      message: /another process does so at this moment/,
    });
    assert.deepEqual(filesOf(), begun);

    rmSync(join(folder, UNFINISHED_FILE));
    writeFileSync(join(folder, CONFIG_FILE), ""); // the other has ended between our look and our begin
    await assert.rejects(provision(config()), {
      name: "CliError",
      message: /a cluster stands there already/,
    });
    assert.deepEqual(filesOf(), ["m1", CONFIG_FILE]);
  }));
