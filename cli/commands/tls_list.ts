/** `neo tls list` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { list } from "../tls_folder.ts";
import { certificate, clusterWithTls, dayOf, revokedNow, shownOf } from "../tls_view.ts";

const STYLES: { readonly [state: string]: Style } = { valid: "green", old: "dim", "ends soon": "yellow" };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  folder: is.text,
  revocationsKnown: is.flag,
  certificates: is.list(certificate),
});

/** Lists the certificates in the folder of a cluster, and which of them are revoked. */
export default async function tlsList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const { config, cluster, tls } = clusterWithTls(flags, world);
  const revoked = await revokedNow(config, flags.wait);
  if (revoked === undefined) output.warn("the cluster doesn't answer: which of them are revoked isn't known");
  const certificates = list(tls).map((one) => shownOf(one, Date.now(), revoked));
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      folder: tls,
      revocationsKnown: revoked !== undefined,
      certificates,
    });
  }
  const head = ["ROLE", "NAME", "STATE", "UNTIL", "FINGERPRINT"].map((text) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = certificates.map(({ role, name, state, untilMs, fingerprint }) => [
    role,
    name,
    { text: state, style: STYLES[state] ?? ("red" as Style) },
    dayOf(untilMs),
    fingerprint.slice(0, 16),
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
}
