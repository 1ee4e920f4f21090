/** A cluster of real processes in a temporary folder, whose nodes reach one another through a network that can fail. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { systemRandom } from "../../adapters/system.ts";
import { CONFIG_FILE, formatConfig, listensAt, readConfig } from "../../cli/config.ts";
import type { ClusterConfig, NodeConfig } from "../../cli/config.ts";
import type { StatusView } from "../../cli/health.ts";
import { lastLines, logFileOf } from "../../cli/log_tail.ts";
import { processStateOf } from "../../cli/pid_file.ts";
import type { ProcessState } from "../../cli/pid_file.ts";
import { planCluster } from "../../cli/plan.ts";
import { findPorts } from "../../cli/ports.ts";
import { hexOf } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import { neo } from "../cli_world.ts";
import type { CommandResult } from "../cli_world.ts";
import { CliCluster } from "../integration/kit.ts";
import type { SimRandom } from "../simulation/random.ts";
import { FaultNetwork } from "./fault_network.ts";

/** What a soak's cluster consists of. */
export interface SoakShape {
  readonly masters: number;
  readonly storages: number;
  readonly replicas: number;
  readonly partitions: number;
  /** Keeps the last storage's data on a small disk of its own, if the machine allows it. */
  readonly smallDisk: boolean;
  /** Lets nodes be told a wrong time, if the machine allows it. */
  readonly clocks: boolean;
}

/** Where distributions put the library that lies to a process about the time. */
const FAKETIME_PATHS = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
  "/usr/lib64/faketime/libfaketimeMT.so.1",
];
/** A disk is this large until it is made as small as what is on it. */
const DISK_SIZE = "2g";
/** It may grow between two looks. */
const RESIZE_ATTEMPTS_MAX = 20;
/** Lines of its log that are shown of a node that ended by itself. */
const LOG_LINES = 3;
/** How long `neo start` and `neo status` wait, in seconds. */
const START_S = 60;
const STATUS_S = 5;

/** The number of masters that `neo init` takes: those that are wanted, or one. */
export function mastersAccepted(wanted: number): number {
  const wishes = {
    name: undefined,
    storages: undefined,
    replicas: undefined,
    partitions: undefined,
    single: false,
  };
  try {
    planCluster({ ...wishes, masters: wanted });
    return wanted;
  } catch {
    return 1; // a release without several masters refuses them
  }
}

/** A cluster, and what can be done to it. Disposing of it ends its processes and removes its folder, unless it is kept. */
export class SoakCluster implements AsyncDisposable {
  readonly network: FaultNetwork;
  readonly #cli: CliCluster;
  /** The storage with a disk of its own. */
  #diskOwner: string | undefined;
  #faketime: string | undefined;

  private constructor(cli: CliCluster, random: SimRandom) {
    this.#cli = cli;
    this.network = new FaultNetwork(random);
  }

  /** Makes one and starts it. */
  static async started({ smallDisk, clocks, ...shape }: SoakShape, random: SimRandom): Promise<SoakCluster> {
    const cluster = new SoakCluster(await CliCluster.init(shape), random);
    try {
      await cluster.#standBetween();
      if (smallDisk) cluster.#giveDisk();
      if (clocks) cluster.#faketime = FAKETIME_PATHS.find((path) => existsSync(path));
      for (const node of cluster.nodes()) await cluster.startOrThrow(node.name);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Folder of the cluster's files; logs are in `log/` there. */
  get folder(): string {
    return this.#cli.folder;
  }

  get uri(): string {
    return this.#cli.uri;
  }

  /** The storage whose disk can be made full, if one has its own. */
  get diskOwner(): string | undefined {
    return this.#diskOwner;
  }

  /** Whether nodes can be told a wrong time. */
  get hasClocks(): boolean {
    return this.#faketime !== undefined;
  }

  beside(name: string): string {
    return this.#cli.beside(name);
  }

  nodes(role?: NodeConfig["role"]): readonly NodeConfig[] {
    return this.#cli.nodes(role);
  }

  /** What became of a node's process. */
  process(name: string): ProcessState {
    return processStateOf(this.#cli.node(name));
  }

  pid(name: string): number | undefined {
    const found = this.process(name);
    return found.state === "running" ? found.file.pid : undefined;
  }

  connect: CliCluster["connect"] = (options) => this.#cli.connect(options);

  /** `kill -9`; waits until the process is gone. */
  async kill9(...names: readonly string[]): Promise<void> {
    const running = names.filter((name) => this.pid(name) !== undefined);
    if (running.length > 0) await this.#cli.kill9(...running);
  }

  signal(name: string, signal: "SIGSTOP" | "SIGCONT"): void {
    const pid = this.pid(name);
    if (pid !== undefined) process.kill(pid, signal);
  }

  /** `neo start NODE`: waits until it listens, or, when it was the last that didn't run, for the whole cluster. */
  start(name: string, withinS: number = START_S): Promise<CommandResult> {
    const around = this.#cli.around;
    const env = { ...around.env, ...this.#clockOf(name) };
    return neo(["start", name, "--wait", `${withinS}`], { ...around, env });
  }

  /** The same; throws when there is no such process afterwards. */
  async startOrThrow(name: string): Promise<void> {
    const { stdout, stderr } = await this.start(name);
    if (this.pid(name) === undefined) throw new Error(`Cannot start ${name}: ${stdout}${stderr}`);
  }

  /** `neo status --json`, asked at all masters or those of a URI; undefined when it has nothing to say. */
  async status(uri?: string): Promise<StatusView | undefined> {
    const where = uri === undefined ? [] : ["--cluster", uri];
    const result = await neo(["status", "--json", "--wait", `${STATUS_S}`, ...where], this.#cli.around);
    return result.stdout === "" ? undefined : result.json;
  }

  /** Makes the small disk full, or gives it room again. */
  setDiskFull(full: boolean): void {
    if (this.#diskOwner === undefined) throw new Error("Cannot fill a disk: no storage has its own");
    const folder = this.#cli.node(this.#diskOwner).data;
    for (let attempt = 0; attempt < RESIZE_ATTEMPTS_MAX; attempt++) {
      const { blocks, bfree, bsize } = statfsSync(folder);
      const size = full ? `${(blocks - bfree) * bsize}` : DISK_SIZE;
      if (mount("-o", `remount,size=${size}`, folder)) return;
      // it was written to meanwhile: what is on it doesn't fit
    }
    throw new Error(`Cannot change the size of ${folder}: it grows too fast`);
  }

  /** Tells a node that the time is another, in seconds from the true one. */
  setClock(name: string, offsetS: number): void {
    writeFileSync(this.#clockFile(name), `${offsetS < 0 ? "" : "+"}${offsetS}\n`);
  }

  /** Runs a command as a process of its own. */
  neo: CliCluster["neo"] = (...args) => this.#cli.neo(...args);

  /** `neo table verify`: what it says if copies aren't sound. */
  async verify(): Promise<string | undefined> {
    const result = await neo(["table", "verify"], this.#cli.around);
    return result.exitCode === 0 ? undefined : `${result.stdout}${result.stderr}`.trim();
  }

  /** `neo config set`; false: it didn't come about. */
  async config(...values: readonly string[]): Promise<boolean> {
    return (await neo(["config", "set", ...values], this.#cli.around)).exitCode === 0;
  }

  /** `neo pack` up to a tid; false: it was refused, or nobody was there. */
  async pack(tid: Tid): Promise<boolean> {
    return (await neo(["pack", "--before", hexOf(tid), "--yes"], this.#cli.around)).exitCode === 0;
  }

  /** Takes a node out of `neo.toml`, which commands may have changed meanwhile. */
  forget(name: string): void {
    const config = readConfig(this.folder);
    this.#write({ ...config, nodes: config.nodes.filter((node) => node.name !== name) });
  }

  /** The last lines that a node has logged. */
  lastLog(name: string): string {
    const file = logFileOf(this.#cli.config, this.#cli.node(name).process);
    return lastLines(file, LOG_LINES).join(" | ");
  }

  /** From now on the folder stays. */
  keep(): string {
    return this.#cli.keep();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill9(...this.nodes().map(({ name }) => name));
    if (this.#diskOwner !== undefined) this.#takeDisk(this.#diskOwner);
    await this.network.close();
    await this.#cli[Symbol.asyncDispose]();
  }

  /** Nodes listen elsewhere; at their addresses stands the network. */
  async #standBetween(): Promise<void> {
    const config = readConfig(this.folder);
    const ports = await findPorts(config.nodes.length, undefined, systemRandom());
    const nodes = config.nodes.map((node, at) => ({ ...node, listen: `127.0.0.1:${ports[at]}` }));
    this.#write({ ...config, nodes });
    for (const node of this.nodes()) {
      await this.network.stand(node.name, { at: node.address, target: listensAt(node) });
    }
  }

  #write(config: ClusterConfig): void {
    const text = formatConfig(config, ({ data }) => relative(this.folder, data));
    writeFileSync(join(this.folder, CONFIG_FILE), text);
    this.#cli.reload();
  }

  /** A disk in memory for the data of the last storage. */
  #giveDisk(): void {
    const node = this.nodes("storage").at(-1);
    if (node === undefined) return;
    const before = `${node.data}.before`;
    renameSync(node.data, before);
    cpSync(before, node.data, { recursive: true });
    if (mount("-t", "tmpfs", "-o", `size=${DISK_SIZE}`, "tmpfs", node.data)) {
      cpSync(before, node.data, { recursive: true });
      this.#diskOwner = node.name;
    }
    rmSync(before, { recursive: true });
  }

  /** What is on it stays readable, at the same place, if the folder is kept. */
  #takeDisk(name: string): void {
    const { data } = this.#cli.node(name);
    const after = `${data}.after`;
    cpSync(data, after, { recursive: true });
    spawnSync("umount", [data]);
    cpSync(after, data, { recursive: true });
    rmSync(after, { recursive: true });
  }

  #clockOf(name: string): { readonly [name: string]: string } {
    if (this.#faketime === undefined) return {};
    if (!existsSync(this.#clockFile(name))) this.setClock(name, 0);
    return {
      LD_PRELOAD: this.#faketime,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile(name),
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  #clockFile(name: string): string {
    return this.beside(`${name}.clock`);
  }
}

function mount(...args: readonly string[]): boolean {
  return spawnSync("mount", args).status === 0;
}
