/** Stopping processes: in order if they can, by force if they must. */
import { DatabaseError } from "../core/errors.ts";
import { askStop } from "./ask.ts";
import { processesOf, uriOf } from "./config.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { allGone, endProcesses, runningPidOf } from "./daemons.ts";
import { clearPidFile, signalProcess } from "./pid_file.ts";
import { monoMs } from "./wait.ts";

/** Time to end after SIGTERM for what didn't end when the cluster was asked to stop. */
const TERM_WAIT_MS = 5_000;

/**
 * Stops the processes of this list that run: the whole cluster through its primary, which lets commits end first; some
 * nodes by SIGTERM. What still runs after `withinMs` is killed, with a warning.
 *
 * @returns the processes that ran
 */
export async function stopProcesses(
  cli: Cli,
  config: ClusterConfig,
  groups: readonly ProcessConfig[],
  withinMs: number,
): Promise<ProcessConfig[]> {
  const running = groups.filter((group) => runningPidOf(group) !== undefined);
  const files = running.flatMap((group) => runningPidOf(group) ?? []);
  if (files.length > 0) {
    cli.output.note(`Stopping ${running.map(({ name }) => name).join(", ")}`);
    const isWhole = groups.length === processesOf(config).length;
    const asked = isWhole && await stopThroughPrimary(cli, config, running, withinMs);
    const killed = await endProcesses(files, asked ? TERM_WAIT_MS : withinMs);
    for (const { name, pid } of killed) {
      cli.output.warn(
        `${name} didn't end in time and was killed (process ${pid}); what was committed is safe`,
      );
    }
  }
  for (const { nodes } of groups) nodes.forEach(clearPidFile);
  return running;
}

/** Whether the primary has stopped the cluster; then the processes have had the time to end, too. */
async function stopThroughPrimary(
  cli: Cli,
  config: ClusterConfig,
  running: readonly ProcessConfig[],
  withinMs: number,
): Promise<boolean> {
  const endMs = monoMs() + withinMs;
  const has = (role: string) => ({ nodes }: ProcessConfig) => nodes.some((node) => node.role === role);
  const master = running.filter(has("master")).flatMap((group) => runningPidOf(group) ?? []);
  if (master.length === 0) return false;
  try {
    const target = { kind: "folder", config, uri: uriOf(config) } as const;
    // Its answer may be lost with the connection: that its process has ended says as much.
    const giveUp = allGone(master, withinMs).then(() => {});
    await askStop(target, { withinMs, giveUp });
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (!await allGone(master, 0)) {
      cli.output.warn(`the primary can't be asked to stop, so nodes are ended one by one: ${error.message}`);
      return false;
    }
  }
  for (const group of running) {
    // Nobody else tells those that hold nothing.
    if (!has("master")(group) && !has("storage")(group)) signalProcess(runningPidOf(group), "SIGTERM");
  }
  await allGone(running.flatMap((group) => runningPidOf(group) ?? []), endMs - monoMs());
  return true;
}
