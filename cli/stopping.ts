/** Stopping processes: in order if they can, by force if they must. */
import { DatabaseError } from "../core/errors.ts";
import { STOP_GRACE_MS, TERM_WAIT_MS_MIN } from "../core/limits.ts";
import { askStop } from "./ask.ts";
import { processesOf, uriOf } from "./config.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { allGone, endProcesses, runningPidOf } from "./daemons.ts";
import { clearPidFile } from "./pid_file.ts";
import { monoMs } from "./wait.ts";

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
  const endMs = monoMs() + withinMs;
  const running = groups.filter((group) => runningPidOf(group) !== undefined);
  const files = running.flatMap((group) => runningPidOf(group) ?? []);
  if (files.length > 0) {
    cli.output.note(`Stopping ${running.map(({ name }) => name).join(", ")}`);
    const isWhole = groups.length === processesOf(config).length;
    if (isWhole && await stopThroughPrimary(cli, config, running, withinMs)) {
      await allGone(files, STOP_GRACE_MS);
    }
    const killed = await endProcesses(files, Math.max(TERM_WAIT_MS_MIN, endMs - monoMs()));
    for (const { name, pid } of killed) {
      cli.output.warn(
        `${name} didn't end in time and was killed (process ${pid}); what was committed is safe`,
      );
    }
  }
  for (const { nodes } of groups) nodes.forEach(clearPidFile);
  return running;
}

/** Whether the primary has stopped the cluster; storages that it knows are ending too. */
async function stopThroughPrimary(
  cli: Cli,
  config: ClusterConfig,
  running: readonly ProcessConfig[],
  withinMs: number,
): Promise<boolean> {
  const hasMaster = ({ nodes }: ProcessConfig) => nodes.some(({ role }) => role === "master");
  const master = running.filter(hasMaster).flatMap((group) => runningPidOf(group) ?? []);
  if (master.length === 0) return false;
  try {
    const target = { kind: "folder", config, uri: uriOf(config) } as const;
    // Its answer may be lost with the connection: that its process has ended says as much.
    const giveUp = allGone(master, withinMs).then(() => {});
    await askStop(target, { withinMs, giveUp });
    return true;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    if (await allGone(master, 0)) return true;
    cli.output.warn(`the primary can't be asked to stop, so nodes are ended one by one: ${error.message}`);
    return false;
  }
}
