/** `neo cluster promote` */
import { hexOf } from "../../core/ids.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary, askStatus } from "../ask.ts";
import { backupInWords, backupOf } from "../backup_view.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError, exitCodes } from "../exit.ts";
import { changeNode } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import { restarted, withoutUpstream } from "../upstream.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & { readonly wait: number; readonly yes: boolean };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  of: is.said("The cluster that it was a backup of", is.text),
  lastTid: is.said("The last transaction that it has of that", is.id),
  newest: is.nullable(is.said("The last one that is known to be there", is.id)),
});

/** Ends being a backup: from here on the cluster is written to as any other. */
export default async function clusterPromote(cli: Cli, flags: Flags): Promise<number> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const cluster = clusterNameOf(target);
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const status = await askStatus(target, { withinMs: leftMs() });
  const backup = backupOf(status);
  if (status.backup === null || backup === undefined) {
    throw new CliError("refused", `Cannot promote ${cluster}: it is no backup`);
  }
  const { of, newest } = status.backup;
  if (!flags.yes) {
    const hint = `what ${of} takes from here on doesn't come any more. Repeat with --yes`;
    const text = `Cannot promote ${cluster} without --yes: it is a ${backupInWords(backup)}`;
    const what = `${cluster} is a ${
      backupInWords(backup)
    }; it takes writes then, and what ${of} takes from here on doesn't come any more`;
    await confirm(cli, { cluster, what, refusal: new CliError("usage", text, { hint }) });
  }
  await askPrimary("setBackup", { of: "" }, target, { withinMs: leftMs(), once: true });
  const now = await askStatus(target, {
    withinMs: leftMs(),
    isWanted: ({ state, backup }) => state === "running" && backup === null,
  });
  if (target.kind === "folder") {
    for (const admin of target.config.nodes.filter(({ upstream }) => upstream !== undefined)) {
      const config = changeNode(target.config, admin.name, withoutUpstream);
      await restarted(cli, config, admin, leftMs);
    }
  }
  const { lastTid } = now; // of a recovery behind the order: what was accepted before it counts
  const done = now.state === "running" && now.backup === null;
  if (output.json) {
    output.printJson<Of<typeof answer>>({
      cluster,
      of,
      lastTid: hexOf(lastTid),
      newest: newest === null ? null : hexOf(newest),
    });
  } else {
    output.print(`${output.style("bold", cluster)}: no backup of ${of} any more; it takes writes`);
    output.print(`The last transaction of ${of} that it has is ${hexOf(lastTid)}`);
    output.print(`Next: ${nextCommand("status", flags)}`);
  }
  return done ? exitCodes.ok : exitCodes.waiting;
}
