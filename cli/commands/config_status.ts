/** `neo config status` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { table } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  revision: is.count,
  same: is.said("Whether everybody who is there runs it", is.flag),
  nodes: is.list(is.object({
    name: is.text,
    role: is.text,
    revision: is.count,
    pending: is.said("Keys that count after a restart", is.list(is.text)),
    overrides: is.said("Keys that neo.toml overrides there", is.list(is.text)),
  })),
});

/** Who runs which revision, and whose changes wait for a restart. */
export default async function configStatus(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<number> {
  const target = resolveTarget(flags.cluster, world);
  const { revision, nodes } = await askPrimary("configStatus", {}, target, { withinMs: flags.wait });
  const isSame = nodes.every((node) => node.revision === revision && node.pending.length === 0);
  const code = isSame ? exitCodes.ok : exitCodes.degraded;
  if (output.json) {
    output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), revision, same: isSame, nodes });
    return code;
  }
  const behind = nodes.filter((node) => node.revision !== revision).length;
  const waiting = nodes.filter(({ pending }) => pending.length > 0).length;
  const words = [
    ...(behind > 0 ? [`${behind} are behind`] : []),
    ...(waiting > 0 ? [`${waiting} wait for a restart`] : []),
  ];
  output.print(
    `Revision ${revision}: ${words.length === 0 ? "everybody who is there runs it" : words.join(", ")}`,
  );
  const rows = nodes.map((node) => [
    node.name || "-",
    node.role,
    String(node.revision),
    node.pending.join(", ") || "-",
    node.overrides.join(", ") || "-",
  ]);
  const head = ["NAME", "ROLE", "REVISION", "AFTER A RESTART", "OVERRIDDEN THERE"];
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
  return code;
}
