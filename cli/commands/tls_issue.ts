/** `neo tls issue` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { hostsOf } from "../certify.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { credentialsOf, issue } from "../tls_folder.ts";
import type { Holder } from "../tls_folder.ts";
import { certificateFields, clusterWithTls, dayOf, shownOf } from "../tls_view.ts";

type Flags = CommonFlags & { readonly role: Holder["role"] | undefined; readonly days: number };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  ...certificateFields,
  files: is.object({ ca: is.text, cert: is.text, key: is.text }),
});

/** Makes a certificate for a client, an operator, or a node that has none here. */
export default async function tlsIssue({ output, world }: Cli, flags: Flags, name: string): Promise<void> {
  const { cluster, tls, nodes } = clusterWithTls(flags, world);
  const node = nodes.find((one) => one.name === name);
  const role = flags.role ?? node?.role ?? "client";
  if (node !== undefined && role !== "client" && role !== node.role) {
    throw new CliError("usage", `Cannot issue for ${name} as ${role}: it is a ${node.role}`);
  }
  const hosts = node !== undefined && node.role === role ? hostsOf(node) : [];
  const made = await issue({ folder: tls, cluster, days: flags.days }, { role, name }, hosts);
  const files = credentialsOf(tls, { role, name });
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster, ...shownOf(made, Date.now(), undefined), files });
  }
  output.print(`Made a certificate for ${role} ${name}, valid until ${dayOf(made.untilMs)}`);
  output.print("Who is to use it needs these three files:");
  for (const file of Object.values(files)) output.print(`  ${file}`);
}
