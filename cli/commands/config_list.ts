/** `neo config list` */
import { configKeys } from "../../core/config_keys.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { currentConfig } from "../config_questions.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { nextCommand } from "../next.ts";
import { table } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  keys: is.list(is.object({
    key: is.text,
    type: is.word("integer", "choice", "list"),
    unit: is.text,
    default: is.text,
    roles: is.list(is.text),
    live: is.said("Whether a change counts at once", is.flag),
    description: is.text,
    value: is.text,
    scope: is.said("default, cluster, role:ROLE or node:NAME", is.text),
  })),
});

/** Lists every key: what it is, what is set for it and where. */
export default async function configList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number; readonly set: boolean },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { revision, settings } = await currentConfig(target, flags.wait);
  const rows = configKeys.flatMap(({ key, type, unit, roles, live, description, ...rest }) => {
    const set = settings.filter((setting) => setting.key === key);
    const shown = { key, type, unit, default: rest.default, roles, live, description };
    const all = set.map(({ scope, value }) => ({ ...shown, value, scope }));
    if (flags.set || all.some(({ scope }) => scope === "cluster")) return all;
    return [{ ...shown, value: rest.default, scope: "default" }, ...all];
  });
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), revision, keys: rows });
  }
  const lines = rows.map(({ key, value, unit, scope, live }) => [
    key,
    `${value}${unit === "" ? "" : ` ${unit}`}`,
    scope,
    live ? "live" : "restart",
  ]);
  const head = ["KEY", "VALUE", "SET FOR", "COUNTS"];
  for (const line of table([head, ...lines], (style, text) => output.style(style, text))) output.print(line);
  output.print(`Revision ${revision}. What a key is: ${nextCommand("config get KEY", flags)}`);
}
