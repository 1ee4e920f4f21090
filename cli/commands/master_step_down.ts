/** `neo master step-down` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  before: is.optional(is.said("The primary until now", is.text)),
  primary: is.optional(is.text),
});

/** Has another master become the primary, and waits until one has. */
export default async function masterStepDown(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const before = await askPrimary("listMasters", {}, target, { withinMs: flags.wait });
  const old = before.masters.find(({ isPrimary }) => isPrimary)?.name;
  await askPrimary("stepDown", {}, target, { withinMs: flags.wait, once: true });
  const { masters } = await askPrimary("listMasters", {}, target, {
    withinMs: flags.wait,
    isWanted: (answer) => answer.masters.some(({ name, isPrimary }) => isPrimary && name !== old),
  });
  const primary = masters.find(({ isPrimary }) => isPrimary)?.name;
  const cluster = clusterNameOf(target);
  if (primary === old) {
    const hint = "see what the others do: neo master list";
    throw new CliError("waiting", `Cannot see another primary yet: it is still ${old}`, { hint });
  }
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster, before: old, primary });
  output.print(`${output.style("bold", cluster)}: ${primary} is the primary, in place of ${old}`);
  output.print(`Next: ${nextCommand("status", flags)}`);
}
