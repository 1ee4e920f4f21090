/** `neo tx undo` */
import { UndoError } from "../../core/errors.ts";
import { hexOf } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import { undone } from "../../roles/client/undoing.ts";
import type { Restored } from "../../roles/client/undoing.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { authorOf } from "../author.ts";
import { withClient } from "../client.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  undone: is.id,
  tid: is.said("Of the transaction that takes it back", is.id),
  restored: is.said("Objects that have their former value again", is.list(is.id)),
  deleted: is.said("Objects that it had made", is.list(is.id)),
});

/** Takes a transaction back, by another one; what was changed since isn't overwritten. */
export default async function txUndo(
  cli: Cli,
  flags: CommonFlags & { readonly yes: boolean },
  undoneTid: Tid,
): Promise<void> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const { tid, writes } = await withClient(target, world, async (client) => {
    const { lastTid: at } = await client.call("sync", {});
    const undoing = { tid: undoneTid, at, own: () => undefined, resolve: undefined };
    const { restored: writes, kept: checks } = await undone(client, undoing, {}).catch((error) => {
      throw error instanceof UndoError ? refused(error, flags) : error;
    });
    if (writes.length === 0) {
      throw new CliError(
        "refused",
        `Cannot undo ${hexOf(undoneTid)}: nothing of it is left, it was taken back already`,
      );
    }
    if (!flags.yes) {
      const hint = "it can be undone in turn. Repeat with --yes";
      const text = `Cannot undo ${hexOf(undoneTid)} without --yes: ${inWords(writes)}`;
      const refusal = new CliError("usage", text, { hint });
      await confirm(cli, { cluster: clusterNameOf(target), what: inWords(writes), refusal });
    }
    const encoder = new TextEncoder();
    const note = {
      user: encoder.encode(authorOf(world.env)),
      description: encoder.encode(`undo ${hexOf(undoneTid)}`),
      extension: new Uint8Array(),
      status: " ",
    };
    const { tid } = await client.call("commit", { writes, checks, ...note });
    return { tid, writes };
  });
  const oidsOf = (isDeleted: boolean): string[] =>
    writes.filter(({ data }) => (data === null) === isDeleted).map(({ oid }) => hexOf(oid));
  const view = {
    cluster: clusterNameOf(target),
    undone: hexOf(undoneTid),
    tid: hexOf(tid),
    restored: oidsOf(false),
    deleted: oidsOf(true),
  };
  if (output.json) return output.printJson<Of<typeof answer>>(view);
  output.print(
    `${output.style("bold", view.cluster)}: undid ${view.undone} by ${view.tid}: ${inWords(writes)}`,
  );
  output.print(`Next: ${nextCommand(`tx show ${view.tid}`, flags)}`);
}

function inWords(writes: readonly Restored[]): string {
  const deleted = writes.filter(({ data }) => data === null).length;
  const restored = writes.length - deleted;
  const objects = (count: number): string => `${count} object${count === 1 ? "" : "s"}`;
  return [
    ...(restored === 0
      ? []
      : [
        `${objects(restored)} had another value before, and ${restored === 1 ? "gets it" : "get it"} again`,
      ]),
    ...(deleted === 0
      ? []
      : [`${objects(deleted)} didn't exist before, and ${deleted === 1 ? "is" : "are"} deleted`]),
  ].join("; ");
}

/** What stands in the way, with what to do about it. */
function refused(error: UndoError, flags: CommonFlags): CliError {
  const { reason, changedBy } = error;
  if (reason === "gone" || reason === "packed") return new CliError("refused", error.message);
  if (reason !== "changed" || changedBy === undefined) {
    const hint = `the newest ones: ${nextCommand("tx list", flags)}`;
    return new CliError("notFound", `Cannot undo ${hexOf(error.tid)}: there is no such transaction`, {
      hint,
    });
  }
  const hint = `undo that first: ${nextCommand(`tx undo ${hexOf(changedBy)}`, flags)}`;
  const text = `Cannot undo ${hexOf(error.tid)}: object ${hexOf(error.oid!)} was changed by ${
    hexOf(changedBy)
  } since`;
  return new CliError("refused", text, { hint });
}
