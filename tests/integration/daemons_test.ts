import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { readConfig } from "../../cli/config.ts";
import { logFileOf } from "../../cli/log_tail.ts";
import { isRunning, readPidFile } from "../../cli/pid_file.ts";
import { until } from "../../cli/wait.ts";
import { checkContract, neo, neoProcess, spawnNeo, temporaryFolder } from "../cli_world.ts";
import type { CommandResult } from "../cli_world.ts";

/** A cluster of real processes in a folder that goes away. */
class Shop {
  readonly #folder = temporaryFolder();
  readonly env = this.#folder.env;
  readonly cwd: string = join(this.#folder.path, "shop");

  static async use(initArgs: readonly string[], work: (shop: Shop) => Promise<void>): Promise<void> {
    const shop = new Shop();
    try {
      const made = await neo(
        ["init", shop.cwd, "--name", "shop", "--partitions", "12", ...initArgs],
        shop.around,
      );
      assert.equal(made.exitCode, 0, made.stderr);
      await work(shop);
    } finally {
      await shop.neo("stop", "--wait", "5");
      shop.#folder.remove();
    }
  }

  get around(): { env: { [name: string]: string }; cwd: string } {
    return { env: this.env, cwd: existsSync(this.cwd) ? this.cwd : this.#folder.path };
  }

  neo(...args: readonly string[]): Promise<CommandResult> {
    return neo(args, this.around);
  }

  async ok(...args: readonly string[]): Promise<CommandResult> {
    const result = await this.neo(...args);
    assert.equal(result.exitCode, 0, `neo ${args.join(" ")}: ${result.stderr}`);
    return result;
  }

  pid(name: string): number {
    return readPidFile({ data: join(this.cwd, name) })!.pid;
  }

  async kill(name: string): Promise<void> {
    const file = readPidFile({ data: join(this.cwd, name) })!;
    process.kill(file.pid, "SIGKILL");
    assert.ok(await until(() => !isRunning(file), 10_000));
  }
}

test("neo start, status, stop: one process a node, each told apart, each in its own time (T24)", () =>
  Shop.use([], async (shop) => {
    const started = await shop.ok("start", "--json");
    assert.deepEqual(started.json.started, ["m1", "s1", "s2", "a1"]);
    assert.equal(started.json.state, "running");
    const pids = ["m1", "s1", "s2", "a1"].map((name) => shop.pid(name));
    assert.equal(new Set(pids).size, 4);

    const status = await shop.ok("status");
    assert.match(
      status.stdout,
      /^shop: healthy, 1\/1 masters, 2\/2 storages, every partition has 2 of 2 copies\n/,
    );
    assert.match(status.stdout, /\nNext: neo import FILE\n$/);
    const json = (await shop.ok("status", "--json")).json;
    assert.equal(json.uri, started.json.uri);
    assert.deepEqual(
      json.nodes.map(({ name, role, state, pid }: Record<string, unknown>) => [name, role, state, pid]),
      [["m1", "master"], ["s1", "storage"], ["s2", "storage"], ["a1", "admin"]]
        .map(([name, role], index) => [name, role, "running", pids[index]]),
    );

    const again = await shop.ok("start");
    assert.match(again.stdout, /nothing to start; the cluster is running/);
    assert.deepEqual(["m1", "s1", "s2", "a1"].map((name) => shop.pid(name)), pids);

    const stopped = await shop.ok("stop", "--json");
    assert.deepEqual(stopped.json.stopped, ["m1", "s1", "s2", "a1"]);
    assert.equal(stopped.stderr.includes("Warning"), false, stopped.stderr);
    assert.match((await shop.ok("stop")).stdout, /nothing ran/);
    assert.equal((await shop.neo("status")).exitCode, 3);
    const lines = (name: string): Record<string, unknown>[] =>
      readFileSync(join(shop.cwd, "log", `${name}.log`), "utf8").trim().split("\n").map((line) =>
        JSON.parse(line)
      );
    assert.ok(lines("m1").every(({ node }) => node === "m1"));
    for (const [name, phase] of [["m1", "running"], ["s1", "serving"]] as const) {
      const standing = lines(name).filter((line) => line["phase"] === phase).map((line) => line["epoch"]);
      assert.deepEqual([...new Set(standing)], [1], `${name} says where it stands (N12)`);
    }
  }));

test("neo status shows a crashed node with the end of its log, and start brings it back (T24)", () =>
  Shop.use([], async (shop) => {
    await shop.ok("start");
    await shop.kill("s2");

    const { exitCode, stdout } = await shop.neo("status");
    assert.equal(exitCode, 4);
    assert.match(stdout, /^shop: degraded, 1\/1 masters, 1\/2 storages/);
    assert.match(stdout, /The end of the log of s2:\n {2}\{"time"/);
    assert.match(stdout, /\nNext: neo start s2\n$/);
    const before = shop.pid("s1");
    const started = await shop.ok("start", "--json");
    assert.deepEqual(started.json.started, ["s2"]);
    assert.equal(shop.pid("s1"), before);
  }));

test("neo stop NODE ends one node, restart NODE begins it anew (T24)", () =>
  Shop.use([], async (shop) => {
    await shop.ok("start");
    const [s1, s2] = [shop.pid("s1"), shop.pid("s2")];

    assert.deepEqual((await shop.ok("restart", "s2", "--json")).json.started, ["s2"]);

    assert.notEqual(shop.pid("s2"), s2);
    assert.equal(shop.pid("s1"), s1);
    await shop.ok("stop", "a1");
    const { exitCode, json } = await shop.neo("status", "a1", "--json");
    assert.equal(exitCode, 4);
    assert.deepEqual(json.nodes.filter(({ name }: { name: string }) => name === "a1")[0].state, "stopped");
  }));

test("a data folder has one owner: run refuses a second process, whatever the pid file says (T24)", () =>
  Shop.use([], async (shop) => {
    await shop.ok("start");

    const second = await shop.neo("run", "s1");
    const pidFile = join(shop.cwd, "s1", "neo.pid");
    renameSync(pidFile, `${pidFile}.away`);
    const blind = await neoProcess(["run", "s1", "--json"], shop.around);
    renameSync(`${pidFile}.away`, pidFile);

    assert.equal(second.exitCode, 1);
    assert.match(second.stderr, /Cannot run s1: process \d+ runs it already/);
    assert.equal(blind.exitCode, 1);
    assert.match(JSON.parse(blind.stderr).message, /another process has it open/);
    await shop.ok("status");
  }));

test("neo start shows the end of the log of a node that can't start, and ends with 1", () =>
  Shop.use([], async (shop) => {
    const { nodes } = readConfig(shop.cwd);
    const [host, port] = nodes[1]!.address.split(":");
    const server = createServer().listen(Number(port), host);
    await once(server, "listening");

    const { exitCode, stderr } = await shop.neo("start");

    server.close();
    assert.equal(exitCode, 1);
    assert.match(stderr, /Cannot start s1: it ended with 1; the end of its log:\n {2}\{.*Cannot listen on/);
  }));

test("neo start refuses data folders that were mixed up", () =>
  Shop.use([], async (shop) => {
    renameSync(join(shop.cwd, "s1", "storage.sqlite"), join(shop.cwd, "s1", "away"));
    renameSync(join(shop.cwd, "s2", "storage.sqlite"), join(shop.cwd, "s1", "storage.sqlite"));
    renameSync(join(shop.cwd, "s1", "away"), join(shop.cwd, "s2", "storage.sqlite"));

    const wrong = await shop.neo("start");
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stderr, /Cannot use .*s[12].*: it is that of s[12]/);
  }));

test("neo start ends with 10 when the time of --wait is over; the nodes go on, and stop finds them", () =>
  Shop.use([], async (shop) => {
    const late = await shop.neo("start", "--wait", "0");

    assert.equal(late.exitCode, 10);
    assert.match(late.stdout, /not running yet after the time of --wait/);
    assert.match((await shop.ok("stop")).stdout, /stopped m1, s1, s2, a1/);
    assert.equal((await shop.neo("status")).exitCode, 3);
  }));

test("neo run ends in order at SIGTERM, and takes its pid file away", () =>
  Shop.use([], async (shop) => {
    const child = spawnNeo(["run", "m1"], shop.around);
    const ended = once(child, "exit");
    assert.ok(await until(() => existsSync(join(shop.cwd, "m1", "neo.pid")), 20_000));
    if (process.platform === "linux") {
      assert.match(readFileSync(`/proc/${child.pid}/cmdline`, "latin1"), /^neo: master m1/);
    }

    process.kill(child.pid!, "SIGTERM"); // child.kill() makes Deno report the signal, however the process ended

    assert.deepEqual(await ended, [0, null]);
    assert.equal(existsSync(join(shop.cwd, "m1", "neo.pid")), false);
  }));

test("neo run --json tells on stdout where its nodes listen, once they do; a daemon's log has its own words for that (T24)", () =>
  Shop.use([], async (shop) => {
    const args = ["run", "m1", "--json"];
    const child = spawnNeo(args, shop.around);
    const ended = once(child, "exit");
    const [said] = await once(child.stdout.setEncoding("utf8"), "data");
    await checkContract(args, undefined, said);

    assert.deepEqual(JSON.parse(said), {
      cluster: "shop",
      pid: child.pid,
      nodes: [{ name: "m1", role: "master", address: readConfig(shop.cwd).nodes[0]!.address }],
    });
    process.kill(child.pid!, "SIGTERM");
    assert.deepEqual(await ended, [0, null]);

    await shop.ok("start");
    const lines = readFileSync(logFileOf(readConfig(shop.cwd), "m1"), "utf8").trimEnd().split("\n");
    assert.ok(lines.length > 0);
    for (const line of lines) assert.ok("level" in JSON.parse(line), line);
  }));

test("init --single is one process with kept data, and its nodes start and stop as one (T59)", () =>
  Shop.use(["--single"], async (shop) => {
    await shop.ok("start");
    assert.equal(shop.pid("m1"), shop.pid("s1"));
    await shop.ok("import", new URL("../vectors/history.fs", import.meta.url).pathname);
    await shop.kill("s1");
    await shop.ok("start", "s1");

    await shop.ok("export", "out.fs");

    const expected = readFileSync(new URL("../vectors/history.fs", import.meta.url));
    assert.deepEqual(readFileSync(join(shop.cwd, "out.fs")), expected);
  }));
