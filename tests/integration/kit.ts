/** Clusters of real processes for tests: made, started, killed and cleaned away, however the test ends. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { SystemClock } from "../../adapters/system.ts";
import { readConfig, uriOf } from "../../cli/config.ts";
import type { ClusterConfig, NodeConfig } from "../../cli/config.ts";
import { isRunning, readPidFile, signalProcess } from "../../cli/pid_file.ts";
import type { PidFile } from "../../cli/pid_file.ts";
import { until } from "../../cli/wait.ts";
import { connect } from "../../mod.ts";
import type { Client, ConnectOptions } from "../../mod.ts";
import { neo, neoProcess, temporaryFolder } from "../cli_world.ts";
import type { CommandResult } from "../cli_world.ts";

/** Longest wait for something that must come; a test that meets it fails. */
export const WITHIN_MS = 60_000;

/** The shape of a cluster, as `neo init` takes it; what isn't named is its default. */
export interface Shape {
  readonly masters?: number;
  readonly storages?: number;
  readonly replicas?: number;
  readonly partitions?: number;
  /** All nodes in one process. */
  readonly single?: boolean;
  /** Everybody shows a certificate. */
  readonly tls?: boolean;
  /** The storages' PostgreSQL server. */
  readonly database?: string;
  /** Where all nodes listen. */
  readonly listen?: string;
  /** What the nodes' processes see besides the least that they need. */
  readonly env?: { readonly [name: string]: string };
}

/** Arguments of `neo init`. */
export function initArguments(
  { masters, storages, replicas, partitions, database, listen, single, tls }: Shape,
): string[] {
  const numbers = { masters, storages, replicas, partitions, database, listen };
  const named = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return [
    ...named.flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ...(single ? ["--single"] : []),
    ...(tls ? ["--tls"] : []),
  ];
}

/** A test that needs something of the machine: without it, it is skipped, and counted, and says why. */
export function testWith(
  need: { readonly met: boolean; readonly reason: string },
  name: string,
  body: () => Promise<void>,
): void {
  if (need.met) return void test(name, body);
  process.stderr.write(`skipped: ${name}: ${need.reason}\n`);
  test(name, { skip: need.reason }, () => {});
}

/** Waits for what sends no event, such as the end of a process that isn't our child. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  assert.ok(await until(condition, WITHIN_MS), `${what} didn't happen within ${WITHIN_MS} ms`);
}

/** Fails when a promise takes longer than anything here may take. */
export function within<T>(what: string, promise: Promise<T>, ms: number = WITHIN_MS): Promise<T> {
  const clock = new SystemClock({ keepsProcess: true });
  const late = new Promise<never>((_, reject) =>
    clock.wakeAt(clock.now().monoMs + ms, () => reject(new Error(`${what} didn't happen within ${ms} ms`)))
  );
  return Promise.race([promise, late]).finally(() => clock.wakeAt(undefined, () => {}));
}

/** Lets what is ready happen, `count` times over. */
export async function turns(count: number): Promise<void> {
  const clock = new SystemClock({ keepsProcess: true });
  for (let turn = 0; turn < count; turn++) await new Promise<void>((done) => clock.soon(done));
}

/** A file of this name, in the folder around a cluster, says that the folder stays. */
const KEEP = "keep";

/**
 * Ends the nodes whose pid files stand in a folder, once nobody holds its input any more; then removes the folder, with what
 * is mounted in it.
 */
const GUARD = `cat; for file in "$1"/*/*/neo.pid; do
  pid=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' "$file") && case $(ps -o args= -p "$pid") in neo:*) kill -9 "$pid";; esac
done; [ -e "$1/${KEEP}" ] || { umount "$1"/*/* 2>/dev/null; rm -rf "$1"; }`;

/** A test that hangs, or is ended from outside, leaves no processes behind: this one lives on and sees to that. */
function guard(folder: string): () => void {
  if (process.platform === "win32") return () => {};
  const child = spawn("sh", ["-c", GUARD, "guard", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  child.unref();
  return () => child.stdin.end();
}

/** A cluster in a temporary folder. Disposing of it kills what runs and removes the folder. */
export class CliCluster implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #unguard = guard(this.#folder.path);
  readonly #seen = new Map<number, PidFile>();
  readonly #clients = new Set<Client>();
  #config: ClusterConfig | undefined;

  /** Makes one; nothing of it runs yet. */
  static async init(shape: Shape = {}): Promise<CliCluster> {
    const cluster = new CliCluster();
    try {
      const { path, env } = cluster.#folder;
      Object.assign(env, shape.env);
      const args = ["init", cluster.folder, "--name", "shop", ...initArguments(shape)];
      const made = await neo(args, { env, cwd: path });
      assert.equal(made.exitCode, 0, made.stderr);
      cluster.#config = readConfig(cluster.folder);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Makes one and starts all of it. */
  static async started(shape: Shape = {}): Promise<CliCluster> {
    const cluster = await CliCluster.init(shape);
    try {
      await cluster.start();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Reads `neo.toml` again, which something else has made anew. */
  reload(): void {
    this.#config = readConfig(this.folder);
  }

  /** The folder with `neo.toml`. */
  get folder(): string {
    return join(this.#folder.path, "shop");
  }

  /** A path beside the cluster's folder, which goes away with it. */
  beside(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Where commands run, and what they see. */
  get around(): { readonly env: { [name: string]: string }; readonly cwd: string } {
    return { env: this.#folder.env, cwd: this.folder };
  }

  get config(): ClusterConfig {
    return this.#config!;
  }

  get uri(): string {
    return uriOf(this.config);
  }

  /** All nodes of a role. */
  nodes(role?: NodeConfig["role"]): readonly NodeConfig[] {
    return this.config.nodes.filter((node) => role === undefined || node.role === role);
  }

  node(name: string): NodeConfig {
    const found = this.config.nodes.find((node) => node.name === name);
    assert.ok(found, `there is a node ${name}`);
    return found;
  }

  /** Runs a command as a process of its own. */
  neo(...args: readonly string[]): Promise<CommandResult> {
    return neoProcess(args, this.around);
  }

  /** Runs a command that must succeed. */
  async ok(...args: readonly string[]): Promise<CommandResult> {
    const result = await this.neo(...args);
    assert.equal(result.exitCode, 0, `neo ${args.join(" ")}: ${result.stderr}`);
    return result;
  }

  /** `neo start`; the nodes are processes of their own, the command itself runs here. */
  async start(...names: readonly string[]): Promise<CommandResult> {
    const result = await neo(["start", ...names], this.around);
    this.#look();
    assert.equal(result.exitCode, 0, `neo start: ${result.stdout}${result.stderr}`);
    return result;
  }

  /** `neo stop`, of which nothing may have to be killed. */
  async stop(...names: readonly string[]): Promise<CommandResult> {
    const result = await neo(["stop", ...names, ...(names.length > 0 ? ["--yes"] : [])], this.around);
    assert.equal(result.exitCode, 0, `neo stop: ${result.stderr}`);
    assert.doesNotMatch(result.stderr, /Warning: (?!nobody could read)/);
    return result;
  }

  /** The process that runs a node. */
  process(name: string): PidFile {
    const file = readPidFile(this.node(name));
    assert.ok(file, `node ${name} has a pid file`);
    this.#seen.set(file.pid, file);
    return file;
  }

  pid(name: string): number {
    return this.process(name).pid;
  }

  /** Ends nodes as a power cut does, all at the same moment, and waits until they are gone. No name means all. */
  async kill9(...names: readonly string[]): Promise<void> {
    const wanted = names.length > 0 ? names : this.nodes().map(({ name }) => name);
    const files = wanted.map((name) => this.process(name));
    for (const file of files) signalProcess(file, "SIGKILL");
    await this.gone(...files);
  }

  /** Waits until processes have ended. */
  gone(...files: readonly PidFile[]): Promise<void> {
    return eventually(
      `the end of ${files.map(({ name }) => name).join(", ")}`,
      () => files.every((file) => !isRunning(file)),
    );
  }

  /** What a node has logged, a line each; a process that ends at once may leave half a line. */
  log(name: string): Record<string, unknown>[] {
    const { process } = this.node(name);
    const lines = readFileSync(join(this.folder, "log", `${process}.log`), "utf8").split("\n");
    return lines.filter((line) => line.startsWith("{") && line.endsWith("}")).map((line) => JSON.parse(line));
  }

  /** A client, which ends with the cluster if it doesn't before. */
  async connect(options: ConnectOptions = {}): Promise<Client> {
    const client = await connect(this.uri, options);
    this.#clients.add(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#config !== undefined) this.#look();
    for (const file of this.#seen.values()) signalProcess(file, "SIGKILL");
    await until(() => [...this.#seen.values()].every((file) => !isRunning(file)), WITHIN_MS);
    await Promise.all([...this.#clients].map((client) => client.close()));
    if (!existsSync(this.beside(KEEP))) this.#folder.remove();
    this.#unguard();
  }

  /** From now on the folder stays where it is, for somebody to look at; processes end all the same. */
  keep(): string {
    writeFileSync(this.beside(KEEP), "");
    return this.#folder.path;
  }

  /** Remembers who runs, so that nobody is left behind if a test takes pid files away. */
  #look(): void {
    for (const node of this.nodes()) {
      const file = readPidFile(node);
      if (file !== undefined) this.#seen.set(file.pid, file);
    }
  }
}
