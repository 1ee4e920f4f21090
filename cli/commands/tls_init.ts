/** `neo tls init` */
import { join } from "node:path";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { certifyCluster } from "../certify.ts";
import { processesOf } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { runningPidOf } from "../daemons.ts";
import { CliError } from "../exit.ts";
import { rewrite } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { resolveFolder } from "../target.ts";
import { list } from "../tls_folder.ts";
import { certificate, shownOf } from "../tls_view.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  folder: is.text,
  certificates: is.list(certificate),
  next: is.step,
});

/** Makes an authority and certificates for a cluster that has none. */
export default async function tlsInit({ output, world }: Cli, flags: CommonFlags): Promise<void> {
  const config = resolveFolder(flags.cluster, world);
  if (config.tls !== undefined) {
    const hint = `see them: ${nextCommand("tls list", flags)}`;
    throw new CliError(
      "refused",
      `Cannot make certificates for ${config.cluster}: it has some in ${config.tls}`,
      { hint },
    );
  }
  if (processesOf(config).some((group) => runningPidOf(group) !== undefined)) {
    const hint = `stop it first: ${nextCommand("stop", flags)}`;
    throw new CliError(
      "refused",
      `Cannot make certificates for ${config.cluster}: nodes run, and those without don't talk to those with`,
      { hint },
    );
  }
  const tls = join(config.folder, "tls");
  await certifyCluster({ ...config, tls });
  rewrite(config.folder, (text) => text.replace(/^(?=[ \t]*\[)/m, 'tls = "tls"\n\n'));
  const made = list(tls).map((one) => shownOf(one, Date.now(), undefined));
  const next = nextCommand("start", flags);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster: config.cluster,
      folder: tls,
      certificates: made,
      next,
    });
  }
  output.print(`Made ${made.length} certificates in ${tls}`);
  output.print("ca.key there signs others: keep it where nobody else can read it, nodes don't need it");
  output.print(`Next: ${next}`);
}
