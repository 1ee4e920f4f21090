/** `neo config apply` */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { authorOf } from "../author.ts";
import { changeConfig, currentConfig } from "../config_questions.ts";
import { changeLine, changesTo, shownChange, stillRevoking } from "../config_view.ts";
import type { Cli } from "../context.ts";
import { CliError } from "../exit.ts";
import { settingsOfToml } from "../settings_file.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import type { ChangeFlags } from "./config_set.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  applied: is.flag,
  changes: is.list(shownChange),
});

/** Makes the configuration what a file says: what isn't there is set no more. */
export default async function configApply(
  { output, world }: Cli,
  flags: ChangeFlags & { readonly dryRun: boolean },
  file: string,
): Promise<void> {
  const path = resolve(world.cwd, file);
  const wanted = settingsOfToml(textAt(path), file);
  const target = resolveTarget(flags.cluster, world);
  const { revision: base, settings } = await currentConfig(target, flags.wait);
  const changes = changesTo(stillRevoking(wanted, settings, output), settings);
  const plan = changes.map(({ scope, key, value: after }) => {
    const before = settings.find((setting) => setting.scope === scope && setting.key === key)?.value ?? null;
    return { scope, key, before, after };
  });
  for (const one of plan) output.note(changeLine(one));
  const cluster = clusterNameOf(target);
  const isDone = !flags.dryRun && changes.length > 0;
  const { ifRevision = base, reason = `applied ${file}` } = flags;
  const change = { changes, base: ifRevision, author: authorOf(world.env), reason };
  const revision = isDone ? await changeConfig(target, change, flags.wait) : base;
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster, revision, applied: isDone, changes: plan });
  }
  const what = changes.length === 0
    ? "is as the file says"
    : isDone
    ? `is as the file says now, revision ${revision}`
    : `would change in ${changes.length} values`;
  output.print(`${output.style("bold", cluster)}: the configuration ${what}`);
}

function textAt(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError("usage", `Cannot read ${path}: ${why}`, { cause: error });
  }
}
