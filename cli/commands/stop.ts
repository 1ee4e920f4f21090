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

/** Stops what runs. A cluster elsewhere is asked to stop as a whole. */
export default async function stop(
  cli: Cli,
  flags: CommonFlags & { readonly wait: number },
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
    if (lone > 0) {
      output.warn(`nobody can read ${lone} partitions, or write there, until it is started again`);
    }
  }
  const stopped = namesOf(await stopProcesses(cli, config, selectProcesses(config, names), flags.wait));
  if (output.json) output.printJson<Of<typeof answer>>({ cluster: config.cluster, stopped, asked: true });
  else {
    const what = stopped.length === 0 ? "nothing ran" : `stopped ${stopped.join(", ")}`;
    output.print(`${output.style("bold", config.cluster)}: ${what}`);
    output.print(`Next: ${nextCommand("start", flags)}`);
  }
}
