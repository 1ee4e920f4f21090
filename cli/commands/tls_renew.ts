/** `neo tls renew` */
import { CERTIFICATE_WARN_DAYS } from "../../core/limits.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { hostsOf } from "../certify.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { issue, list } from "../tls_folder.ts";
import type { Holder, Listed } from "../tls_folder.ts";
import { certificate, clusterWithTls, dayOf, selected, shownOf } from "../tls_view.ts";

type Flags = CommonFlags & { readonly all: boolean; readonly days: number };

const DAY_MS = 24 * 3_600_000;

/** What `--json` prints. */
export const answer = is.object({ cluster: is.text, renewed: is.list(certificate), next: is.step });

/** Makes new certificates in place of those that end soon, of those that are named, or of all. */
export default async function tlsRenew(
  { output, world }: Cli,
  flags: Flags,
  ...names: string[]
): Promise<void> {
  const { cluster, tls, nodes } = clusterWithTls(flags, world);
  if (flags.all && names.length > 0) {
    throw new CliError("usage", "Cannot renew all and some: name none with --all");
  }
  const soonMs = Date.now() + CERTIFICATE_WARN_DAYS * DAY_MS;
  const current = list(tls).filter(({ isOld, role }) => !isOld && role !== "");
  const due = names.length > 0
    ? names.flatMap((name) => selected(current, name))
    : current.filter(({ untilMs }) => flags.all || untilMs < soonMs);
  const made: Listed[] = [];
  for (const { role, name } of due) {
    const node = nodes.find((one) => one.name === name && one.role === role);
    made.push(
      await issue(
        { folder: tls, cluster, days: flags.days },
        { role, name } as Holder,
        node && hostsOf(node),
      ),
    );
  }
  const next = nextCommand("tls list", flags);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      renewed: made.map((one) => shownOf(one, Date.now(), undefined)),
      next,
    });
  }
  if (made.length === 0) {
    output.print(`No certificate ends within ${CERTIFICATE_WARN_DAYS} days; --all renews them anyway`);
  }
  for (const { role, name, untilMs } of made) {
    output.print(`Renewed ${role} ${name}, valid until ${dayOf(untilMs)}`);
  }
  if (made.length > 0) {
    output.print(
      "Nodes take them at their next connection, without a restart; the old ones stay valid until they end",
    );
    output.print(`Next: ${next}`);
  }
}
