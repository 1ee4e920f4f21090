/** Looks at what there is of a planned cluster: its folder, its processes, and what its primary tells. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UnreachableError } from "../core/errors.ts";
import { askPrimary, askStatus } from "./ask.ts";
import { CONFIG_FILE, processesOf, readConfig, uriOf } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import type { World } from "./context.ts";
import { runningPidOf } from "./daemons.ts";
import { isNothing } from "./layout_view.ts";
import type { ProvisionPlan } from "./plan_file.ts";
import type { Seen, SeenCluster } from "./plan_steps.ts";
import { checkFolder } from "./provision.ts";
import type { Target } from "./target.ts";
import { placeOfUnits, unitChanges } from "./unit_files.ts";

/** A cluster of this machine as a target of questions. */
export function targetOf(config: ClusterConfig): Target & { readonly kind: "folder" } {
  return { kind: "folder", config, uri: uriOf(config) };
}

/**
 * Looks. A cluster that runs is given `withinMs` for its answers.
 *
 * @throws CliError (`refused`) when something else lies in the folder
 */
export async function look(
  { folder, services }: ProvisionPlan,
  world: Pick<World, "env" | "self">,
  withinMs: number,
): Promise<Seen> {
  if (!existsSync(join(folder, CONFIG_FILE))) {
    checkFolder(folder);
    return { config: undefined, running: new Set(), cluster: undefined };
  }
  const config = readConfig(folder);
  const groups = processesOf(config);
  const up = groups.filter((group) => runningPidOf(group, { listens: true }) !== undefined);
  const running = new Set(up.flatMap(({ nodes }) => nodes.map(({ name }) => name)));
  // what is stopped is started first: the cluster may be waiting for it
  const cluster = up.length < groups.length ? undefined : await ask(config, withinMs);
  const units = services && unitChanges(config, placeOfUnits(services, world));
  return { config, running, cluster, ...(units && { units }) };
}

async function ask(config: ClusterConfig, withinMs: number): Promise<SeenCluster | undefined> {
  const target = targetOf(config);
  try {
    const isWanted = ({ state }: { readonly state: string }): boolean => state === "running";
    const status = await askStatus(target, { withinMs, isWanted });
    if (!isWanted(status)) return undefined;
    const [{ nodes }, { masters }, plan] = [
      await askPrimary("listNodes", {}, target, { withinMs }),
      await askPrimary("listMasters", {}, target, { withinMs }),
      await askPrimary("tweak", { ignored: [], dryRun: true }, target, { withinMs }),
    ];
    const copies = status.partitions * (status.replicas + 1);
    const sum = (of: "cells" | "readable"): number => nodes.reduce((all, node) => all + node[of], 0);
    return {
      storages: nodes.map(({ name, index, draining }) => ({ name, index, draining })),
      masters: masters.map(({ name }) => name),
      config: (await askPrimary("getConfig", { after: null }, target, { withinMs })).settings,
      replicas: status.replicas,
      isSpread: isNothing(plan),
      isWhole: sum("readable") === copies && sum("cells") === copies
        && !nodes.some(({ draining, index }) => draining && index > 0),
    };
  } catch (error) {
    if (error instanceof UnreachableError) return undefined;
    throw error;
  }
}
