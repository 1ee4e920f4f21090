/** `neo config export` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { currentConfig } from "../config_questions.ts";
import { tomlOfSettings } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  settings: is.list(is.object({ scope: is.text, key: is.text, value: is.text })),
});

/** Prints what is set, as `config apply` reads it. */
export default async function configExport(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { revision, settings } = await currentConfig(target, flags.wait);
  const cluster = clusterNameOf(target);
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, revision, settings });
  output.print(`# Configuration of ${cluster}, revision ${revision}. Read it with: neo config apply FILE`);
  output.print(tomlOfSettings(settings).trim());
}
