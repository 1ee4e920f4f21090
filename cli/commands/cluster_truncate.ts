/** `neo cluster truncate` */
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import type { Tid } from "../../core/ids.ts";
import { dateOfTid } from "../../core/tid.ts";
import { transactionsBetween } from "../../roles/client/restoring.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary, askStatus } from "../ask.ts";
import { withClient } from "../client.ts";
import type { CallClient } from "../client.ts";
import { confirm } from "../confirm.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { CliError, exitCodes } from "../exit.ts";
import { nextCommand } from "../next.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import { monoMs } from "../wait.ts";

type Flags = CommonFlags & { readonly wait: number; readonly to: Tid; readonly yes: boolean };

/** What a truncation would take. */
interface Loss {
  readonly transactions: number;
  readonly objects: number;
  readonly first: Tid | undefined;
  readonly last: Tid;
  /** Whether something stays. */
  readonly stays: boolean;
}

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  number: is.said("How many truncations there were, with this one", is.count),
  to: is.id,
  lastTid: is.said("Of what has stayed", is.id),
  before: is.said("The last tid before", is.id),
  transactions: is.said("How many are deleted", is.count),
  objects: is.said("How many revisions are deleted", is.count),
  done: is.flag,
});

/** Deletes everything behind a tid, once it is clear what that is; then waits until the cluster runs again. */
export default async function clusterTruncate(cli: Cli, flags: Flags): Promise<number> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  const cluster = clusterNameOf(target);
  const { to, yes } = flags;
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const loss = await withClient(target, world, (client) => lossOf(client, to));
  check(loss, to);
  const words = inWords(loss);
  if (!yes) {
    const hint = "export or back up first if unsure; then repeat with --yes. It can't be undone";
    const what = `${words} would be deleted everywhere`;
    const refusal = new CliError("usage", `Cannot truncate without --yes: ${what}`, { hint });
    await confirm(cli, { cluster, what: `${what}; it can't be undone`, refusal });
  }
  const { number, lastTid } = await askPrimary("truncate", { tid: to }, target, {
    withinMs: leftMs(),
    once: true,
  });
  const status = await askStatus(target, {
    withinMs: leftMs(),
    isWanted: (status) => status.state === "running" && status.lastTid <= to,
  });
  const done = status.state === "running";
  const { transactions, objects } = loss;
  if (output.json) {
    const before = hexOf(lastTid);
    const view = {
      cluster,
      number,
      to: hexOf(to),
      lastTid: hexOf(status.lastTid),
      before,
      transactions,
      objects,
      done,
    };
    output.printJson<Of<typeof answer>>(view);
  } else {
    output.print(`${output.style("bold", cluster)}: deleted ${words}`);
    if (done) output.print(`The last transaction is ${hexOf(status.lastTid)} of ${isoOf(status.lastTid)}`);
    else {output.warn(
        `the cluster is still ${status.state}; storages that aren't there do it when they return`,
      );}
    output.print(`Next: ${nextCommand("status", flags)}`);
  }
  return done ? exitCodes.ok : exitCodes.waiting;
}

async function lossOf(client: CallClient, to: Tid): Promise<Loss> {
  const { lastTid: last } = await client.call("sync", {});
  let [transactions, objects] = [0, 0];
  let first: Tid | undefined;
  for await (const { tid, oids } of transactionsBetween(client, { after: to, upTo: last })) {
    first ??= tid;
    transactions += 1;
    objects += oids.length;
  }
  let stays = false;
  for await (const _ of transactionsBetween(client, { after: ZERO_TID, upTo: to < last ? to : last })) {
    stays = true;
    break;
  }
  return { transactions, objects, first, last, stays };
}

function check({ transactions, last, stays }: Loss, to: Tid): void {
  if (transactions === 0) {
    const hint = last === ZERO_TID
      ? "it is empty"
      : `the last transaction is ${hexOf(last)} of ${isoOf(last)}`;
    throw new CliError("refused", `Cannot truncate to ${hexOf(to)}: nothing is behind that`, { hint });
  }
  if (stays) return;
  const hint = "for an empty database make a new cluster: neo init";
  throw new CliError("refused", `Cannot truncate to ${hexOf(to)}: nothing would be left`, { hint });
}

function inWords({ transactions, objects, first, last }: Loss): string {
  const what = `${transactions} transaction${transactions === 1 ? "" : "s"} with ${objects} revisions`;
  return first === undefined ? what : `${what}, from ${isoOf(first)} to ${isoOf(last)}`;
}

function isoOf(tid: Tid): string {
  return new Date(dateOfTid(tid)).toISOString();
}
