/** `neo config diff` */
import { configAt } from "../config_questions.ts";
import { changeLine, changesTo } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

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
  if (output.json) return output.printJson({ cluster: clusterNameOf(target), from, to: until, changes });
  output.print(`Revision ${from} -> ${until}: ${changes.length === 0 ? "nothing is other" : ""}`.trimEnd());
  for (const change of changes) output.print(changeLine(change));
}
