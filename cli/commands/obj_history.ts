/** `neo obj history` */
import { hexOf } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { dateOfTid } from "../../core/tid.ts";
import { revisionsOf } from "../../roles/client/past.ts";
import type { PastRevision } from "../../roles/client/past.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  oid: is.id,
  revisions: is.list(is.object({
    tid: is.id,
    time: is.time,
    bytes: is.count,
    deletion: is.flag,
    link: is.said("The revision that it repeats: it was made by an undo", is.nullable(is.id)),
  })),
});

/** Lists the revisions of an object, the newest first. */
export default async function objHistory(
  { output, world }: Cli,
  flags: CommonFlags & { readonly limit: number },
  oid: Oid,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const found = await withClient(target, world, async (client) => {
    const { lastTid: upTo } = await client.call("sync", {});
    const revisions: PastRevision[] = [];
    for await (const revision of revisionsOf(client, oid, { upTo })) {
      revisions.push(revision);
      if (revisions.length === flags.limit) break;
    }
    return revisions;
  });
  if (found.length === 0) throw new CliError("notFound", `Cannot list object ${hexOf(oid)}: there is none`);
  if (output.json) {
    const revisions = found.map(({ tid, size, isDeletion, link }) => ({
      tid: hexOf(tid),
      time: isoOf(tid),
      bytes: size,
      deletion: isDeletion,
      link: link === null ? null : hexOf(link),
    }));
    return output.printJson<Of<typeof answer>>({ oid: hexOf(oid), revisions });
  }
  const head = ["TID", "TIME", "BYTES", ""].map((text) => ({ text, style: "dim" as Style }));
  const rows = found.map(({ tid, size, isDeletion, link }) => [
    hexOf(tid),
    isoOf(tid),
    String(size),
    isDeletion ? "deleted" : link === null ? "" : `as in ${hexOf(link)}`,
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
}

function isoOf(tid: Tid): string {
  return new Date(dateOfTid(tid)).toISOString();
}
