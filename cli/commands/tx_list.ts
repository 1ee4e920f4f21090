/** `neo tx list` */
import { hexOf } from "../../core/ids.ts";
import type { TransactionInfo } from "../../core/messages.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { printable } from "../hex_view.ts";
import { newestTransactions } from "../newest.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  transactions: is.list(is.object({
    tid: is.id,
    ttid: is.id,
    time: is.time,
    status: is.text,
    user: is.text,
    description: is.text,
    extension: is.base64,
    oids: is.list(is.id),
  })),
});

/** Lists the newest transactions. */
export default async function txList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly limit: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const found = await withClient(target, world, (client) => newestTransactions(client, flags.limit));
  if (output.json) {
    output.printJson<Of<typeof answer>>({ transactions: found.map(viewOf) });
    return;
  }
  if (found.length === 0) {
    output.note("There are no transactions yet");
    return;
  }
  const head = ["TID", "TIME", "OBJECTS", "USER", "DESCRIPTION"].map((text) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = found.map(({ tid, oids, user, description }) => [
    hexOf(tid),
    isoOf(tid),
    String(oids.length),
    printable(user),
    printable(description),
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
}

/** Texts that aren't UTF-8 have replacement characters; `extension` is bytes, as base64. */
function viewOf(
  { tid, ttid, status, user, description, extension, oids }: TransactionInfo,
): Of<typeof answer>["transactions"][number] {
  const text = new TextDecoder();
  return {
    tid: hexOf(tid),
    ttid: hexOf(ttid),
    time: isoOf(tid),
    status,
    user: text.decode(user),
    description: text.decode(description),
    extension,
    oids: oids.map(hexOf),
  };
}

function isoOf(tid: TransactionInfo["tid"]): string {
  return new Date(dateOfTid(tid)).toISOString();
}
