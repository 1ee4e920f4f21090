/** `neo cluster size` */
import type { Answer } from "../../core/messages.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { inUnits, table } from "../output.ts";
import type { Style } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

const bytes = is.nullable(is.count);
const size = {
  bytes: is.said("Of all revisions, as they are compressed; null: unknown", bytes),
  live: is.said("Of the newest revision of each object", bytes),
  history: is.said("Of all older ones", bytes),
  fileBytes: is.said("What the database takes on its disk", bytes),
  indexBytes: is.said("What of it is neither data nor free: keys, indexes, notes of transactions", bytes),
  reusableBytes: is.said("What of it is free for what is written next", bytes),
  freeBytes: is.said("What the disk still takes", bytes),
  growthPerDay: is.said(
    "Bytes a day, over a week at most; null before the second day",
    is.nullable(is.number),
  ),
};

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  total: is.object(size),
  storages: is.list(is.object({ name: is.text, ...size })),
  silent: is.said("Storages that didn't tell in time", is.list(is.text)),
});

type Row = Of<ReturnType<typeof is.object<typeof size>>>;

/** Shows how large storages are: what is live, what is history, what else, and how fast it grows. */
export default async function clusterSize(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { sizes, silent } = await askPrimary("listSizes", {}, target, { withinMs: flags.wait });
  const storages = sizes.map(({ name, size }) => ({ name, ...rowOf(size) })).sort((a, b) =>
    a.name < b.name ? -1 : 1
  );
  const total = totalOf(storages);
  if (output.json) {
    return output.printJson<Of<typeof answer>>({ cluster: clusterNameOf(target), total, storages, silent });
  }
  const head = ["NODE", "LIVE", "HISTORY", "INDEX", "REUSABLE", "FILE", "DISK FREE", "A DAY"];
  const rows = [...storages, { name: "all", ...total }].map((row) => [
    row.name,
    inUnits(row.live),
    inUnits(row.history),
    inUnits(row.indexBytes),
    inUnits(row.reusableBytes),
    inUnits(row.fileBytes),
    inUnits(row.freeBytes),
    row.growthPerDay === null
      ? "-"
      : `${row.growthPerDay < 0 ? "-" : "+"}${inUnits(Math.abs(row.growthPerDay))}`,
  ]);
  const lines = [head.map((text) => ({ text, style: "dim" as Style })), ...rows];
  for (const line of table(lines, (style, text) => output.style(style, text))) output.print(line);
  if (silent.length > 0) output.warn(`${silent.join(", ")} didn't tell`);
}

function rowOf(
  { bytes, live, before, fileBytes, reusableBytes, freeBytes }: Answer<"listSizes">["sizes"][number]["size"],
): Row {
  return {
    bytes,
    live,
    history: bytes === null || live === null ? null : bytes - live,
    fileBytes,
    indexBytes: fileBytes === null || bytes === null
      ? null
      : Math.max(0, fileBytes - bytes - (reusableBytes ?? 0)),
    reusableBytes,
    freeBytes,
    growthPerDay: bytes === null || before === null ? null : (bytes - before.bytes) / before.days,
  };
}

/** Sums of what all storages know; free space isn't summed: storages may share a disk. */
function totalOf(rows: readonly Row[]): Row {
  const sum = (key: keyof Row): number | null =>
    rows.reduce<number | null>((all, row) => all === null || row[key] === null ? null : all + row[key], 0);
  return {
    bytes: sum("bytes"),
    live: sum("live"),
    history: sum("history"),
    fileBytes: sum("fileBytes"),
    indexBytes: sum("indexBytes"),
    reusableBytes: sum("reusableBytes"),
    freeBytes: null,
    growthPerDay: sum("growthPerDay"),
  };
}
