/** `neo cluster audit` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { inLine } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  actions: is.list(is.object({
    number: is.count,
    time: is.time,
    author: is.said("Who says to have asked for it", is.text),
    holder: is.said("Whom a certificate shows; empty without TLS", is.text),
    action: is.text,
    target: is.text,
    refusal: is.said("Empty: done", is.text),
  })),
});

/** Lists what operators have done, and tried to do. */
export default async function clusterAudit(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number; readonly count: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { entries } = await askPrimary("listAudit", { before: null, count: flags.count }, target, {
    withinMs: flags.wait,
  });
  const actions = entries.map(({ atMs, ...rest }) => ({ ...rest, time: new Date(atMs).toISOString() }));
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), actions });
  if (actions.length === 0) output.print("No operator has done anything yet");
  for (const { number, time, author, holder, action, target, refusal } of actions) {
    const who = [author, holder === "" ? "" : `(${holder})`].filter((text) => text !== "").join(" ");
    const what = target === "" ? action : `${action} ${target}`;
    const shown = output.style("bold", inLine(what));
    output.print(`${String(number).padStart(4)}  ${time}  ${inLine(who)}: ${shown}`);
    if (refusal !== "") output.print(`      ${output.style("red", "not done:")} ${inLine(refusal)}`);
  }
}
