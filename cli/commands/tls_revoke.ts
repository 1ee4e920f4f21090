/** `neo tls revoke` */
import { TLS_REVOKED } from "../../core/config_keys.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { authorOf } from "../author.ts";
import { uriOf } from "../config.ts";
import { changeConfig, currentConfig } from "../config_questions.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { list, OPERATOR } from "../tls_folder.ts";
import { clusterWithTls, revokedOf, selected } from "../tls_view.ts";

type Flags = CommonFlags & {
  readonly wait: number;
  readonly old: boolean;
  readonly yes: boolean;
  readonly reason: string | undefined;
};

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  revision: is.count,
  revoked: is.list(is.text),
});

/** Makes the whole cluster distrust certificates, at once: whoever is connected by one of them is turned away. */
export default async function tlsRevoke(cli: Cli, flags: Flags, name: string): Promise<void> {
  const { output, world } = cli;
  const { config, cluster, tls, nodes } = clusterWithTls(flags, world);
  const target = { kind: "folder", config, uri: uriOf(config) } as const;
  const known = list(tls);
  const named = selected(known, name);
  const found = named.filter(({ isOld, untilMs }) => (isOld || !flags.old) && untilMs > Date.now());
  if (found.length === 0) {
    const which = flags.old ? "was renewed" : "is valid";
    throw new CliError("notFound", `Cannot revoke ${name}: no certificate of it ${which}`, {
      hint: nextCommand("tls list", flags),
    });
  }
  const own = found.find((one) => !one.isOld && one.role === OPERATOR.role && one.name === OPERATOR.name);
  if (own !== undefined) {
    const hint = `renew it first, then revoke the old one: ${nextCommand("tls renew operator", flags)}, ${
      nextCommand("tls revoke operator --old", flags)
    }`;
    throw new CliError("refused", "Cannot revoke the certificate that this command itself shows", { hint });
  }
  const cut = found.find((one) =>
    !one.isOld && nodes.some((node) => node.name === one.name && node.role === one.role)
  );
  if (cut !== undefined && !flags.yes) {
    const hint = "repeat with --yes; or renew it first, and revoke the old one with --old";
    const text = `Cannot revoke what ${cut.name} shows without --yes: the node is cut off at once`;
    const what = `node ${cut.name} is cut off at once`;
    await confirm(cli, { cluster, what, refusal: new CliError("usage", text, { hint }) });
  }
  const { revision, settings } = await currentConfig(target, flags.wait);
  const before = revokedOf(settings);
  // what has ended needs no place in the list
  const ended = new Set(
    known.filter(({ untilMs }) => untilMs <= Date.now()).map(({ fingerprint }) => fingerprint),
  );
  const added = found.map(({ fingerprint }) => fingerprint).filter((one) => !before.has(one));
  const value = [...before].filter((one) => !ended.has(one)).concat(added).join(" ");
  const change = {
    changes: [{ scope: "cluster", key: TLS_REVOKED, value }],
    base: revision,
    author: authorOf(world.env),
    reason: flags.reason ?? `revokes ${name}`,
  };
  const made = added.length === 0 ? revision : await changeConfig(target, change, flags.wait);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster, name, revision: made, revoked: added });
  }
  output.print(
    added.length === 0
      ? `${output.style("bold", cluster)}: it was revoked before`
      : `${
        output.style("bold", cluster)
      }: revoked ${added.length} of ${name}; configuration revision ${made}`,
  );
}
