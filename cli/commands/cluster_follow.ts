/** `neo cluster follow` */
import { resolve } from "node:path";
import { hexOf } from "../../core/ids.ts";
import { credentialsIn, formatUri, parseUri } from "../../core/uri.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary, askStatus } from "../ask.ts";
import { backupOf } from "../backup_view.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError, exitCodes } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { resolveFolder, resolveTarget } from "../target.ts";
import { followerOf, restarted, withUpstream } from "../upstream.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & { readonly wait: number; readonly yes: boolean };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  of: is.said("The cluster that it follows", is.text),
  follower: is.said("The admin that copies", is.text),
  lastTid: is.said("The last transaction that it had", is.id),
  running: is.said("Whether that admin runs", is.flag),
});

/** Makes the cluster a backup: tells its primary, and has an admin of this machine copy. */
export default async function clusterFollow(cli: Cli, flags: Flags, given: string): Promise<number> {
  const { output, world } = cli;
  const config = resolveFolder(flags.cluster, world);
  const { cluster } = config;
  const target = resolveTarget(config.folder, world);
  const { of, uri } = sourceIn(given, world.cwd);
  const admin = followerOf(config);
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const status = await askStatus(target, { withinMs: leftMs() });
  if (status.backup === null && status.lastTid > 0n && !flags.yes) {
    const hint = `it must have begun as a copy of ${of}, or be empty. Repeat with --yes`;
    const text = `Cannot make ${cluster} a backup without --yes: it takes no writes then`;
    const what = `${cluster} takes no writes then, and must have begun as a copy of ${of}`;
    await confirm(cli, { cluster, what, refusal: new CliError("usage", text, { hint }) });
  }
  const { lastTid } = await askPrimary("setBackup", { of }, target, { withinMs: leftMs(), once: true });
  const changed = admin.upstream === uri ? config : withUpstream(config, admin, uri);
  const running = await restarted(cli, changed, admin, leftMs);
  const seen = await askStatus(target, {
    withinMs: leftMs(),
    isWanted: (now) => now.state === "running" && now.backup !== null,
  });
  if (output.json) {
    const view = { cluster, of, follower: admin.name, lastTid: hexOf(lastTid), running };
    output.printJson<Of<typeof answer>>(view);
  } else {
    output.print(`${output.style("bold", cluster)}: a backup of ${of}; admin ${admin.name} copies`);
    if (!running) output.warn(`${admin.name} isn't running: it copies when it is started`);
    output.print(`Next: ${nextCommand(running ? "status" : `start ${admin.name}`, flags)}`);
  }
  return running && backupOf(seen) !== undefined ? exitCodes.ok : exitCodes.waiting;
}

/** The cluster's name, and its URI with the files that it names where they lie: its reader runs in another folder. */
function sourceIn(text: string, cwd: string): { readonly of: string; readonly uri: string } {
  try {
    const parsed = parseUri(text);
    const files = Object.entries(credentialsIn(parsed) ?? {}).map((
      [name, file],
    ) => [name, resolve(cwd, file)]);
    const options = { ...parsed.options, ...Object.fromEntries(files) };
    return { of: parsed.cluster, uri: formatUri({ ...parsed, options }) };
  } catch (error) {
    throw new CliError("usage", error instanceof Error ? error.message : String(error), { cause: error });
  }
}
