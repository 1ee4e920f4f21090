/** `neo start` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { selectProcesses, uriOf } from "../config.ts";
import type { ClusterConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { runningPidOf } from "../daemons.ts";
import { exitCodes } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { namesOf, startProcesses } from "../starting.ts";
import type { StartResult } from "../starting.ts";
import { resolveFolder } from "../target.ts";

type Flags = CommonFlags & { readonly wait: number };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  state: is.text,
  uri: is.text,
  started: is.list(is.text),
  nodes: is.list(is.object({ name: is.text, role: is.text, address: is.text, pid: is.nullable(is.count) })),
});

/** Starts what doesn't run. */
export default async function start(cli: Cli, flags: Flags, ...names: string[]): Promise<number> {
  const config = resolveFolder(flags.cluster, cli.world);
  const result = await startProcesses(cli, config, selectProcesses(config, names), flags.wait);
  showStart(cli, config, flags, result);
  return result.reached ? exitCodes.ok : exitCodes.waiting;
}

/** Says what starting has come to. */
export function showStart({ output }: Cli, config: ClusterConfig, flags: Flags, result: StartResult): void {
  const { started, status, reached } = result;
  const state = status?.state ?? (reached ? "started" : "starting");
  if (output.json) {
    output.printJson<Of<typeof answer>>({
      cluster: config.cluster,
      state,
      uri: uriOf(config),
      started: namesOf(started),
      nodes: selectProcesses(config, []).flatMap((group) => {
        const pid = runningPidOf(group)?.pid ?? null;
        return group.nodes.map(({ name, role, address }) => ({ name, role, address, pid }));
      }),
    });
    return;
  }
  const what = started.length === 0 ? "nothing to start" : `started ${namesOf(started).join(", ")}`;
  output.print(`${output.style("bold", config.cluster)}: ${what}; ${describe(state, reached)}`);
  if (!reached && status?.waitingFor) output.note(`It waits for ${status.waitingFor}`);
  output.print(`URI: ${uriOf(config)}`);
  output.print(`Next: ${nextCommand("status", flags)}`);
}

function describe(state: string, reached: boolean): string {
  if (!reached) return `not running yet after the time of --wait: ${state}`;
  return state === "started" ? "the nodes listen" : `the cluster is ${state}`;
}
