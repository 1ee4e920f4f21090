/** `neo import` */
import { resolve } from "node:path";
import { openRecordFile } from "../../adapters/record_files.ts";
import { hexOf } from "../../core/ids.ts";
import { copyTransactionsFrom } from "../../roles/client/restoring.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { nextCommand } from "../next.ts";
import { inWords, ProgressLine } from "../progress.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  file: is.text,
  format: is.word("filestorage", "zodbdump"),
  origin: is.text,
  transactions: is.count,
  objects: is.count,
  bytes: is.count,
  damages: is.count,
  lastTid: is.id,
});

/** Imports a file. Its transactions keep their tids; nobody else is let in meanwhile. */
export default async function importFile(
  { output, world }: Cli,
  flags: CommonFlags & { readonly salvage: boolean },
  file: string,
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  let damages = 0;
  const reader = openRecordFile(resolve(world.cwd, file), {
    salvage: flags.salvage,
    onDamage(damage, resumedAtByte) {
      damages += 1;
      output.warn(`${damage.message}; reading goes on at byte ${resumedAtByte}`);
    },
  });
  const line = new ProgressLine(output, "Imported");
  const origin = reader.format === "filestorage" ? reader.magic : reader.format;
  const onProgress = line.update.bind(line);
  try {
    const done = await withClient(
      target,
      world,
      (client) => copyTransactionsFrom(client, reader, { origin, onProgress }),
    );
    output.endProgress();
    const { tid, ...counts } = done;
    if (output.json) {
      output.printJson<Of<typeof answer>>({
        file,
        format: reader.format,
        origin,
        ...counts,
        damages,
        lastTid: hexOf(tid),
      });
    } else {
      output.print(`Imported ${inWords(done)} from ${file}; the last transaction is ${hexOf(tid)}`);
      output.print(`Next: ${nextCommand("tx list", flags)}`);
    }
  } finally {
    reader.close();
  }
}
