/** `neo demo`: a whole cluster in this process, with a tour. */
import { makeLog } from "../../adapters/log.ts";
import { connect } from "../../mod.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli } from "../context.ts";
import { EmbeddedCluster } from "../embedded.ts";
import { CliError, exitCodes } from "../exit.ts";
import { Interrupt } from "../interrupt.ts";
import { planCluster } from "../plan.ts";
import { tour } from "../tour.ts";
import type { Pages, TourResult } from "../tour.ts";

type Flags = { readonly once: boolean; readonly json: boolean };

const NAME = "demo";
/** Few enough that a digest of each is quick. */
const PARTITIONS = 12;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  uri: is.text,
  commits: is.list(is.object({ tid: is.id, description: is.text })),
  now: is.byName(is.text),
  past: is.byName(is.text),
  replicas: is.list(is.object({ node: is.text, rows: is.count, digest: is.text })),
  replicasEqual: is.flag,
});

/** Shows what neo does. Stays until Ctrl-C unless it is told to go. */
export default async function demo(cli: Cli, flags: Flags): Promise<number> {
  const interrupt = new Interrupt(cli.world);
  let cluster: EmbeddedCluster | undefined;
  try {
    cluster = await openCluster(cli);
    const { failure } = cluster;
    const failed = failure.then((error) => Promise.reject(new CliError("failed", `Cannot go on: ${error}`)));
    await Promise.race([guide(cli, cluster), interrupt.first, failed]);
    if (interrupt.came) return exitCodes.interrupted;
    if (!flags.once) {
      cli.output.note(`It stays until Ctrl-C. Elsewhere, try: neo tx list -C ${cluster.uri}`);
      await Promise.race([interrupt.first, failed]);
    }
    return exitCodes.ok;
  } finally {
    await Promise.race([cluster?.close(), interrupt.second]);
    cluster?.remove();
    interrupt.off();
  }
}

async function openCluster({ output }: Cli): Promise<EmbeddedCluster> {
  const nothing = { name: NAME, masters: undefined, storages: 2, replicas: 1, single: true };
  output.note("Making a cluster: 1 master, 2 storages with a copy of everything each, 1 admin, on SQLite");
  const log = makeLog({ node: NAME, role: "demo", level: "error" });
  const plan = planCluster({ ...nothing, partitions: PARTITIONS });
  // a function of its own: the configuration of the cluster sets the level of its log, and a tour is no log
  return await EmbeddedCluster.open(NAME, plan, (level, text, facts) => log(level, text, facts));
}

async function guide({ output }: Cli, { uri }: EmbeddedCluster): Promise<void> {
  const client = await connect(uri);
  try {
    const say = (line: string) => output.json || output.print(line);
    say(`The cluster runs at ${output.style("bold", uri)}`);
    const seen = await tour(client, say);
    if (output.json) output.printJson<Of<typeof answer>>({ cluster: NAME, uri, ...seen });
    else for (const line of linesOf(seen)) output.print(line);
    if (!seen.replicasEqual) throw new CliError("failed", "Cannot end the tour well: the replicas differ");
  } finally {
    await client.close();
  }
}

function linesOf({ now, past, commits, replicas, replicasEqual }: TourResult): string[] {
  return [
    "The wiki now:",
    ...pageLines(now),
    `The wiki as it was at ${commits[0]?.tid}:`,
    ...pageLines(past),
    "Both storages hold the same:",
    ...replicas.map(({ node, rows, digest }) => `  ${node}  ${rows} rows  ${digest}`),
    replicasEqual ? "The digests are equal." : "The digests differ.",
  ];
}

function pageLines(pages: Pages): string[] {
  return Object.entries(pages).map(([title, text]) => `  ${title}: ${text}`);
}
