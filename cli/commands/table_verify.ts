/** `neo table verify` */
import type { Partition } from "../../core/ids.ts";
import { CALL_TIMEOUT_MS_MAX } from "../../core/limits.ts";
import type { Answer, CellFinding } from "../../core/messages.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { table } from "../output.ts";
import type { Output, Style } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

type Flags = CommonFlags & {
  readonly repair: boolean;
  readonly from: string | undefined;
};

/** Partitions of one question: few enough that progress is seen. */
const PARTITIONS_AT_ONCE = 16;
/** Bad copies that are listed. */
const LINES_MAX = 20;

type Verified = Answer<"verifyTable">;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  partitions: is.count,
  sound: is.flag,
  cells: is.list(is.object({
    partition: is.count,
    name: is.text,
    state: is.text,
    rows: is.count,
    bytes: is.count,
    broken: is.count,
    repaired: is.flag,
  })),
});

/** Has copies compared, some partitions at a time. */
export default async function tableVerify({ output, world }: Cli, flags: Flags): Promise<number> {
  const target = resolveTarget(flags.cluster, world);
  const { repair, from = "" } = flags;
  const cells: CellFinding[] = [];
  const options = { withinMs: CALL_TIMEOUT_MS_MAX, once: repair };
  let first = 0 as Partition;
  let last: Verified;
  for (;;) {
    last = await askPrimary(
      "verifyTable",
      { first, count: PARTITIONS_AT_ONCE, from, repair },
      target,
      options,
    );
    cells.push(...last.cells);
    if (last.next === null) break;
    first = last.next;
    if (output.isErrorTerminal) output.progress(`Compared ${first} of ${last.partitions} partitions`);
  }
  output.endProgress();
  const bad = cells.filter(isBad);
  const left = bad.filter(({ repaired }) => !repaired);
  const cluster = clusterNameOf(target);
  if (output.json) {
    const { partitions } = last;
    output.printJson<Of<typeof answer>>({ cluster, partitions, sound: left.length === 0, cells });
  } else show(output, { cluster, last, cells, bad, left, flags });
  return left.length === 0 ? exitCodes.ok : exitCodes.failed;
}

function isBad({ state }: CellFinding): boolean {
  return state === "different" || state === "broken" || state === "unreachable";
}

interface Result {
  readonly cluster: string;
  readonly last: Verified;
  readonly cells: readonly CellFinding[];
  readonly bad: readonly CellFinding[];
  readonly left: readonly CellFinding[];
  readonly flags: Flags;
}

function show(output: Output, { cluster, last, cells, bad, left, flags }: Result): void {
  const looked = cells.filter(({ state }) => state !== "outOfDate" && state !== "unreachable");
  const bytes = looked.reduce((sum, cell) => sum + cell.bytes, 0);
  const late = cells.filter(({ state }) => state === "outOfDate").length;
  const verdict = left.length > 0
    ? `${left.length} of ${cells.length} copies aren't sound`
    : bad.length > 0
    ? `sound; ${bad.length} copies were made anew`
    : "sound: copies are equal, and all data is what its checksums say";
  output.print(output.style(["bold", left.length > 0 ? "red" : "green"], `${cluster}: ${verdict}`));
  output.print(`Looked at ${looked.length} copies of ${last.partitions} partitions, ${bytes} bytes`);
  if (late > 0) output.print(`${late} copies are out of date, and weren't looked at`);
  if (bad.length > 0) showBad(output, bad);
  if (left.length > 0) output.print(`Next: ${nextCommand(nextStep(left, flags), flags)}`);
}

function showBad(output: Output, bad: readonly CellFinding[]): void {
  const head = ["PARTITION", "NODE", "COPY", "ROWS", "BROKEN"].map((text) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = bad.slice(0, LINES_MAX).map(({ partition, name, state, rows, broken, repaired }) => [
    String(partition),
    name,
    { text: repaired ? `${state}, made anew` : state, style: (repaired ? "green" : "red") as Style },
    String(rows),
    String(broken),
  ]);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
  if (bad.length > LINES_MAX) output.print(`... and ${bad.length - LINES_MAX} more; --json lists all`);
}

function nextStep(left: readonly CellFinding[], { repair }: Flags): string {
  if (left.some(({ state }) => state === "unreachable")) return "status";
  if (left.some(({ state }) => state === "different")) return "table verify --repair --from NODE";
  return repair ? "status" : "table verify --repair";
}
