/** `neo config get` */
import { configKey, ruleOf } from "../../core/config_keys.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { currentConfig } from "../config_questions.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  key: is.text,
  type: is.word("integer", "choice", "list"),
  unit: is.text,
  least: is.number,
  most: is.number,
  word: is.optional(is.anything),
  clusterOnly: is.optional(is.flag),
  choices: is.list(is.text),
  default: is.text,
  roles: is.list(is.text),
  live: is.said("Whether a change counts at once", is.flag),
  description: is.text,
  set: is.list(is.object({ scope: is.text, value: is.text })),
});

/** Shows one key. */
export default async function configGet(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
  name: string,
): Promise<void> {
  const key = configKey(name);
  if (key === undefined) {
    throw new CliError("notFound", `Cannot get ${name}: there is no such key`, {
      hint: "all keys: neo config list",
    });
  }
  const target = resolveTarget(flags.cluster, world);
  const { revision, settings } = await currentConfig(target, flags.wait);
  const set = settings.filter((setting) => setting.key === name).map(({ scope, value }) => ({
    scope,
    value,
  }));
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), revision, ...key, set });
  }
  const unit = key.unit === "" ? "" : ` ${key.unit}`;
  output.print(`${output.style("bold", name)}: ${key.description}`);
  output.print(
    `  for ${key.roles.join(", ")}; ${key.live ? "counts at once" : "counts when a node starts again"}`,
  );
  output.print(`  ${ruleOf(key)}; default ${key.default || "none"}${unit}`);
  for (const { scope, value } of set) output.print(`  set for ${scope}: ${value}${unit}`);
  if (set.length === 0) output.print("  not set");
}
