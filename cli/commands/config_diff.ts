/** `neo config diff` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { configAt } from "../config_questions.ts";
import { changeLine, changesTo, shownChange } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  from: is.count,
  to: is.count,
  changes: is.list(shownChange),
});

/** What is other in one revision than in another. */
export default async function configDiff(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
  from: number,
  to?: number,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const before = await configAt(target, from, flags.wait);
  const until = to ?? before.newest;
  const after = await configAt(target, until, flags.wait);
  const changes = changesTo(after.settings, before.settings).map(({ scope, key, value }) => {
    const was = before.settings.find((setting) => setting.scope === scope && setting.key === key)?.value
      ?? null;
    return { scope, key, before: was, after: value };
  });
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), from, to: until, changes });
  }
  output.print(`Revision ${from} -> ${until}: ${changes.length === 0 ? "nothing is other" : ""}`.trimEnd());
  for (const change of changes) output.print(changeLine(change));
}
