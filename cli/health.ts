/** What `status` says: facts of the cluster's primary and of this machine's processes, judged together. */
import { hexOf } from "../core/ids.ts";
import { dateOfTid } from "../core/tid.ts";
import type { ClusterStatus } from "./ask.ts";
import { backupInWords, backupOf } from "./backup_view.ts";
import type { BackupView } from "./backup_view.ts";
import type { NodeConfig } from "./config.ts";
import { exitCodes } from "./exit.ts";
import { packOf } from "./pack_view.ts";
import type { PackView } from "./pack_view.ts";
import type { ProcessState } from "./pid_file.ts";
import { oldestOf } from "./snapshot_view.ts";
import type { OldestSnapshot } from "./snapshot_view.ts";

/** A node of this machine: its configuration, its process, the end of its log if it crashed. */
export interface LocalNode {
  readonly config: NodeConfig;
  readonly process: ProcessState;
  readonly lastLog: readonly string[];
}

/** What is known of a cluster. `status` undefined: its primary didn't answer, and `problem` says why. */
export interface Findings {
  readonly cluster: string;
  readonly uri: string;
  /** What `neo.toml` says; the primary's word counts more. Undefined for a cluster elsewhere. */
  readonly known: Pick<ClusterStatus, "clusterId" | "partitions" | "replicas"> | undefined;
  readonly status: ClusterStatus | undefined;
  readonly problem: string;
  /** Empty for a cluster elsewhere. */
  readonly local: readonly LocalNode[];
}

/** One node, as `status --json` shows it. Fields are only ever added. */
export interface NodeView {
  readonly name: string;
  readonly role: string;
  /** Its state in the cluster, or `stopped`, `crashed`, `starting` as its process tells, or `no member` of the cluster. */
  readonly state: string;
  readonly address: string;
  /** Null: not of this machine, or not running. */
  readonly pid: number | null;
  readonly version: string | null;
  readonly cells: number;
  readonly readable: number;
  readonly problem: string | null;
  readonly lastLog?: readonly string[];
}

/** The whole answer, as `status --json` shows it. Fields are only ever added. */
export interface StatusView {
  readonly cluster: string;
  readonly clusterId: string;
  /** `stopped`, `unreachable`, or the cluster's own: `recovering`, `verifying`, `running`, `stopping`. */
  readonly state: string;
  readonly healthy: boolean;
  readonly uri: string;
  /** 16 hexadecimal digits, as ZODB's tools show tids. */
  readonly lastTid: string;
  /** When the last transaction was committed; null in an empty database. */
  readonly lastTime: string | null;
  readonly primary: string;
  readonly epoch: number;
  readonly tableVersion: number;
  readonly partitions: number;
  readonly replicas: number;
  readonly clients: number;
  readonly waitingFor: string;
  /** The oldest snapshot that a client has open for a while. */
  readonly oldestSnapshot: OldestSnapshot | null;
  /** Null: it is no backup of another cluster. */
  readonly backup: BackupView | null;
  /** Null: all history is kept. */
  readonly pack: PackView | null;
  readonly problems: readonly string[];
  readonly nodes: readonly NodeView[];
}

/**
 * Judges findings.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { viewOf } from "./health.ts";
 * const view = viewOf({
 *   cluster: "shop",
 *   uri: "neo://shop@h:1",
 *   known: undefined,
 *   status: undefined,
 *   problem: "refused",
 *   local: [],
 * });
 * assert.equal(view.state, "unreachable");
 * ```
 */
export function viewOf(found: Findings): StatusView {
  const { status } = found;
  const known = status ?? found.known;
  const nodes = nodeViews(found);
  const state = status?.state
    ?? (found.local.some(isUp) || found.local.length === 0 ? "unreachable" : "stopped");
  const problems = state === "stopped" ? crashesOf(nodes) : problemsOf(found, nodes);
  return {
    cluster: found.cluster,
    clusterId: known?.clusterId ?? "",
    state,
    healthy: state === "running" && problems.length === 0,
    uri: found.uri,
    lastTid: hexOf(status?.lastTid ?? 0n),
    lastTime: status === undefined || status.lastTid === 0n ? null : isoOf(dateOfTid(status.lastTid)),
    primary: status?.primary ?? "",
    epoch: status?.epoch ?? 0,
    tableVersion: status?.version ?? 0,
    partitions: known?.partitions ?? 0,
    replicas: known?.replicas ?? 0,
    clients: status?.clients ?? 0,
    waitingFor: status?.waitingFor ?? "",
    oldestSnapshot: (status && oldestOf(status)) ?? null,
    backup: (status && backupOf(status)) ?? null,
    pack: (status && packOf(status)) ?? null,
    problems,
    nodes,
  };
}

/** The exit code that a view means; for a cluster elsewhere, that it doesn't answer is all one can know. */
export function exitCodeOf(view: StatusView, isLocal: boolean): number {
  if (view.healthy) return exitCodes.ok;
  if (view.state === "stopped") return exitCodes.notRunning;
  return view.state === "unreachable" && !isLocal ? exitCodes.unreachable : exitCodes.degraded;
}

/** The first line: healthy or not, and how many of what there should be. */
export function summaryOf(view: StatusView): string {
  if (view.state === "stopped") return `${view.cluster}: stopped`;
  if (view.state === "unreachable") return `${view.cluster}: unreachable`;
  const state = view.healthy ? "healthy" : view.state === "running" ? "degraded" : view.state;
  const counts = ["master", "storage"].map((role) => {
    const all = view.nodes.filter((node) => node.role === role);
    return `${all.filter((node) => node.state === "running").length}/${all.length} ${role}s`;
  });
  const backup = view.backup === null ? [] : [backupInWords(view.backup)];
  return `${view.cluster}: ${[state, ...backup, ...counts, copiesOf(view)].join(", ")}`;
}

function copiesOf(view: StatusView): string {
  const copies = view.replicas + 1;
  const [wanted, readable] = [view.partitions * copies, readableOf(view.nodes)];
  if (readable === wanted) return `every partition has ${copies} of ${copies} copies`;
  return `${readable} of ${wanted} copies are up to date`;
}

function readableOf(nodes: readonly NodeView[]): number {
  return nodes.reduce((sum, node) => sum + (node.state === "running" ? node.readable : 0), 0);
}

function isUp({ process }: LocalNode): boolean {
  return process.state === "running";
}

function nodeViews({ status, local }: Findings): NodeView[] {
  const views = local.map((node) => localView(node, status));
  const names = new Set(views.map(({ name }) => name));
  const others = (status?.nodes ?? []).filter(({ name, role }) => !names.has(name) && role !== "client");
  return [
    ...views,
    ...others.map((node) => ({
      name: node.name,
      role: node.role,
      state: node.state,
      address: node.address,
      pid: null,
      version: null,
      cells: node.cells,
      readable: node.readable,
      problem: node.problem,
    })),
  ];
}

function localView({ config, process, lastLog }: LocalNode, status: ClusterStatus | undefined): NodeView {
  const reported = status?.nodes.find(({ name, role }) => name === config.name && role === config.role);
  const file = process.state === "running" ? process.file : undefined;
  const isMember = status === undefined || config.role !== "storage" || reported !== undefined;
  // The primary doesn't watch admins.
  const inCluster = config.role === "admin" ? "running" : (reported?.state ?? "running");
  const running = file?.listens === true ? inCluster : "starting";
  return {
    name: config.name,
    role: config.role,
    state: !isMember ? "no member" : file === undefined ? process.state : running,
    address: config.listen === undefined ? file?.address ?? config.address : config.address,
    pid: file?.pid ?? null,
    version: file?.version ?? null,
    cells: reported?.cells ?? 0,
    readable: reported?.readable ?? 0,
    problem: reported?.problem ?? null,
    ...(process.state === "crashed" ? { lastLog } : {}),
  };
}

function crashesOf(nodes: readonly NodeView[]): string[] {
  return nodes.filter(({ state }) => state === "crashed").map(({ name }) => `node ${name} has crashed`);
}

function problemsOf({ status, problem }: Findings, nodes: readonly NodeView[]): string[] {
  const problems: string[] = [];
  if (status === undefined) problems.push(problem);
  else if (status.state !== "running") {
    problems.push(
      `the cluster is ${status.state}${status.waitingFor && `: it waits for ${status.waitingFor}`}`,
    );
  }
  for (const node of nodes) {
    if (node.role === "admin" && node.state === "unavailable") continue; // elsewhere, and nobody watches it
    if (node.state === "crashed") problems.push(`node ${node.name} has crashed`);
    else if (node.state !== "running") problems.push(`node ${node.name} is ${node.state}`);
    if (node.problem !== null && node.problem !== "") problems.push(`node ${node.name}: ${node.problem}`);
  }
  if (status === undefined) return problems;
  const missing = status.partitions * (status.replicas + 1) - readableOf(nodes);
  if (missing > 0) problems.push(`${missing} copies of partitions aren't up to date`);
  const backup = backupOf(status);
  if (backup !== undefined && backup.problem !== "") problems.push(backup.problem);
  return problems;
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
