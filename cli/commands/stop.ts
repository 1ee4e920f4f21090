/** `neo stop` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askStop } from "../ask.ts";
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { loneCopies } from "../lone_copies.ts";
import { nextCommand } from "../next.ts";
import { namesOf } from "../starting.ts";
import { stopProcesses } from "../stopping.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, stopped: is.list(is.text), asked: is.exactly(true) });

/** Stops what runs, single storages only if all stays readable. A cluster elsewhere is asked to stop as a whole. */
export default async function stop(
  cli: Cli,
  flags: CommonFlags & { readonly wait: number; readonly yes: boolean },
  ...names: string[]
): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  if (target.kind === "uri") {
    if (names.length > 0) {
      throw new CliError(
        "usage",
        "Cannot stop single nodes of a cluster elsewhere: stop them on their machine",
      );
    }
    await askStop(target, { withinMs: flags.wait });
    if (output.json) {
      output.printJson<Of<typeof answer>>({ cluster: target.parsed.cluster, stopped: [], asked: true });
    } else output.print(`${target.parsed.cluster}: asked to stop`);
    return;
  }
  const { config } = target;
  if (names.length > 0) {
    const lone = await loneCopies(target, namesOf(selectProcesses(config, names)), flags.wait);
    const what = `nobody could read ${lone} partitions, or write there, until it is started again`;
    if (lone > 0 && !flags.yes) {
      throw new CliError("refused", `Cannot stop ${names.join(", ")}: ${what}`, {
        hint: `if that is what you want: ${nextCommand(`stop ${names.join(" ")} --yes`, flags)}`,
      });
    }
    if (lone > 0) output.warn(what);
  }
  const stopped = namesOf(await stopProcesses(cli, config, selectProcesses(config, names), flags.wait));
  if (output.json) output.printJson<Of<typeof answer>>({ cluster: config.cluster, stopped, asked: true });
  else {
    const what = stopped.length === 0 ? "nothing ran" : `stopped ${stopped.join(", ")}`;
    output.print(`${output.style("bold", config.cluster)}: ${what}`);
    output.print(`Next: ${nextCommand("start", flags)}`);
  }
}
