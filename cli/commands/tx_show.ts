/** `neo tx show` */
import { hexOf } from "../../core/ids.ts";
import type { Oid, Tid } from "../../core/ids.ts";
import { LOAD_MANY_MAX } from "../../core/limits.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { LoadedRevision } from "../../roles/client/calls.ts";
import { loadedAt } from "../../roles/client/made.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { printable } from "../hex_view.ts";
import { nextCommand } from "../next.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  tid: is.id,
  ttid: is.id,
  time: is.time,
  status: is.text,
  user: is.text,
  description: is.text,
  extension: is.base64,
  objects: is.list(is.object({
    oid: is.id,
    bytes: is.count,
    deletion: is.flag,
    packed: is.said("It isn't kept any more", is.flag),
    link: is.said("The revision that it repeats: it was made by an undo", is.nullable(is.id)),
    before: is.said("The revision that it replaced", is.nullable(is.id)),
    next: is.said("The revision that replaced it", is.nullable(is.id)),
  })),
});

interface Changed {
  readonly oid: Oid;
  /** Null: it was packed. */
  readonly revision: LoadedRevision | undefined | null;
  readonly before: Tid | null;
  /** What was before isn't kept. */
  readonly isFirstKept: boolean;
}

/** Prints what a transaction did. */
export default async function txShow({ output, world }: Cli, flags: CommonFlags, tid: Tid): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { info, changed } = await withClient(target, world, async (client) => {
    const { lastTid } = await client.call("sync", {});
    const range = { after: (tid - 1n) as Tid, upTo: tid, count: 1 };
    const page = tid > 0n && tid <= lastTid ? await client.call("transactions", range) : undefined;
    const info = page?.transactions[0];
    if (info === undefined) {
      const hint = `the newest ones: ${nextCommand("tx list", flags)}`;
      throw new CliError("notFound", `Cannot show transaction ${hexOf(tid)}: there is none`, { hint });
    }
    const changed: Changed[] = [];
    for (let done = 0; done < info.oids.length; done += LOAD_MANY_MAX) {
      const oids = info.oids.slice(done, done + LOAD_MANY_MAX);
      const [now, before] = [
        await loadedAt(client, oids, tid),
        tid > 1n ? await loadedAt(client, oids, (tid - 1n) as Tid) : [],
      ];
      for (const [at, oid] of oids.entries()) {
        changed.push({
          oid,
          revision: now[at],
          before: before[at]?.tid ?? null,
          isFirstKept: before[at] === null,
        });
      }
    }
    return { info, changed };
  });
  const text = new TextDecoder();
  const objects = changed.map(viewOf);
  const time = new Date(dateOfTid(tid)).toISOString();
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      tid: hexOf(tid),
      ttid: hexOf(info.ttid),
      time,
      status: info.status,
      user: text.decode(info.user),
      description: text.decode(info.description),
      extension: info.extension,
      objects,
    });
  }
  output.print(`${output.style("bold", hexOf(tid))} at ${time}`);
  for (const [name, value] of [["User", info.user], ["Description", info.description]] as const) {
    if (value.length > 0) output.print(`${name}: ${printable(value)}`);
  }
  const head = ["OBJECT", "BYTES", "BEFORE", ""].map((text) => ({ text, style: "dim" as Style }));
  const rows = objects.map(({ oid, bytes, before, deletion, packed, link, next }, at) => [
    oid,
    packed ? "-" : String(bytes),
    changed[at]!.isFirstKept ? "-" : before ?? "new",
    [
      packed ? "packed" : "",
      deletion ? "deleted" : "",
      link === null ? "" : `as in ${link}`,
      next === null ? "" : `changed since by ${next}`,
    ]
      .filter((part) => part !== "").join(", "),
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
}

function viewOf({ oid, revision, before }: Changed): Of<typeof answer>["objects"][number] {
  const hex = (tid: Tid | null | undefined): string | null =>
    tid === null || tid === undefined ? null : hexOf(tid);
  const bytes = revision?.parts?.size ?? revision?.data?.length ?? 0;
  return {
    oid: hexOf(oid),
    bytes,
    packed: revision === null,
    deletion: revision?.data === null && revision.parts === undefined,
    link: hex(revision?.link),
    before: hex(before),
    next: hex(revision?.next),
  };
}
