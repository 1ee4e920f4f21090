/** `neo node clone` */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { cloneDatabase } from "../../adapters/sqlite_clone.ts";
import type { NodeIndex, Partition, Tid } from "../../core/ids.ts";
import { LOG_FLUSH_MS } from "../../core/limits.ts";
import { isReadable, PartitionTable } from "../../core/partition_table.ts";
import type { DatabaseState } from "../../core/ports.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askPrimary } from "../ask.ts";
import { processesOf } from "../config.ts";
import type { ClusterConfig, NodeConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { runningPidOf } from "../daemons.ts";
import { CliError, exitCodes } from "../exit.ts";
import { logFileOf } from "../log_tail.ts";
import { storageOf } from "../new_storage.ts";
import { nextCommand } from "../next.ts";
import { startProcesses } from "../starting.ts";
import { databaseFileOf } from "../stores.ts";
import { clusterNameOf, resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { monoMs, until } from "../wait.ts";

/** Time for a line to be in a log. */
const LOG_WAIT_MS = 2 * LOG_FLUSH_MS;

type Flags = CommonFlags & { readonly wait: number };

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  name: is.text,
  from: is.text,
  cells: is.count,
  readable: is.count,
  rows: is.said("How many were transferred", is.count),
  bytes: is.count,
  done: is.flag,
});

/** Copies a stopped storage's database under another name, takes that in, and waits until it has what it lacks. */
export default async function nodeClone(cli: Cli, flags: Flags, from: string, name: string): Promise<number> {
  const { output, world } = cli;
  const target = resolveTarget(flags.cluster, world);
  if (target.kind !== "folder") {
    throw new CliError("usage", "Cannot clone a storage of a cluster elsewhere: run it where its folder is");
  }
  const endMs = monoMs() + flags.wait;
  const leftMs = () => Math.max(1, endMs - monoMs());
  const { config } = target;
  const source = stoppedStorage(config, from, flags);
  const { nodes } = await askPrimary("listNodes", {}, target, { withinMs: leftMs() });
  const member = nodes.find((node) => node.name === from && node.index > 0);
  if (member === undefined) throw new CliError("notFound", `Cannot clone ${from}: it is no member`);
  if (nodes.some((node) => node.name === name)) {
    throw new CliError("refused", `Cannot clone ${from} as ${name}: a storage of this name is there already`);
  }
  copy(source, databaseOfNew(config, name), name, member.index as NodeIndex);
  const { config: after, group } = await storageOf(config, name);
  await startProcesses(cli, after, [group], leftMs(), { alone: true });
  const cells = await takeIn(target, { from, name }, leftMs);
  const listed = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.name === name && node.readable === cells),
  });
  const readable = listed.nodes.find((node) => node.name === name)?.readable ?? 0;
  const cluster = clusterNameOf(target);
  const { rows, bytes } = await copiedBy(after, group.name);
  const done = readable === cells;
  if (output.json) {
    output.printJson<Of<typeof answer>>({ cluster, name, from, cells, readable, rows, bytes, done });
  } else {
    output.print(
      `${output.style("bold", cluster)}: storage ${name} began as a copy of ${from}, with ${cells} cells`,
    );
    output.print(`It lacked ${rows} rows: ${bytes} bytes of data were transferred`);
    if (!done) output.warn(`${cells - readable} cells aren't up to date yet`);
    output.print(`Next: ${nextCommand(`start ${from}`, flags)}`);
  }
  return done ? exitCodes.ok : exitCodes.waiting;
}

function stoppedStorage(config: ClusterConfig, name: string, flags: CommonFlags): NodeConfig {
  const node = config.nodes.find((one) => one.name === name && one.role === "storage");
  if (node === undefined) {
    throw new CliError("notFound", `Cannot clone ${name}: no storage of this machine has this name`);
  }
  if (node.database !== undefined) {
    const hint = `add an empty one, and let it copy: ${nextCommand("node add", flags)}`;
    throw new CliError("refused", `Cannot clone ${name}: its data are on a PostgreSQL server`, { hint });
  }
  const group = processesOf(config).find(({ nodes }) => nodes.includes(node))!;
  if (runningPidOf(group) === undefined) return node;
  const hint = `stop it first: ${nextCommand(`stop ${name}`, flags)}`;
  throw new CliError("refused", `Cannot clone ${name}: it runs`, { hint });
}

function databaseOfNew(config: ClusterConfig, name: string): string {
  const known = config.nodes.find((node) => node.name === name);
  const data = known?.data ?? join(config.folder, name);
  const file = databaseFileOf({ data, role: "storage" });
  if (known === undefined && !existsSync(file)) return file;
  const hint = "give the clone a name that nothing has";
  throw new CliError("refused", `Cannot clone as ${name}: there is a node, or a database, of this name`, {
    hint,
  });
}

function copy(source: NodeConfig, to: string, name: string, index: NodeIndex): void {
  mkdirSync(dirname(to), { recursive: true });
  const diskId = randomBytes(16).toString("hex");
  cloneDatabase(databaseFileOf(source), to, { name, diskId, complete: (state) => completeOf(state, index) });
}

/** How far the cells that a storage had by its newest table are complete in its database. */
function completeOf(
  { image, newest, resumes }: DatabaseState,
  index: NodeIndex,
): { partition: Partition; tid: Tid }[] {
  if (image === null) return [];
  return PartitionTable.ofImage(image).cellsOf(index).flatMap(({ partition, cell }) => {
    const known = isReadable(cell) ? newest : resumes.filter(({ since }) => since === cell.since);
    const found = known.find((one) => one.partition === partition);
    return found === undefined ? [] : [{ partition, tid: found.tid }];
  });
}

/** Has the primary take the storage in, with cells of the same partitions; gives how many. */
async function takeIn(
  target: Target,
  { from, name }: { readonly from: string; readonly name: string },
  leftMs: () => number,
): Promise<number> {
  const { nodes } = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.name === name && node.index === 0),
  });
  if (!nodes.some((node) => node.name === name)) {
    const hint = "its log says what it waits for";
    throw new CliError("waiting", `Cannot take ${name} in yet: it hasn't come to the primary`, { hint });
  }
  const body = { name, weight: 0, path: [], replaces: "" };
  await askPrimary("addNode", body, target, { withinMs: leftMs(), once: true });
  const { cells } = await askPrimary("copyCells", { name, of: from }, target, {
    withinMs: leftMs(),
    once: true,
  });
  return cells;
}

/** What a storage says in its log that it has copied from others; it says nothing if that is nothing. */
async function copiedBy(config: ClusterConfig, process: string): Promise<{ rows: number; bytes: number }> {
  const sum = { rows: 0, bytes: 0 };
  const look = (): boolean => {
    const lines = readFileSync(logFileOf(config, process), "utf8").split("\n");
    const said = lines.filter((line) => line.includes('"Caught up"') && line.endsWith("}"));
    const all = said.map((line) => JSON.parse(line) as typeof sum);
    sum.rows = all.reduce((rows, one) => rows + one.rows, 0);
    sum.bytes = all.reduce((bytes, one) => bytes + one.bytes, 0);
    return said.length > 0;
  };
  await until(look, LOG_WAIT_MS);
  return sum;
}
