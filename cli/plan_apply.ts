/** Does the steps of a plan, one after the other. Each can be done again after it was broken off. */
import { join, resolve } from "node:path";
import { systemRandom } from "../adapters/system.ts";
import { TRANSACTION_TIMEOUT_MS } from "../core/limits.ts";
import { askPrimary } from "./ask.ts";
import { authorOf } from "./author.ts";
import { certify } from "./certify.ts";
import { readConfig, selectProcesses } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import type { Cli } from "./context.ts";
import { CliError } from "./exit.ts";
import { addMaster, addStorage, forgetNode } from "./membership.ts";
import { newId } from "./new_config.ts";
import { append } from "./new_storage.ts";
import type { PlannedNode, ProvisionPlan } from "./plan_file.ts";
import { targetOf } from "./plan_look.ts";
import { isPlannedHere } from "./plan_steps.ts";
import type { Step } from "./plan_steps.ts";
import { findPorts, HOST } from "./ports.ts";
import { makeNode, provision } from "./provision.ts";
import { startProcesses } from "./starting.ts";
import { rememberCluster } from "./target.ts";
import { installUnits } from "./unit_files.ts";

/**
 * Does a step. `leftMs` says how long it may still take.
 *
 * @throws CliError (`waiting`) when the time is over before what was begun is done: it goes on, and the plan can be applied again
 */
export async function apply(
  cli: Cli,
  plan: ProvisionPlan,
  step: Step,
  leftMs: () => number,
): Promise<void> {
  if (step.do === "make") return await make(cli, plan);
  const config = readConfig(plan.folder);
  const target = targetOf(config);
  const once = (): { withinMs: number; once: true } => ({ withinMs: leftMs(), once: true });
  switch (step.do) {
    case "start": {
      const groups = selectProcesses(config, step.names);
      const { reached } = await startProcesses(cli, config, groups, leftMs());
      if (!reached) throw late("the nodes to be there");
      return;
    }
    case "addMaster":
    case "addStorage":
    case "addAdmin":
      return await add(cli, plan, step, leftMs);
    case "setReplicas":
      await askPrimary("setReplicas", { replicas: step.replicas }, target, once());
      return;
    case "configure": {
      const { changes } = step;
      const change = {
        base: null,
        author: authorOf(cli.world.env),
        reason: "provision",
        changes: [...changes],
      };
      await askPrimary("changeConfig", change, target, once());
      return;
    }
    case "tweak":
      await askPrimary("tweak", { ignored: [], dryRun: false }, target, once());
      return;
    case "drain":
      await askPrimary("drainNode", { name: step.name, undo: false }, target, once());
      return;
    case "removeMaster":
      await askPrimary("removeMaster", { name: step.name }, target, once());
      return;
    case "forget":
      return await forgetNode(config, step.name, true);
    case "install": {
      const problem = installUnits(config, step.units, plan.services!, cli.world.env);
      if (problem !== undefined) cli.output.warn(problem);
      return;
    }
    case "await":
      return await awaitWhole(config, leftMs);
  }
}

async function add(
  cli: Cli,
  plan: ProvisionPlan,
  { do: what, node }: Extract<Step, { node: PlannedNode }>,
  leftMs: () => number,
): Promise<void> {
  const { name, weight, path } = node;
  let config = readConfig(plan.folder);
  if (what === "addMaster" && !isPlannedHere(plan, node)) {
    const hint = `on ${node.host}, in the cluster's folder: neo master add ${name}`;
    throw new CliError("refused", `Cannot add master ${name} from here: ${node.host} runs it`, { hint });
  }
  if (!config.nodes.some((one) => one.name === name)) {
    const placed = await place(plan, [node]);
    await certify(config, placed[0]!);
    await makeNode(config, placed[0]!);
    config = append(config, placed[0]!);
  }
  const target = targetOf(config);
  if (what === "addStorage") {
    await addStorage(cli, target, { name, weight, path, replaces: "" }, leftMs);
  } else if (what === "addMaster") await addMaster(cli, target, name, leftMs);
  else await startProcesses(cli, config, selectProcesses(config, [name]), leftMs(), { alone: true });
}

async function make(cli: Cli, plan: ProvisionPlan): Promise<void> {
  const { folder, cluster, partitions, replicas, insecure, here, tls } = plan;
  const nodes = await place(plan, plan.nodes);
  await provision({
    folder,
    cluster,
    clusterId: newId(),
    partitions,
    replicas,
    insecure,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    ...(here === undefined ? {} : { here }),
    ...(tls ? { tls: join(folder, "tls") } : {}),
    nodes,
  });
  const before = rememberCluster(cluster, folder, cli.world.env);
  if (before !== undefined) cli.output.warn(`-C ${cluster} meant ${before} until now`);
}

/** Gives nodes their folders, and those of this machine without an address a free port. */
async function place({ folder }: ProvisionPlan, nodes: readonly PlannedNode[]): Promise<NodeConfig[]> {
  const portless = nodes.filter(({ address }) => address === undefined).length;
  const ports = portless === 0 ? [] : await findPorts(portless, undefined, systemRandom());
  return nodes.map(
    (
      {
        name,
        role,
        data,
        host,
        database,
        passwordFile,
        http,
        httpTokenFile,
        watch,
        address = `${HOST}:${ports.pop()}`,
      },
    ) => {
      return {
        name,
        role,
        address,
        data: resolve(folder, data),
        process: name,
        ...(host === undefined ? {} : { host }),
        ...(database === undefined ? {} : { database }),
        ...(passwordFile === undefined ? {} : { passwordFile }),
        ...(http === undefined ? {} : { http }),
        ...(httpTokenFile === undefined ? {} : { httpTokenFile: resolve(folder, httpTokenFile) }),
        ...(watch === undefined ? {} : { watch: resolve(folder, watch) }),
      };
    },
  );
}

/** Waits until each partition has all its copies, and drained storages none. */
async function awaitWhole(config: ClusterConfig, leftMs: () => number): Promise<void> {
  const target = targetOf(config);
  const { partitions, replicas } = await askPrimary("status", {}, target, { withinMs: leftMs() });
  const copies = partitions * (replicas + 1);
  const isWhole = ({ nodes }: { nodes: readonly Counted[] }): boolean =>
    sumOf(nodes, "readable") === copies && sumOf(nodes, "cells") === copies
    && !nodes.some(({ draining, index }) => draining && index > 0);
  const found = await askPrimary("listNodes", {}, target, { withinMs: leftMs(), isWanted: isWhole });
  if (!isWhole(found)) throw late("all copies to be up to date");
}

interface Counted {
  readonly index: number;
  readonly draining: boolean;
  readonly cells: number;
  readonly readable: number;
}

function sumOf(nodes: readonly Counted[], of: "cells" | "readable"): number {
  return nodes.reduce((all, node) => all + node[of], 0);
}

function late(what: string): CliError {
  const hint = "it goes on; provision again with the same plan, or with a longer --wait";
  return new CliError("waiting", `Cannot wait longer for ${what}`, { hint });
}
