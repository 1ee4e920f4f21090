/** `neo config history` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import { changeLine, shownRevision, viewOfRevision } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { inLine } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, revisions: is.list(shownRevision) });

/** Who has changed what, when and why. */
export default async function configHistory(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number; readonly count: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const body = { before: null, count: flags.count };
  const { revisions } = await askPrimary("configHistory", body, target, { withinMs: flags.wait });
  const shown = revisions.map(viewOfRevision);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), revisions: shown });
  }
  if (shown.length === 0) output.print("Nothing was ever set");
  for (const { revision, time, author, reason, changes } of shown) {
    output.print(
      `${output.style("bold", `revision ${revision}`)} ${time} ${
        inLine(reason === "" ? author : `${author}: ${reason}`)
      }`,
    );
    for (const change of changes) output.print(changeLine(change));
  }
}
