/** Starting processes, and knowing when they are there. */
import { UnreachableError } from "../core/errors.ts";
import { PROCESS_START_MS } from "../core/limits.ts";
import { askStatus } from "./ask.ts";
import type { ClusterStatus } from "./ask.ts";
import { isHere, processesOf, uriOf } from "./config.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { runningPidOf, spawnProcess } from "./daemons.ts";
import type { Spawned } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { monoMs, until } from "./wait.ts";

/** What starting has come to. */
export interface StartResult {
  /** Processes that were begun now; the others ran already. */
  readonly started: readonly ProcessConfig[];
  /** Undefined when only some nodes of the cluster run, so that nobody waited for the whole. */
  readonly status: ClusterStatus | undefined;
  /** Whether everything is as it should be. */
  readonly reached: boolean;
}

/**
 * Starts those of the processes that don't run, and waits: for the whole cluster when all of it was started, else for
 * the processes themselves. `alone`: only for these, though the others run.
 *
 * @throws CliError (`failed`) with the end of its log when a process ends instead
 */
export async function startProcesses(
  cli: Cli,
  config: ClusterConfig,
  groups: readonly ProcessConfig[],
  withinMs: number,
  options: { readonly alone?: boolean } = {},
): Promise<StartResult> {
  const endMs = monoMs() + withinMs;
  const started = groups.filter((group) => runningPidOf(group) === undefined);
  if (started.length > 0) cli.output.note(`Starting ${namesOf(started).join(", ")}`);
  const watch = new Watch(started.map((group) => spawnProcess(config, group, cli.world)), endMs);
  const names = started.map(({ name }) => name);
  const others = processesOf(config).filter(({ name }) => !names.includes(name));
  const all = options.alone !== true && others.every((group) => runningPidOf(group) !== undefined);
  try {
    const status = all ? await watch.untilRunning(config) : undefined;
    const running = !all || status?.state === "running";
    return { started, status, reached: running && await watch.untilListening(groups) };
  } finally {
    await watch.untilKnown();
  }
}

/** Names of all nodes of some processes. */
export function namesOf(groups: readonly ProcessConfig[]): string[] {
  return groups.flatMap(({ nodes }) => nodes.map(({ name }) => name));
}

/** Waits for processes to do what they were begun for, and notices when they end instead. */
class Watch {
  readonly #endMs: number;
  #spawned: readonly Spawned[];

  constructor(spawned: readonly Spawned[], endMs: number) {
    this.#spawned = spawned;
    this.#endMs = endMs;
  }

  /** Waits for the cluster to run with all its storages; gives the last that its primary said. */
  async untilRunning(config: ClusterConfig): Promise<ClusterStatus | undefined> {
    const here = config.nodes.filter((node) => node.role === "storage" && isHere(config, node));
    const names = new Set(here.map(({ name }) => name));
    const isWanted = ({ state, nodes }: ClusterStatus) => {
      // one that was dropped, that was never added, or that another machine runs isn't waited for
      const members = nodes.filter(({ index, name }) => index > 0 && names.has(name));
      return state === "running" && members.every((node) => node.state === "running");
    };
    const target = { kind: "folder", config, uri: uriOf(config) } as const;
    for (;;) {
      const ended = this.#spawned.map(({ ended }) => ended);
      const giveUp = ended.length > 0 ? { giveUp: Promise.race(ended) } : {};
      const status = await orUnreachable(
        askStatus(target, { withinMs: this.#leftMs(), isWanted, ...giveUp }),
      );
      this.#checkEnded();
      if ((status !== undefined && isWanted(status)) || this.#leftMs() === 0) return status;
    }
  }

  /** Waits for processes to have opened all their nodes. */
  async untilListening(groups: readonly ProcessConfig[]): Promise<boolean> {
    const isThere = () => {
      this.#checkEnded();
      return groups.every((group) => runningPidOf(group, { listens: true }) !== undefined);
    };
    return await until(isThere, this.#leftMs());
  }

  /** Waits for processes to have left word of themselves, however it went: else `stop` wouldn't find them. */
  async untilKnown(): Promise<void> {
    const isKnown = ({ process, outcome }: Spawned) =>
      outcome() !== undefined || runningPidOf(process) !== undefined;
    await until(() => this.#spawned.every(isKnown), PROCESS_START_MS);
  }

  #leftMs(): number {
    return Math.max(0, this.#endMs - monoMs());
  }

  /** A process may end because another of the same nodes was quicker, when two people start at once: that is fine. */
  #checkEnded(): void {
    const ended = this.#spawned.filter((spawned) => spawned.outcome() !== undefined);
    this.#spawned = this.#spawned.filter((spawned) => spawned.outcome() === undefined);
    for (const { process, outcome, log } of ended) {
      if (runningPidOf(process) !== undefined) continue;
      const lines = log().map((line) => `  ${line}`);
      const shown = lines.length > 0 ? `; the end of its log:\n${lines.join("\n")}` : "; its log is empty";
      throw new CliError("failed", `Cannot start ${process.name}: ${outcome()}${shown}`);
    }
  }
}

async function orUnreachable(answer: Promise<ClusterStatus>): Promise<ClusterStatus | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof UnreachableError) return undefined;
    throw error;
  }
}
