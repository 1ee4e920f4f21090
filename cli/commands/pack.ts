/** `neo pack` */
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import { dateOfTid, tidOfDate } from "../../core/tid.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary, askStatus } from "../ask.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { inUnits } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & {
  readonly wait: number;
  readonly before?: Tid;
  readonly days?: number;
  readonly dryRun: boolean;
  readonly yes: boolean;
};

const DAY_MS = 24 * 3_600_000;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  upTo: is.said("History up to here goes; snapshots of this moment and later ones stay as they are", is.id),
  time: is.said("The same as a date", is.time),
  packed: is.nullable(is.said("Up to where it was packed before", is.id)),
  historyBytes: is.nullable(is.said("What all history takes on all storages now; null: unknown", is.count)),
  dryRun: is.flag,
});

/** Lets history up to a moment go. Storages delete it by and by. */
export default async function pack(cli: Cli, flags: Flags): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const cluster = clusterNameOf(target);
  const wanted = boundOf(flags);
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const status = await askStatus(target, { withinMs: leftMs() });
  const tid = wanted < status.lastTid ? wanted : status.lastTid;
  if (tid === ZERO_TID) {
    throw new CliError("refused", `Cannot pack ${cluster}: nothing was committed by then`);
  }
  const { sizes } = await askPrimary("listSizes", {}, target, { withinMs: leftMs() });
  const historyBytes = sum(
    sizes.map(({ size: { bytes, live } }) => bytes === null || live === null ? null : bytes - live),
  );
  const what = `history up to ${isoOf(tid)} (${hexOf(tid)})`;
  if (!flags.yes && !flags.dryRun) {
    const hint =
      "what was before can't be read or undone any more, and there is no way back. Repeat with --yes";
    const refusal = new CliError("usage", `Cannot pack without --yes: ${what} of ${cluster} would go`, {
      hint,
    });
    await confirm(cli, { cluster, what: `${what} would go; what was before can't be had back`, refusal });
  }
  const { dryRun } = flags;
  const { tid: upTo, before } = await askPrimary("pack", { tid, dryRun }, target, {
    withinMs: leftMs(),
    once: true,
  });
  if (output.json) {
    const packed = before === ZERO_TID ? null : hexOf(before);
    const view = { cluster, upTo: hexOf(upTo), time: isoOf(upTo), packed, historyBytes, dryRun };
    return output.printJson<Of<typeof answer>>(view);
  }
  const name = output.style("bold", cluster);
  const size = historyBytes === null ? "" : `; all history takes ${inUnits(historyBytes)} now`;
  if (before >= upTo) {
    output.print(`${name}: history is packed up to ${isoOf(before)} already; nothing to do`);
  } else if (dryRun) output.print(`${name}: ${what} could go, nobody has it open${size}`);
  else output.print(`${name}: ${what} goes${size}`);
  output.print(`Next: ${dryRun ? "the same with --yes" : nextCommand("status", flags)}`);
}

function boundOf({ before, days }: Flags): Tid {
  if (before !== undefined && days === undefined) return before;
  if (days !== undefined && before === undefined) return tidOfDate(Date.now() - days * DAY_MS);
  const hint = "neo pack --days 30, or neo pack --before 2026-11-22T10:00Z";
  throw new CliError("usage", "Cannot pack: say up to when, with --days or with --before", { hint });
}

function sum(all: readonly (number | null)[]): number | null {
  return all.reduce(
    (total, one) => (total === null || one === null ? null : total + one),
    0 as number | null,
  );
}

function isoOf(tid: Tid): string {
  return new Date(dateOfTid(tid)).toISOString();
}
