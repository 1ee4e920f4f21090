/** Processes of nodes: begun apart from the terminal, watched while they begin, ended in order or by force. */
import { spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { KILL_WAIT_MS, LOG_LINES_SHOWN } from "../core/limits.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import type { World } from "./context.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import { lastLines, logFileOf } from "./log_tail.ts";
import { confined, permissionsOf } from "./permissions.ts";
import {
  clearPidFile,
  isRunning,
  processInfo,
  processStateOf,
  signalProcess,
  START_TIME_VARIABLE,
} from "./pid_file.ts";
import type { PidFile } from "./pid_file.ts";
import { until } from "./wait.ts";

/** A process that was begun just now. */
export interface Spawned {
  readonly process: ProcessConfig;
  /** Fulfilled when it has ended. */
  readonly ended: Promise<void>;
  /** How it ended; undefined while it runs. */
  outcome(): string | undefined;
  /** What it has logged since it began, the end of it. */
  log(): string[];
}

/** The pid file of a process that runs; with `listens`, only once all its nodes do. */
export function runningPidOf(
  group: ProcessConfig,
  options: { readonly listens?: boolean } = {},
): PidFile | undefined {
  const files = group.nodes.map(processStateOf).flatMap((found) =>
    found.state === "running" ? [found.file] : []
  );
  const listening = files.filter(({ listens }) => listens).length;
  return options.listens === true && listening < group.nodes.length ? undefined : files[0];
}

/** Tells a process where its nodes log; without it they log on stderr, for people. */
export const LOG_FILE_VARIABLE = "NEO_LOG_FILE";

/** Begins a process that outlives this one and its terminal. What it prints goes to its log. */
export function spawnProcess(config: ClusterConfig, group: ProcessConfig, world: World): Spawned {
  const [program, ...args] = world.self;
  if (program === undefined) {
    throw new CliError("failed", "Cannot start nodes: this program can't start itself");
  }
  const path = logFileOf(config, group.name);
  mkdirSync(dirname(path), { recursive: true });
  const log = openSync(path, "a");
  const logStart = fstatSync(log).size;
  for (const node of group.nodes) clearPidFile(node); // it can't look itself whether the one before still runs
  const command = confined(args, permissionsOf(config, group));
  // who is confined may not look when it began, and is told
  const told = command.length === args.length ? {} : { [START_TIME_VARIABLE]: "stdin" };
  const child = spawn(program, [...command, "run", group.name, "--json", "--cluster", config.folder], {
    cwd: config.folder,
    detached: true,
    // a daemon talks to its cluster only
    env: { ...world.env, DENO_NO_UPDATE_CHECK: "1", [LOG_FILE_VARIABLE]: path, ...told },
    stdio: ["pipe", log, log],
  });
  child.stdin?.on("error", () => {}); // it has ended already: that is seen below
  child.stdin?.end(`${child.pid === undefined ? 0 : processInfo(child.pid)?.startTime ?? 0}\n`);
  closeSync(log);
  child.unref();
  let outcome: string | undefined;
  const ended = new Promise<void>((resolve) => {
    const end = (how: string) => {
      outcome = how;
      resolve();
    };
    child.once(
      "exit",
      (code, signal) => end(signal === null ? `it ended with ${code}` : `${signal} ended it`),
    );
    child.once("error", (error) => end(systemCodeOf(error) ?? error.message));
  });
  return {
    process: group,
    ended,
    outcome: () => outcome,
    log: () => lastLines(path, LOG_LINES_SHOWN, logStart),
  };
}

/**
 * Ends processes: SIGTERM, so that they end in order, and SIGKILL for those that still run after `withinMs`.
 *
 * @returns those that had to be killed
 */
export async function endProcesses(files: readonly PidFile[], withinMs: number): Promise<PidFile[]> {
  const asked = files.filter((file) => signalProcess(file, "SIGTERM"));
  if (await allGone(asked, withinMs)) return [];
  const killed = asked.filter((file) => signalProcess(file, "SIGKILL"));
  if (await allGone(killed, KILL_WAIT_MS)) return killed;
  const pids = killed.map(({ pid }) => pid).join(", ");
  throw new CliError("failed", `Cannot stop all nodes: the system doesn't end process ${pids}`, {
    hint: "its disk may hang; look at the machine",
  });
}

/** Waits until processes are gone. */
export function allGone(files: readonly PidFile[], withinMs: number): Promise<boolean> {
  return until(() => files.every((file) => !isRunning(file)), withinMs);
}
