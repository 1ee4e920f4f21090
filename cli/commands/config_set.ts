/** `neo config set` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askStatus } from "../ask.ts";
import { authorOf } from "../author.ts";
import { changeConfig, currentConfig } from "../config_questions.ts";
import { assignmentOf, changeLine, scopeOf, shownChange } from "../config_view.ts";
import type { ValueChange } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** Flags of every command that makes a revision. */
export type ChangeFlags = CommonFlags & {
  readonly wait: number;
  readonly reason: string | undefined;
  readonly ifRevision: number | undefined;
};

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, revision: is.count, changes: is.list(shownChange) });

/** Sets values. */
export default async function configSet(
  cli: Cli,
  flags: ChangeFlags & { readonly role: string | undefined; readonly node: string | undefined },
  ...assignments: string[]
): Promise<void> {
  const scope = scopeOf(flags);
  await changeBy(cli, flags, assignments.map((text) => assignmentOf(text, scope)));
  if (flags.node !== undefined) await warnOfStranger(cli, flags, flags.node);
}

/** A name may be set before its node comes; more often it is misspelt. */
async function warnOfStranger({ output, world }: Cli, flags: ChangeFlags, node: string): Promise<void> {
  const { nodes } = await askStatus(resolveTarget(flags.cluster, world), { withinMs: flags.wait });
  if (nodes.some(({ name }) => name === node)) return;
  const known = nodes.map(({ name }) => name).join(", ");
  output.warn(`no node is called ${node}: it counts when one comes that is. There are ${known}`);
}

/** Makes a revision, and says what it has changed. */
export async function changeBy(
  { output, world }: Cli,
  flags: ChangeFlags,
  changes: readonly ValueChange[],
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { settings } = await currentConfig(target, flags.wait);
  const base = flags.ifRevision ?? null;
  const change = { changes, base, author: authorOf(world.env), reason: flags.reason ?? "" };
  const revision = await changeConfig(target, change, flags.wait);
  const cluster = clusterNameOf(target);
  const shown = changes.map(({ scope, key, value: after }) => {
    const before = settings.find((setting) => setting.scope === scope && setting.key === key)?.value ?? null;
    return { scope, key, before, after };
  });
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, revision, changes: shown });
  output.print(`${output.style("bold", cluster)}: configuration revision ${revision}`);
  for (const one of shown) output.print(changeLine(one));
  output.print(`Next: ${nextCommand("config status", flags)}`);
}
