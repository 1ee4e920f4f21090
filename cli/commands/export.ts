/** `neo export` */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { FileSink } from "../../adapters/file_io.ts";
import { writeFileStorage } from "../../adapters/filestorage_writer.ts";
import { writeZodbdump } from "../../adapters/zodbdump_writer.ts";
import { ZERO_TID } from "../../core/ids.ts";
import type { ByteSink, TransactionSource, WriteSummary } from "../../core/records.ts";
import { recordsBetween } from "../../roles/client/restoring.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { withClient } from "../client.ts";
import type { CallClient } from "../client.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import type { TextStream } from "../output.ts";
import { ProgressLine } from "../progress.ts";
import { resolveTarget } from "../target.ts";

type Format = "filestorage" | "zodbdump";
type Flags = CommonFlags & { readonly format: Format; readonly force: boolean };

/** What `--json` prints. */
export const answer = is.object({
  file: is.text,
  format: is.word("filestorage", "zodbdump"),
  transactions: is.count,
  records: is.count,
  bytes: is.count,
});

/** Exports what is published when it begins. A file appears under its name only when it is whole. */
export default async function exportFile({ output, world }: Cli, flags: Flags, file: string): Promise<void> {
  const { format, force } = flags;
  const target = resolveTarget(flags.cluster, world);
  const path = file === "-" ? undefined : resolve(world.cwd, file);
  if (path === undefined && output.json) {
    throw new CliError("usage", "Cannot use --json with -: stdout is the export itself");
  }
  if (path !== undefined && !force && existsSync(path)) {
    throw new CliError("refused", `Cannot export to ${file}: it exists`, { hint: "replace it with --force" });
  }
  const line = new ProgressLine(output, "Exported");
  const summary = await withClient(target, world, async (client) => {
    const { lastTid: upTo } = await client.call("sync", {});
    const source = recordsBetween(client, { after: ZERO_TID, upTo }, line.update.bind(line));
    const magic = await magicOf(client);
    const write = (sink: ByteSink) => writeTo(format, source, sink, magic);
    return path === undefined ? await write(streamSink(world.stdout)) : await writeFile(path, write);
  });
  output.endProgress();
  if (path === undefined) return;
  if (output.json) output.printJson<Of<typeof answer>>({ file, format, ...summary });
  else {
    const { transactions, records, bytes } = summary;
    output.print(
      `Exported ${transactions} transactions, ${records} objects to ${file} (${format}, ${bytes} bytes)`,
    );
  }
}

/** Pickles of Python 2 and 3 differ: a file says at its head whose they are, as the imported one did. */
async function magicOf(client: CallClient): Promise<"FS21" | "FS30"> {
  const { origin } = await client.call("status", {});
  return origin === "FS21" ? "FS21" : "FS30";
}

function writeTo(
  format: Format,
  source: TransactionSource,
  sink: ByteSink,
  magic: "FS21" | "FS30",
): Promise<WriteSummary> {
  return format === "zodbdump" ? writeZodbdump(source, sink) : writeFileStorage(source, sink, { magic });
}

async function writeFile(
  path: string,
  write: (sink: ByteSink) => Promise<WriteSummary>,
): Promise<WriteSummary> {
  const sink = new FileSink(path);
  try {
    const summary = await write(sink);
    sink.commit();
    return summary;
  } catch (error) {
    sink.discard();
    throw error;
  }
}

/** Waits until each piece has left: a slow reader must not make us keep the whole export in memory. */
function streamSink(stream: TextStream): ByteSink {
  return { write: (bytes) => new Promise((done) => void stream.write(bytes, () => done())) };
}
