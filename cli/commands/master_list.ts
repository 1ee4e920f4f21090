/** `neo master list` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  masters: is.list(is.object({
    index: is.count,
    name: is.text,
    address: is.text,
    state: is.text,
    votes: is.flag,
    isPrimary: is.flag,
  })),
});

/** Lists the masters of a cluster. */
export default async function masterList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { masters } = await askPrimary("listMasters", {}, target, { withinMs: flags.wait });
  if (output.json) return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), masters });
  const head = ["MASTER", "STATE", "ADDRESS", "PART"].map((text) => ({ text, style: "dim" as Style }));
  const rows = masters.map(({ name, state, address, isPrimary, votes }) => [
    name,
    { text: state, style: (state === "running" ? "green" : "red") as Style },
    address,
    isPrimary ? "primary" : votes ? "votes" : "takes the log",
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
}
