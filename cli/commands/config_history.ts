/** `neo config history` */
import { askPrimary } from "../ask.ts";
import { changeLine } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** Who has changed what, when and why. */
export default async function configHistory(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number; readonly count: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const body = { before: null, count: flags.count };
  const { revisions } = await askPrimary("configHistory", body, target, { withinMs: flags.wait });
  const shown = revisions.map(({ number, atMs, ...rest }) => ({
    revision: number,
    time: isoOf(atMs),
    ...rest,
  }));
  if (output.json) return output.printJson({ cluster: clusterNameOf(target), revisions: shown });
  if (shown.length === 0) output.print("Nothing was ever set");
  for (const { revision, time, author, reason, changes } of shown) {
    output.print(
      `${output.style("bold", `revision ${revision}`)} ${time} ${author}${
        reason === "" ? "" : `: ${reason}`
      }`,
    );
    for (const change of changes) output.print(changeLine(change));
  }
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
