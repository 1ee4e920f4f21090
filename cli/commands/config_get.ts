/** `neo config get` */
import { configKey, ruleOf } from "../../core/config_keys.ts";
import { currentConfig } from "../config_questions.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

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
  if (output.json) return output.printJson({ cluster: clusterNameOf(target), revision, ...key, set });
  const unit = key.unit === "" ? "" : ` ${key.unit}`;
  output.print(`${output.style("bold", name)}: ${key.description}`);
  output.print(
    `  for ${key.roles.join(", ")}; ${key.live ? "counts at once" : "counts when a node starts again"}`,
  );
  output.print(`  ${ruleOf(key)}; default ${key.default || "none"}${unit}`);
  for (const { scope, value } of set) output.print(`  set for ${scope}: ${value}${unit}`);
  if (set.length === 0) output.print("  not set");
}
