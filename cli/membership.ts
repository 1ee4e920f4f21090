/** What adding and removing nodes of a cluster consists of, for the commands that do one of it, and for `provision`. */
import { TERM_WAIT_MS_MIN } from "../core/limits.ts";
import { askPrimary } from "./ask.ts";
import { isHere } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { allGone, endProcesses, runningPidOf } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { masterOf } from "./new_master.ts";
import { removeNode, storageOf } from "./new_storage.ts";
import { clearPidFile } from "./pid_file.ts";
import { startProcesses } from "./starting.ts";
import type { Target } from "./target.ts";

/** A storage to take in. */
export interface NewStorage {
  readonly name: string;
  /** Its part of all cells; 0 is 1. */
  readonly weight: number;
  readonly path: readonly string[];
  /** The storage whose place it takes; empty: none. */
  readonly replaces: string;
  /** Where it keeps its data, if it is made now and not in a file of its own. */
  readonly database?: string;
  readonly passwordFile?: string;
}

/** A node that was taken in. */
export interface Member {
  readonly index: number;
  readonly address: string;
  readonly state: string;
}

/**
 * Makes and starts the storage if it is to be one of this machine, waits until the primary has seen it, takes it in, and
 * waits until it runs. `leftMs` says how long all of it may still take.
 *
 * @throws CliError (`waiting`) when it doesn't come to the primary in time
 */
export async function addStorage(
  cli: Cli,
  target: Target,
  { name, weight, path, replaces, ...place }: NewStorage,
  leftMs: () => number,
): Promise<Member> {
  if (target.kind === "folder" && !isElsewhere(target.config, name)) {
    const { config, group, made } = await storageOf(target.config, name, place);
    if (made) cli.output.note(`Made storage ${name} in ${group.nodes[0]!.data}`);
    await startProcesses(cli, config, [group], leftMs(), { alone: true });
  }
  const found = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.name === name && node.index === 0),
  });
  const address = found.nodes.find((node) => node.name === name && node.index === 0)?.address;
  if (address === undefined) {
    const hint = "is it started, with this cluster's configuration? Its log says what it waits for";
    throw new CliError("waiting", `Cannot add ${name} yet: it hasn't come to the primary`, { hint });
  }
  const { index } = await askPrimary("addNode", { name, weight, path, replaces }, target, {
    withinMs: leftMs(),
    once: true,
  });
  const listed = await askPrimary("listNodes", {}, target, {
    withinMs: leftMs(),
    isWanted: ({ nodes }) => nodes.some((node) => node.index === index && node.state === "running"),
  });
  const state = listed.nodes.find((one) => one.index === index)?.state ?? "unknown";
  return { index, address, state };
}

function isElsewhere(config: ClusterConfig, name: string): boolean {
  return config.nodes.some((node) => node.name === name && !isHere(config, node));
}

/** Makes and starts a master on this machine, has the primary take it in, and waits until it votes. */
export async function addMaster(
  cli: Cli,
  target: Target & { readonly kind: "folder" },
  name: string,
  leftMs: () => number,
): Promise<Member> {
  await askPrimary("listMasters", {}, target, { withinMs: leftMs() });
  const { config, group, node, diskId, made } = await masterOf(target.config, name);
  if (made) cli.output.note(`Made master ${name} in ${node.data}`);
  await startProcesses(cli, config, [group], leftMs(), { alone: true });
  const { address } = node;
  const { index } = await askPrimary("addMaster", { name, address, diskId }, target, { withinMs: leftMs() });
  return { index, address, state: "running" };
}

/**
 * Ends the process of a node that is a member no more, and takes it out of this machine's `neo.toml`, so that nothing starts it
 * any more. Its data stay. `isTold`: the primary has told it to end, so that it is given time for that.
 */
export async function forgetNode(config: ClusterConfig, name: string, isTold: boolean): Promise<void> {
  const node = config.nodes.find((one) => one.name === name)!;
  const file = node.process === name ? runningPidOf({ name, nodes: [node] }) : undefined;
  if (file && !(isTold && await allGone([file], TERM_WAIT_MS_MIN))) {
    await endProcesses([file], TERM_WAIT_MS_MIN);
  }
  clearPidFile(node);
  removeNode(config, name);
}
