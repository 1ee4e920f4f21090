/** `neo cluster recover` */
import { randomBytes } from "node:crypto";
import { sha256 } from "../../adapters/system.ts";
import { hexOf, ZERO_TID } from "../../core/ids.ts";
import { dateOfTid } from "../../core/tid.ts";
import { objection, rebuild, situationOf } from "../../roles/master/lost_masters.ts";
import type { Candidate, Situation } from "../../roles/master/lost_masters.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { isHere } from "../config.ts";
import type { ClusterConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { runningPidOf } from "../daemons.ts";
import { CliError } from "../exit.ts";
import { nextCommand } from "../next.ts";
import type { Output } from "../output.ts";
import { beginAnew, fenceAll, lookAt } from "../recover_files.ts";
import { resolveFolder } from "../target.ts";

type Flags = CommonFlags & {
  readonly table: string | undefined;
  readonly lost: readonly string[] | undefined;
  readonly yes: string | undefined;
};

/** What `--json` prints. */
export const answer = is.either(
  is.object({
    cluster: is.text,
    tables: is.list(is.object({
      id: is.text,
      epoch: is.count,
      holders: is.list(is.text),
      partitions: is.count,
      unreadable: is.said("Partitions without a readable copy here", is.count),
      doubtful: is.said("Partitions whose copies here were out of date", is.count),
      newestTid: is.nullable(is.id),
      newest: is.nullable(is.time),
    })),
    choice: is.text,
    absent: is.list(is.text),
    losses: is.list(is.text),
    refusal: is.nullable(is.object({ why: is.text, todo: is.text })),
    next: is.step,
  }),
  is.object({
    cluster: is.text,
    table: is.text,
    epoch: is.count,
    masters: is.list(is.text),
    lost: is.list(is.text),
    losses: is.list(is.text),
    next: is.step,
  }),
);

/** Shows with which table a cluster without its masters' log could go on; with the cluster's name, does it. */
export default async function clusterRecover({ output, world }: Cli, flags: Flags): Promise<void> {
  const config = resolveFolder(flags.cluster, world);
  checkStopped(config);
  const { findings, unread } = await lookAt(config);
  for (const { name, why } of unread) output.warn(`${name} tells nothing: ${why}`);
  const situation = situationOf(findings, sha256);
  const choice = chosen(situation, flags.table);
  const lost = flags.lost ?? [];
  const against = objection(situation, choice, lost);
  const words = lossesOf(situation, choice, lost);
  if (flags.yes === undefined || against) {
    if (flags.yes === undefined) return show(output, { config, situation, choice, words, against, flags });
    throw new CliError("refused", `Cannot recover ${config.cluster}: ${against!.why}`, {
      hint: against!.todo,
    });
  }
  if (flags.yes !== config.cluster) {
    throw new CliError("usage", `Cannot recover: --yes ${flags.yes} isn't this cluster's name`, {
      hint: `it is ${config.cluster}`,
    });
  }
  for (const word of words) output.warn(word);
  const masters = config.nodes.filter((node) => node.role === "master" && isHere(config, node));
  if (masters.length === 0) {
    throw new CliError(
      "refused",
      `Cannot recover ${config.cluster}: no master of neo.toml is on this machine`,
      {
        hint: "run it where a master is to be",
      },
    );
  }
  const made = masters.map((node) => ({ node, diskId: randomBytes(16).toString("hex") }));
  const { image, epoch } = rebuild(
    { ...situation, metadata: situation.metadata! },
    choice,
    made.map(({ node: { name, address }, diskId }) => ({ name, address, diskId })),
  );
  const storages = config.nodes.filter(({ name, role }) =>
    role === "storage" && findings.some((finding) => finding.name === name)
  );
  await fenceAll(storages, epoch); // first: whatever happens next, nothing older serves again
  for (const { node, diskId } of made) beginAnew(node, image, { diskId, epoch });
  const next = nextCommand("start", flags);
  const names = masters.map(({ name }) => name);
  const { cluster } = config;
  if (output.json) {
    return output.printJson<Of<typeof answer>>({
      cluster,
      table: choice.id,
      epoch,
      masters: names,
      lost,
      losses: words,
      next,
    });
  }
  output.print(
    `${output.style("bold", cluster)}: masters ${names.join(", ")} begin anew with table ${choice.id}`,
  );
  output.print(`Epoch ${epoch}: nothing older serves again. The masters' old files stay beside the new ones`);
  output.print(`Next: ${next}`);
}

function checkStopped(config: ClusterConfig): void {
  const running = config.nodes.filter((node) =>
    runningPidOf({ name: node.name, nodes: [node] }) !== undefined
  );
  if (running.length === 0) return;
  const names = running.map(({ name }) => name);
  throw new CliError("refused", `Cannot recover ${config.cluster}: ${names.join(", ")} run`, {
    hint: `stop them first: neo stop ${names.join(" ")}`,
  });
}

function chosen({ candidates }: Situation, id: string | undefined): Candidate {
  const choice = id === undefined ? candidates[0] : candidates.find((one) => one.id === id);
  if (choice) return choice;
  const hint = candidates.length > 0
    ? `there are ${candidates.map((one) => one.id).join(", ")}`
    : "bring a storage that has served, or a master's old disk";
  throw new CliError(
    "notFound",
    `Cannot recover: ${id === undefined ? "no node here knows a table" : `no node here knows table ${id}`}`,
    { hint },
  );
}

/** What is given up, in words. */
function lossesOf({ candidates }: Situation, choice: Candidate, lost: readonly string[]): string[] {
  const words: string[] = [];
  if (lost.length > 0) words.push(`commits that only ${lost.join(", ")} has are lost`);
  if (choice !== candidates[0]) {
    words.push(
      `table ${choice.id} isn't the newest, ${candidates[0]!.id} is: what was decided in between is void`,
    );
  }
  if (choice.doubtful.length > 0) {
    words.push(
      `${choice.doubtful.length} partitions have only copies here that were out of date: acknowledged commits in them are lost`,
    );
  }
  return words;
}

function show(
  output: Output,
  { config, situation, choice, words, against, flags }: {
    readonly config: ClusterConfig;
    readonly situation: Situation;
    readonly choice: Candidate;
    readonly words: readonly string[];
    readonly against: ReturnType<typeof objection>;
    readonly flags: CommonFlags;
  },
): void {
  const { cluster } = config;
  const tables = situation.candidates.map((candidate) => viewOf(candidate));
  const next = nextCommand(`cluster recover --table ${choice.id} --yes ${cluster}`, flags);
  const { absent } = situation;
  if (output.json) {
    const refusal = against === undefined ? null : { why: against.why, todo: against.todo };
    return output.printJson<Of<typeof answer>>({
      cluster,
      tables,
      choice: choice.id,
      absent,
      losses: words,
      refusal,
      next,
    });
  }
  output.print(`${output.style("bold", cluster)}: ${tables.length} tables found, newest first`);
  for (const { id, epoch, holders, partitions, unreadable, newest } of tables) {
    const copies = `${partitions - unreadable} of ${partitions} partitions have a readable copy here`;
    output.print(
      `  ${id}  epoch ${epoch}, known to ${holders.join(", ")}; ${copies}; newest commit ${newest ?? "none"}`,
    );
  }
  if (absent.length > 0) output.print(`Not here: ${absent.join(", ")}`);
  for (const word of words) output.print(`With ${choice.id}: ${word}`);
  if (against) output.print(`It can't be done so: ${against.why}; ${against.todo}`);
  else output.print(`Next: ${next}`);
}

function viewOf(candidate: Candidate) {
  const { id, epoch, holders, table, unreadable, doubtful, newestTid } = candidate;
  const isEmpty = newestTid === ZERO_TID;
  return {
    id,
    epoch,
    holders,
    partitions: table.partitions,
    unreadable: unreadable.length,
    doubtful: doubtful.length,
    newestTid: isEmpty ? null : hexOf(newestTid),
    newest: isEmpty ? null : new Date(dateOfTid(newestTid)).toISOString(),
  };
}
