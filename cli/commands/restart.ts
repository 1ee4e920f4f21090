/** `neo restart` */
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { rollingRestart, whyNotRolling } from "../rolling.ts";
import { startProcesses } from "../starting.ts";
import { stopProcesses } from "../stopping.ts";
import { resolveFolder } from "../target.ts";
import { answer, showStart } from "./start.ts";

export { answer };

/** Restarts one node after another, while clients go on; or stops, then starts. Each step has the time of `--wait`. */
export default async function restart(
  cli: Cli,
  flags: CommonFlags & { readonly wait: number; readonly atOnce: boolean },
  ...names: string[]
): Promise<number> {
  const config = resolveFolder(flags.cluster, cli.world);
  const groups = selectProcesses(config, names);
  const why = flags.atOnce ? "" : await whyNotRolling(config, groups, flags.wait);
  const rolls = why === undefined;
  if (why !== undefined && why !== "") cli.output.warn(`restarts all at once, not one after another: ${why}`);
  if (!rolls) await stopProcesses(cli, config, groups, flags.wait);
  const result = rolls
    ? await rollingRestart(cli, config, groups, flags.wait)
    : await startProcesses(cli, config, groups, flags.wait);
  showStart(cli, config, flags, result);
  return result.reached ? exitCodes.ok : exitCodes.waiting;
}
