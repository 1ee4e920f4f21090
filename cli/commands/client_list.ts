/** `neo client list` */
import { hexOf } from "../../core/ids.ts";
import type { Answer } from "../../core/messages.ts";
import { dateOfTid } from "../../core/tid.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { table } from "../output.ts";
import type { Style } from "../output.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";

const transaction = is.object({
  ttid: is.id,
  ageMs: is.amount,
  objects: is.count,
  voted: is.flag,
  waitsFor: is.said("An object that another transaction holds", is.nullable(is.id)),
  behind: is.said("That transaction", is.nullable(is.id)),
  storages: is.list(is.text),
});

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  clients: is.list(is.object({
    session: is.count,
    name: is.text,
    holder: is.said("Whom a certificate shows; empty without TLS", is.text),
    since: is.time,
    oldestSnapshot: is.nullable(is.said(
      "The oldest one that it has open for a while",
      is.object({ tid: is.id, openMs: is.said("Since when that is known", is.amount) }),
    )),
    transactions: is.list(transaction),
  })),
  conflicts: is.said(
    "Objects with most conflicts since their storages began",
    is.list(is.object({ oid: is.id, count: is.count })),
  ),
  silent: is.said("Storages that didn't tell in time", is.list(is.text)),
});

type Client = Answer<"listClients">["clients"][number];

/** Lists clients, what they have under way and what it waits for, and which objects make conflicts. */
export default async function clientList(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number },
): Promise<void> {
  const target = resolveTarget(flags.cluster, world);
  const { clients, conflicts, silent } = await askPrimary("listClients", {}, target, {
    withinMs: flags.wait,
  });
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster: clusterNameOf(target),
      clients: clients.map(({ sinceMs, floor, ...rest }) => ({
        ...rest,
        oldestSnapshot: floor && { tid: hexOf(floor.at), openMs: Math.max(0, Date.now() - floor.sinceMs) },
        since: new Date(sinceMs).toISOString(),
        transactions: rest.transactions.map((one) => ({
          ...one,
          ttid: hexOf(one.ttid),
          waitsFor: one.waitsFor === null ? null : hexOf(one.waitsFor),
          behind: one.behind === null ? null : hexOf(one.behind),
        })),
      })),
      conflicts: conflicts.map(({ oid, count }) => ({ oid: hexOf(oid), count })),
      silent,
    });
  }
  const head = ["SESSION", "NAME", "SINCE", "UNDER WAY", "LONGEST", "OLDEST SNAPSHOT", "WAITS FOR"].map((
    text,
  ) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = clients.map(rowOf);
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
  if (clients.length === 0) output.print("No client is connected");
  if (conflicts.length > 0) output.print("Objects with most conflicts:");
  for (const { oid, count } of conflicts) output.print(`  ${hexOf(oid)}  ${count}`);
  if (silent.length > 0) output.warn(`${silent.join(", ")} didn't tell what clients have there`);
}

function rowOf({ session, name, holder, sinceMs, floor, transactions }: Client): string[] {
  const longest = transactions.reduce((most, { ageMs }) => Math.max(most, ageMs), 0);
  const waits = transactions.flatMap(({ waitsFor, behind }) =>
    waitsFor === null ? [] : [`${hexOf(waitsFor)}${behind === null ? "" : ` behind ${hexOf(behind)}`}`]
  );
  return [
    String(session),
    name === "" ? holder : name,
    new Date(sinceMs).toISOString(),
    String(transactions.length),
    transactions.length === 0 ? "" : `${(longest / 1_000).toFixed(1)} s`,
    floor === null ? "" : `of ${new Date(dateOfTid(floor.at)).toISOString()}`,
    waits.join(", "),
  ];
}
