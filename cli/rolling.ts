/**
 * Restarts processes one after another, so that clients go on: each storage once all copies are up to date, so that no object is
 * without one; then admins; then masters, the primary last, behind another one that has taken over. Ctrl-C ends that between two
 * processes: what was stopped is started first.
 */
import { DatabaseError } from "../core/errors.ts";
import { PROCESS_LOOK_MS } from "../core/limits.ts";
import { askPrimary, askStatus } from "./ask.ts";
import { uriOf } from "./config.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { runningPidOf } from "./daemons.ts";
import { CliError } from "./exit.ts";
import { Interrupt } from "./interrupt.ts";
import { startProcesses } from "./starting.ts";
import type { StartResult } from "./starting.ts";
import { stopProcesses } from "./stopping.ts";
import type { Target } from "./target.ts";
import { monoMs, pause } from "./wait.ts";

/** Roles in the order in which their nodes are restarted; a process with several counts by the last of them. */
const ORDER = ["storage", "admin", "master"];

/** Why these processes can't be restarted one by one; undefined: they can. */
export async function whyNotRolling(
  config: ClusterConfig,
  groups: readonly ProcessConfig[],
  withinMs: number,
): Promise<string | undefined> {
  if (!groups.some((group) => runningPidOf(group))) return "none of them runs";
  const several = groups.find(({ nodes }) => nodes.length > 1);
  if (several !== undefined) return `process ${several.name} holds several nodes`;
  try {
    const { state } = await askStatus(targetOf(config), { withinMs });
    return state === "running" ? undefined : `the cluster is ${state}`;
  } catch (error) {
    if (error instanceof DatabaseError) return `the cluster doesn't answer: ${error.message}`;
    throw error;
  }
}

/**
 * Restarts processes of a cluster that runs; each step has `withinMs`.
 *
 * @throws CliError (`waiting`) naming the nodes that weren't restarted, when one isn't up to date again in time
 */
export async function rollingRestart(
  cli: Cli,
  config: ClusterConfig,
  groups: readonly ProcessConfig[],
  withinMs: number,
): Promise<StartResult> {
  const interrupt = new Interrupt(cli.world);
  try {
    return await oneByOne(cli, config, { groups, withinMs, interrupt });
  } finally {
    interrupt.off();
  }
}

async function oneByOne(
  cli: Cli,
  config: ClusterConfig,
  { groups, withinMs, interrupt }: {
    readonly groups: readonly ProcessConfig[];
    readonly withinMs: number;
    readonly interrupt: Interrupt;
  },
): Promise<StartResult> {
  const target = targetOf(config);
  const left = inOrder(groups);
  const started: ProcessConfig[] = [];
  warnOfLoneCopies(cli, left, await askStatus(target, { withinMs }));
  let last: string | undefined; // the primary comes last of all
  while (left.length > 0) {
    const primary = await primaryOf(target, withinMs);
    const at = left.findIndex(({ name }) => name !== primary || left.length === 1);
    const [group] = left.splice(Math.max(at, 0), 1) as [ProcessConfig];
    const endMs = monoMs() + withinMs;
    const leftMs = (): number => Math.max(1, endMs - monoMs());
    const hintOf = (rest: readonly ProcessConfig[]): string =>
      rest.length === 0 ? "" : `not restarted yet: ${rest.map(({ name }) => name).join(", ")}`;
    const late = (what: string): CliError =>
      new CliError("waiting", `Cannot wait longer: ${what}`, { hint: hintOf(left) });
    const unlessInterrupted = async (wait: Promise<void>, rest: readonly ProcessConfig[]): Promise<void> => {
      await Promise.race([wait, interrupt.first]);
      if (!interrupt.came) return;
      wait.catch(() => {}); // nobody waits for it any more
      throw new CliError("interrupted", "Restarting was ended between two nodes", { hint: hintOf(rest) });
    };
    if (group.nodes[0]!.role === "storage") {
      await unlessInterrupted(awaitCopies(target, leftMs(), late), [group, ...left]);
    }
    if (group.name === primary) await stepDown(cli, target, leftMs());
    await stopProcesses(cli, config, [group], leftMs());
    const result = await startProcesses(cli, config, [group], leftMs(), { alone: true });
    if (!result.reached) throw late(`${group.name} doesn't listen yet`);
    started.push(group);
    await unlessInterrupted(awaitNode(target, group, leftMs(), late), left);
    last = group.name;
  }
  if (last !== undefined) await askStatus(target, { withinMs, isWanted: ({ state }) => state === "running" });
  return { started, status: await askStatus(target, { withinMs }), reached: true };
}

function inOrder(groups: readonly ProcessConfig[]): ProcessConfig[] {
  return ORDER.flatMap((role) => groups.filter(({ nodes }) => nodes[0]!.role === role));
}

/** A partition with one copy is away while its storage restarts: commits wait for it. */
function warnOfLoneCopies(
  cli: Cli,
  groups: readonly ProcessConfig[],
  { replicas }: { replicas: number },
): void {
  if (replicas > 0 || !groups.some(({ nodes }) => nodes[0]!.role === "storage")) return;
  cli.output.warn("there is one copy of everything: clients wait while its storage restarts");
}

async function primaryOf(target: Target, withinMs: number): Promise<string | undefined> {
  const isWanted = ({ masters }: { masters: readonly { readonly isPrimary: boolean }[] }): boolean =>
    masters.some(({ isPrimary }) => isPrimary);
  const { masters } = await askPrimary("listMasters", {}, target, { withinMs, isWanted });
  return masters.find(({ isPrimary }) => isPrimary)?.name;
}

/** Another master takes over, if there is one: that is faster than noticing that the old one has gone. */
async function stepDown(cli: Cli, target: Target, withinMs: number): Promise<void> {
  const { masters } = await askPrimary("listMasters", {}, target, { withinMs });
  if (masters.length < 2) return;
  try {
    const old = masters.find(({ isPrimary }) => isPrimary)?.name;
    await askPrimary("stepDown", {}, target, { withinMs, once: true });
    const isWanted = (answer: { masters: readonly { name: string; isPrimary: boolean }[] }): boolean =>
      answer.masters.some(({ name, isPrimary }) => isPrimary && name !== old);
    await askPrimary("listMasters", {}, target, { withinMs, isWanted });
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    cli.output.note(`No other master takes over before the restart: ${error.message}`);
  }
}

/** Waits until every cell is up to date: no copy may be the only one when its storage goes. */
async function awaitCopies(
  target: Target,
  withinMs: number,
  late: (what: string) => CliError,
): Promise<void> {
  // one that is away counts too: its copies aren't outdated before somebody writes
  const isWanted = ({ nodes }: { nodes: readonly Counted[] }): boolean =>
    nodes.every(({ index, state, cells, readable }) =>
      index === 0 || cells === 0 || (state === "running" && cells === readable)
    );
  const found = await askPrimary("listNodes", {}, target, { withinMs, isWanted });
  if (!isWanted(found)) throw late("copies aren't up to date");
}

interface Counted {
  readonly index: number;
  readonly state: string;
  readonly cells: number;
  readonly readable: number;
}

/** Waits until a node that was restarted does its work again. */
async function awaitNode(
  target: Target,
  { name, nodes: [node] }: ProcessConfig,
  withinMs: number,
  late: (what: string) => CliError,
): Promise<void> {
  if (node!.role === "storage") return await awaitCopies(target, withinMs, late);
  if (node!.role === "admin") return;
  // nobody is told when a master comes to the others: it is asked for now and then
  for (const endMs = monoMs() + withinMs;;) {
    const { masters } = await askPrimary("listMasters", {}, target, {
      withinMs: Math.max(1, endMs - monoMs()),
    });
    if (masters.some((master) => master.name === name && master.state === "running")) return;
    if (monoMs() >= endMs) throw late(`master ${name} isn't back`);
    await pause(PROCESS_LOOK_MS);
  }
}

function targetOf(config: ClusterConfig): Target {
  return { kind: "folder", config, uri: uriOf(config) };
}
