/**
 * What it takes to bring a cluster to its plan: a comparison of what there should be with what is seen, one round at a time.
 *
 * First what lies in the folder and which processes run; once the cluster runs, its members, its copies, its layout. What a
 * round does may show more to do, so that it is looked again behind it, until nothing is left: a second run finds nothing at
 * once. Nothing that holds data is deleted: a storage that isn't planned any more is drained, and its folder stays.
 */
import { resolve } from "node:path";
import { TLS_REVOKED } from "../core/config_keys.ts";
import type { Setting } from "../core/config_keys.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { changesTo } from "./config_view.ts";
import type { ValueChange } from "./config_view.ts";
import { CliError } from "./exit.ts";
import type { PlannedNode, ProvisionPlan } from "./plan_file.ts";
import type { UnitChanges } from "./unit_files.ts";

/** A storage as the primary tells of it. */
export interface SeenStorage {
  readonly name: string;
  /** 0: it has come, and was never added. */
  readonly index: number;
  readonly draining: boolean;
}

/** What the primary tells of its cluster. */
export interface SeenCluster {
  readonly storages: readonly SeenStorage[];
  readonly masters: readonly string[];
  readonly replicas: number;
  /** All that is configured. */
  readonly config: readonly Setting[];
  /** Whether a tweak would move nothing. */
  readonly isSpread: boolean;
  /** Whether each partition has all its copies, and all of them are up to date. */
  readonly isWhole: boolean;
}

/** What there is. */
export interface Seen {
  /** From the folder's `neo.toml`. */
  readonly config: ClusterConfig | undefined;
  /** Nodes of this machine whose processes run. */
  readonly running: ReadonlySet<string>;
  /** Undefined: it doesn't run, or can't be asked. */
  readonly cluster: SeenCluster | undefined;
  /** Units of systemd that aren't as planned. */
  readonly units?: UnitChanges;
}

/** One thing to do. */
export type Step =
  | { readonly do: "make" }
  | { readonly do: "start"; readonly names: readonly string[] }
  | { readonly do: "addMaster" | "addStorage" | "addAdmin"; readonly node: PlannedNode }
  | { readonly do: "setReplicas"; readonly from: number; readonly replicas: number }
  | { readonly do: "tweak" }
  | { readonly do: "configure"; readonly changes: readonly ValueChange[] }
  | { readonly do: "drain" | "removeMaster" | "forget"; readonly name: string }
  | { readonly do: "install"; readonly units: UnitChanges }
  | { readonly do: "await"; readonly names: readonly string[] };

/** Whether this machine runs a node. */
export function isPlannedHere({ here }: ProvisionPlan, { host }: PlannedNode): boolean {
  return host === undefined || host === here;
}

/**
 * What to do next; nothing: the cluster is as planned.
 *
 * @throws CliError (`refused`) when the plan wants what can't be changed
 */
export function nextSteps(plan: ProvisionPlan, seen: Seen): Step[] {
  const { config, running, cluster } = seen;
  const here = plan.nodes.filter((node) => isPlannedHere(plan, node)).map(({ name }) => name);
  if (!config) return [{ do: "make" }, { do: "start", names: here }];
  checkFixed(plan, config);
  const known = new Set(config.nodes.map(({ name }) => name));
  const stopped = here.filter((name) => known.has(name) && !running.has(name));
  if (stopped.length > 0) return [{ do: "start", names: stopped }];
  if (!cluster) return [];
  const steps = [...additions(plan, config, cluster), ...removals(plan, config, cluster)];
  if (steps.length === 0 && seen.units) return [{ do: "install", units: seen.units }];
  if (steps.length > 0 || cluster.isWhole) return steps;
  return [{
    do: "await",
    names: cluster.storages.filter(({ draining }) => draining).map(({ name }) => name),
  }];
}

function additions(plan: ProvisionPlan, config: ClusterConfig, cluster: SeenCluster): Step[] {
  const steps: Step[] = [];
  const members = new Set(cluster.storages.filter(({ index }) => index > 0).map(({ name }) => name));
  for (const node of plan.nodes) {
    const isThere = node.role === "master"
      ? cluster.masters.includes(node.name)
      : node.role === "storage"
      ? members.has(node.name)
      : config.nodes.some(({ name }) => name === node.name);
    if (!isThere) steps.push({ do: ADDING[node.role], node });
  }
  if (cluster.replicas !== plan.replicas) {
    steps.push({ do: "setReplicas", from: cluster.replicas, replicas: plan.replicas });
  }
  const changes = plan.config === undefined ? [] : changesTo(plan.config, cluster.config).filter(isPlans);
  if (changes.length > 0) steps.push({ do: "configure", changes });
  if (!cluster.isSpread && steps.length === 0) steps.push({ do: "tweak" });
  return steps;
}

/** What is revoked isn't for a plan to say: it would be believed again. */
function isPlans({ key }: ValueChange): boolean {
  return key !== TLS_REVOKED;
}

const ADDING = { master: "addMaster", storage: "addStorage", admin: "addAdmin" } as const;

/** Of masters one at a time: each removal is agreed on by those that are left. */
function removals(plan: ProvisionPlan, config: ClusterConfig, cluster: SeenCluster): Step[] {
  const planned = new Set(plan.nodes.map(({ name }) => name));
  const gone = cluster.storages.filter(({ name, index }) => index > 0 && !planned.has(name));
  const steps: Step[] = gone.flatMap(({ name, draining }) => (draining ? [] : [{ do: "drain", name }]));
  const master = cluster.masters.find((name) => !planned.has(name));
  if (master !== undefined) steps.push({ do: "removeMaster", name: master });
  for (const { name, role } of config.nodes) {
    const isMember = role === "master"
      ? cluster.masters.includes(name)
      : gone.some((storage) => storage.name === name);
    if (!planned.has(name) && !isMember) steps.push({ do: "forget", name });
  }
  return steps;
}

/** What is fixed for ever, or changed by hand: nothing here guesses how. */
function checkFixed(plan: ProvisionPlan, config: ClusterConfig): void {
  const refuse = (what: string, hint: string): CliError =>
    new CliError("refused", `Cannot bring ${config.folder} to the plan: ${what}`, { hint });
  if (config.cluster !== plan.cluster) {
    throw refuse(`the cluster there is ${config.cluster}, not ${plan.cluster}`, "name another folder");
  }
  if (config.partitions !== plan.partitions) {
    const what = `it has ${config.partitions} partitions, the plan wants ${plan.partitions}`;
    throw refuse(what, "the number of partitions is fixed for ever: export, and import into a new cluster");
  }
  if (plan.tls !== (config.tls !== undefined)) {
    const what = plan.tls
      ? "its nodes show no certificates, the plan wants them to"
      : "its nodes show certificates, the plan says nothing of it";
    throw refuse(what, plan.tls ? "stop it, and make them: neo tls init" : "write tls = true into the plan");
  }
  for (const node of plan.nodes) {
    const there = config.nodes.find(({ name }) => name === node.name);
    const difference = there && differenceOf(node, there, config.folder);
    if (difference === undefined) continue;
    throw refuse(`node ${node.name} has ${difference}`, "stop the node, move it and change neo.toml by hand");
  }
}

function differenceOf(node: PlannedNode, there: NodeConfig, folder: string): string | undefined {
  if (node.role !== there.role) return `role ${there.role}, the plan wants ${node.role}`;
  if (node.address !== undefined && node.address !== there.address) {
    return `address ${there.address}, the plan wants ${node.address}`;
  }
  if (resolve(folder, node.data) !== there.data) {
    return `its data in ${there.data}, the plan wants them in ${resolve(folder, node.data)}`;
  }
  if (node.database !== there.database) {
    const shown = (database: string | undefined): string => database ?? "a file of its own";
    return `its data in ${shown(there.database)}, the plan wants them in ${shown(node.database)}`;
  }
  if (node.host !== there.host) return `host ${there.host ?? "none"}, the plan wants ${node.host ?? "none"}`;
  return undefined;
}

/** A step in words. */
export function textOf(step: Step, plan: ProvisionPlan): string {
  switch (step.do) {
    case "make":
      return `make cluster ${plan.cluster} in ${plan.folder}: ${countsOf(plan)}`;
    case "start":
      return `start ${step.names.join(", ")}`;
    case "addMaster":
      return `add master ${step.node.name}`;
    case "addStorage":
      return `add storage ${step.node.name}`;
    case "addAdmin":
      return `add admin ${step.node.name}`;
    case "setReplicas":
      return `keep ${step.replicas + 1} copies instead of ${step.from + 1}`;
    case "configure":
      return `configure ${
        step.changes.map(({ scope, key, value }) => `${key}=${value ?? "unset"} (${scope})`).join(", ")
      }`;
    case "tweak":
      return "spread the copies over the storages";
    case "drain":
      return `drain storage ${step.name}: move its copies elsewhere`;
    case "removeMaster":
      return `remove master ${step.name}`;
    case "forget":
      return `take ${step.name} out of neo.toml; its data stay`;
    case "install":
      return `have systemd start this machine's part: ${
        step.units.files.length + step.units.gone.length
      } files`;
    case "await":
      return step.names.length === 0
        ? "wait until every partition has all its copies"
        : `wait until every partition has all its copies, and ${step.names.join(", ")} none`;
  }
}

function countsOf({ nodes, partitions, replicas }: ProvisionPlan): string {
  const counts = ["master", "storage", "admin"].flatMap((role) => {
    const count = nodes.filter((node) => node.role === role).length;
    return count === 0 ? [] : [`${count} ${role}${count === 1 ? "" : "s"}`];
  });
  return `${counts.join(", ")}, ${partitions} partitions in ${replicas + 1} copies`;
}
