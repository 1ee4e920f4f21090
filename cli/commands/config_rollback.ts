/** `neo config rollback` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { authorOf } from "../author.ts";
import { changeConfig, configAt } from "../config_questions.ts";
import { changeLine, changesTo, shownChange, stillRevoking } from "../config_view.ts";
import type { Cli } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import type { ChangeFlags } from "./config_set.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  as: is.said("The revision that it says again", is.count),
  changes: is.list(shownChange),
});

/** Makes a new revision that says what an earlier one said. */
export default async function configRollback(
  { output, world }: Cli,
  flags: ChangeFlags,
  revision: number,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { newest, settings, now } = await configAt(target, revision, flags.wait);
  const changes = changesTo(stillRevoking(settings, now, output), now);
  const cluster = clusterNameOf(target);
  const { ifRevision: base = newest, reason = `back to revision ${revision}` } = flags;
  const change = { changes, base, author: authorOf(world.env), reason };
  const made = changes.length === 0 ? newest : await changeConfig(target, change, flags.wait);
  const shown = changes.map(({ scope, key, value: after }) => {
    const before = now.find((setting) => setting.scope === scope && setting.key === key)?.value ?? null;
    return { scope, key, before, after };
  });
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster, revision: made, as: revision, changes: shown });
  }
  const what = changes.length === 0 ? "is as it was then" : `revision ${made} is as revision ${revision} was`;
  output.print(`${output.style("bold", cluster)}: the configuration ${what}`);
  for (const one of shown) output.print(changeLine(one));
}
