/** `neo restart` */
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { startProcesses } from "../starting.ts";
import { stopProcesses } from "../stopping.ts";
import { resolveFolder } from "../target.ts";
import { showStart } from "./start.ts";

/** Stops, then starts; each has the time of `--wait`. */
export default async function restart(
  cli: Cli,
  flags: CommonFlags & { readonly wait: number },
  ...names: string[]
): Promise<number> {
  const config = resolveFolder(flags.cluster, cli.world);
  const groups = selectProcesses(config, names);
  await stopProcesses(cli, config, groups, flags.wait);
  const result = await startProcesses(cli, config, groups, flags.wait);
  showStart(cli, config, flags, result);
  return result.reached ? exitCodes.ok : exitCodes.waiting;
}
