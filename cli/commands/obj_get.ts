/** `neo obj get` */
import { hexOf } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { LoadedRevision } from "../../roles/client/calls.ts";
import { filledOf } from "../../roles/client/values.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { hexView } from "../hex_view.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  oid: is.id,
  tid: is.id,
  time: is.time,
  next: is.said("The tid of the next revision", is.nullable(is.id)),
  link: is.said("The tid of the revision whose data this one has", is.nullable(is.id)),
  bytes: is.count,
  data: is.base64,
});

/** Prints an object as it is, or as it was. */
export default async function objGet(
  { output, world }: Cli,
  flags: CommonFlags & { readonly at: Tid | undefined },
  oid: Oid,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const found = await withClient(target, world, async (client) => {
    const { lastTid } = await client.call("sync", {});
    const at = flags.at === undefined || flags.at > lastTid ? lastTid : flags.at;
    return await filledOf(client, oid, await client.call("load", { oid, at }));
  });
  const revision = checkFound(found, oid, flags.at);
  if (output.json) output.printJson<Of<typeof answer>>(viewOf(oid, revision));
  else if (output.isTerminal) {
    const { tid, data } = revision;
    output.note(`object ${hexOf(oid)}, ${data.length} bytes, of transaction ${hexOf(tid)} at ${isoOf(tid)}`);
    for (const line of hexView(data)) output.print(line);
  } else world.stdout.write(revision.data);
}

type Present = LoadedRevision & { readonly data: Uint8Array };

function checkFound(found: LoadedRevision | undefined, oid: Oid, at: Tid | undefined): Present {
  const when = at === undefined ? "" : ` at ${hexOf(at)}`;
  if (found === undefined) {
    throw new CliError("notFound", `Cannot get object ${hexOf(oid)}: there is none${when}`);
  }
  const { data } = found;
  if (data !== null) return { ...found, data };
  const hint = `an earlier revision: --at ${hexOf(found.tid - 1n)}`;
  throw new CliError(
    "notFound",
    `Cannot get object ${hexOf(oid)}: transaction ${hexOf(found.tid)} deleted it`,
    { hint },
  );
}

function viewOf(oid: Oid, { tid, next, link, data }: Present): Of<typeof answer> {
  return {
    oid: hexOf(oid),
    tid: hexOf(tid),
    time: isoOf(tid),
    next: next === null ? null : hexOf(next),
    link: link === null ? null : hexOf(link),
    bytes: data.length,
    data,
  };
}

function isoOf(tid: Tid): string {
  return new Date(dateOfTid(tid)).toISOString();
}
