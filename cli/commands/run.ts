/** `neo run`: the nodes of one process, in the foreground. `neo start` begins exactly this, apart from the terminal. */
import process from "node:process";
import { makeLog } from "../../adapters/log.ts";
import type { Log } from "../../adapters/log.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { selectProcesses } from "../config.ts";
import type { ClusterConfig, NodeConfig, ProcessConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { LOG_FILE_VARIABLE, runningPidOf } from "../daemons.ts";
import { CliError, exitCodes } from "../exit.ts";
import { startFollower } from "../follower.ts";
import type { RunningNode } from "../hosting.ts";
import { openNode } from "../nodes.ts";
import { claimPidFile, removePidFile, writePidFile } from "../pid_file.ts";
import { sdNotify } from "../sd_notify.ts";
import type { Notify } from "../sd_notify.ts";
import { resolveFolder } from "../target.ts";
import { VERSION } from "../version.ts";

/** What `--json` prints, once all nodes listen. */
export const answer = is.object({
  cluster: is.text,
  pid: is.count,
  nodes: is.list(is.object({ name: is.text, role: is.text, address: is.text })),
});

/** Runs until the nodes end, by themselves or because they are asked to. */
export default async function run(cli: Cli, flags: CommonFlags, name: string): Promise<number> {
  const config = resolveFolder(flags.cluster, cli.world);
  const group = selectProcesses(config, [name])[0]!;
  const other = runningPidOf(group);
  if (other !== undefined) {
    throw new CliError("failed", `Cannot run ${group.name}: process ${other.pid} runs it already`);
  }
  process.title = `neo: ${group.nodes.map((node) => `${node.role} ${node.name}`).join(", ")}`;
  return await new Run(cli, config, group).toTheEnd();
}

/** Nodes of one process: they begin and end together. */
class Run {
  readonly #cli: Cli;
  readonly #config: ClusterConfig;
  readonly #group: ProcessConfig;
  readonly #open: { readonly node: NodeConfig; readonly running: RunningNode; readonly log: Log }[] = [];
  #ending = false;
  /** A node that was up couldn't go on: its pid file stays, so that `status` shows a crash. */
  #crashed = false;
  #leave: (exitCode: number) => void = () => {};
  readonly #notify: Notify;

  constructor(cli: Cli, config: ClusterConfig, group: ProcessConfig) {
    this.#cli = cli;
    this.#config = config;
    this.#group = group;
    this.#notify = sdNotify(cli.world.env, process.pid, (...line) => this.#open[0]?.log(...line));
  }

  /** The exit code; throws what stood in a node's way. */
  async toTheEnd(): Promise<number> {
    const atOnce = new Promise<number>((resolve) => this.#leave = resolve);
    this.#claim();
    const unlisten = this.#cli.world.onSignal((signal) => this.#signalled(signal));
    this.#cli.world.onRequest?.((signal) => this.#requested(signal));
    try {
      return await Promise.race([atOnce, this.#inOrder()]);
    } finally {
      unlisten();
      if (!this.#crashed) { for (const node of this.#group.nodes) removePidFile(node); }
    }
  }

  /** Another process may have begun at the same moment. */
  #claim(): void {
    for (const node of this.#group.nodes) {
      const other = claimPidFile(node, VERSION);
      if (other === undefined) continue;
      for (const claimed of this.#group.nodes) removePidFile(claimed); // those that are ours
      throw new CliError("failed", `Cannot run ${node.name}: process ${other.pid} runs it already`);
    }
  }

  async #inOrder(): Promise<number> {
    try {
      for (const node of this.#group.nodes) if (!this.#ending) await this.#openNode(node);
      if (!this.#ending) this.#say();
    } catch (error) {
      this.#end();
      await Promise.all(this.#open.map(({ running }) => running.done));
      throw error;
    }
    const results = await Promise.all(this.#open.map(({ node, running }) =>
      running.done.then((result) => {
        this.#end();
        return { node, ...result };
      })
    ));
    const failed = results.find(({ error }) => error !== undefined);
    if (failed === undefined) return exitCodes.ok;
    this.#crashed = true;
    throw new CliError("failed", `Cannot go on as ${failed.node.role} ${failed.node.name}: ${failed.error}`);
  }

  /** All listen. A daemon's stdout is its log, which says so already. */
  #say(): void {
    void this.#notify("--ready", `--status=${this.#open.map(({ node }) => node.name).join(", ")} listens`);
    const { output, world } = this.#cli;
    if (!output.json || world.env[LOG_FILE_VARIABLE]) return;
    output.printJson<Of<typeof answer>>({
      cluster: this.#config.cluster,
      pid: process.pid,
      nodes: this.#open.map(({ node: { name, role }, running: { address } }) => ({ name, role, address })),
    });
  }

  async #openNode(node: NodeConfig): Promise<void> {
    const file = this.#cli.world.env[LOG_FILE_VARIABLE];
    const log = makeLog({ ...(file ? { file } : {}), node: node.name, role: node.role, level: "info" });
    const running = await openNode(node, this.#config, { log, follow: startFollower });
    this.#open.push({ node, running, log });
    writePidFile(node, { address: running.address, listens: true }, VERSION);
    log("info", `${node.role} ${node.name} listens`, {
      address: running.address,
      pid: process.pid,
      version: VERSION,
    });
    if (this.#ending) running.terminate();
  }

  /** Logs begin new files where theirs were moved away; or nodes say how they are. */
  #requested(signal: "SIGHUP" | "SIGUSR2"): void {
    for (const { running, log } of this.#open) {
      if (signal === "SIGHUP") log.reopen();
      else running.dump();
    }
  }

  /** The first signal asks for an end in order, the second ends at once. */
  #signalled(signal: "SIGINT" | "SIGTERM"): void {
    if (!this.#ending) this.#end();
    else this.#leave(signal === "SIGINT" ? exitCodes.interrupted : exitCodes.failed);
  }

  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    void this.#notify("--stopping");
    for (const { running } of this.#open) running.terminate();
  }
}
