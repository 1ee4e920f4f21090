/** What a node shows over HTTP: `/livez`, `/readyz`, `/status` and `/metrics`, from its meter and its role's figures. */
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import type { Page } from "../adapters/http.ts";
import type { Answer } from "../core/messages.ts";
import { formatMetrics, metric, metrics } from "../core/metrics.ts";
import type { MetricFamily } from "../core/metrics.ts";
import { dateOfTid } from "../core/tid.ts";
import { backupOf } from "./backup_view.ts";
import type { NodeConfig } from "./config.ts";
import { CliError, systemCodeOf } from "./exit.ts";
import { toJson } from "./output.ts";
import { VERSION } from "./version.ts";

/** What a role says of itself at this moment. */
export interface NodeFigures {
  /** Whether it can serve. */
  readonly ready: boolean;
  /** Its phase, in one word. */
  readonly state: string;
  /** More of it for `/status`; fields are only ever added. */
  readonly details: { readonly [name: string]: unknown };
  readonly families: readonly MetricFamily[];
}

/** The four pages of a node. */
export function pagesOf(
  node: Pick<NodeConfig, "name" | "role">,
  figures: () => NodeFigures,
  counted: () => readonly MetricFamily[],
): Map<string, Page> {
  const json = "application/json";
  const { name, role } = node;
  return new Map<string, Page>([
    ["/livez", { open: true, text: () => ({ status: 200, type: "text/plain", body: "ok\n" }) }],
    ["/readyz", {
      open: true,
      text: () => {
        const { ready, state } = figures();
        return { status: ready ? 200 : 503, type: "text/plain", body: `${state}\n` };
      },
    }],
    ["/status", {
      open: false,
      text: () => {
        const { ready, state, details } = figures();
        const body = `${toJson({ name, role, version: VERSION, ready, state, ...details })}\n`;
        return { status: 200, type: json, body };
      },
    }],
    ["/metrics", {
      open: false,
      text: () => {
        const { ready, families } = figures();
        const info = { name: "neo_node_info", help: "The node", type: "gauge" } as const;
        const all: MetricFamily[] = [
          { ...info, samples: [{ value: 1, labels: { node: name, role, version: VERSION } }] },
          metric("gauge", "neo_ready", "Whether the node can serve", ready ? 1 : 0),
          ...families,
          ...counted(),
        ];
        return { status: 200, type: "text/plain; version=0.0.4; charset=utf-8", body: formatMetrics(all) };
      },
    }],
  ]);
}

/** A cluster as its primary reports it, in figures. */
export function clusterFamilies(report: Answer<"status">, wallMs: number): MetricFamily[] {
  const { state, epoch, version, partitions, replicas, lastTid, clients, nodes } = report;
  const cells = nodes.reduce((sum, node) => sum + node.cells, 0);
  const readable = nodes.reduce((sum, node) => sum + node.readable, 0);
  const down = nodes.filter(({ role, state }) => role !== "admin" && state !== "running").length;
  const perNode = (pick: (node: (typeof nodes)[number]) => number) => ({
    label: "node",
    values: nodes.filter(({ role }) => role === "storage").map((node) => [node.name, pick(node)] as const),
  });
  const age = lastTid === 0n ? [] : [
    metric(
      "gauge",
      "neo_last_tid_age_seconds",
      "Time since the last commit",
      Math.max(0, wallMs - dateOfTid(lastTid)) / 1_000,
    ),
  ];
  const behind = backupOf(report)?.behindMs ?? null;
  const backup = behind === null ? [] : [
    metric("gauge", "neo_backup_behind_seconds", "How far behind its source this backup is", behind / 1_000),
  ];
  const { oldestSnapshot } = report;
  const openMs = oldestSnapshot === null ? 0 : Math.max(0, wallMs - oldestSnapshot.sinceMs);
  return [
    ...backup,
    metric(
      "gauge",
      "neo_oldest_snapshot_seconds",
      "How long the oldest snapshot is open; 0: none is for long",
      openMs / 1_000,
    ),
    metric("gauge", "neo_cluster_running", "Whether the cluster is running", state === "running" ? 1 : 0),
    metric("gauge", "neo_epoch", "The primary's epoch", epoch),
    metric("gauge", "neo_table_version", "Version of the partition table", version),
    metric("gauge", "neo_partitions", "Partitions of the cluster", partitions),
    metric("gauge", "neo_replicas", "Copies besides the first that there should be", replicas),
    metric("gauge", "neo_clients", "Clients of the cluster", clients),
    metric("gauge", "neo_nodes_down", "Masters and storages that don't run", down),
    metrics("gauge", "neo_cells", "Cells by state", {
      label: "state",
      values: [["readable", readable], ["outdated", cells - readable]],
    }),
    metrics("gauge", "neo_node_cells", "Cells of each storage", perNode((node) => node.cells)),
    metrics(
      "gauge",
      "neo_node_readable_cells",
      "Readable cells of each storage",
      perNode((node) => node.readable),
    ),
    metrics(
      "gauge",
      "neo_node_up",
      "Whether each storage runs",
      perNode(({ state }) => (state === "running" ? 1 : 0)),
    ),
    ...age,
  ];
}

/**
 * The token of a node's pages; a file that isn't there yet is made, readable by its owner only.
 *
 * @throws CliError (`usage`) when the file holds none
 */
export function tokenOf({ name, httpTokenFile }: NodeConfig): string | undefined {
  if (httpTokenFile === undefined) return undefined;
  try {
    writeFileSync(httpTokenFile, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (systemCodeOf(error) !== "EEXIST") throw error;
  }
  const token = readFileSync(httpTokenFile, "utf8").trim();
  if (token !== "") return token;
  throw new CliError("usage", `Cannot serve the pages of ${name}: ${httpTokenFile} holds no token`, {
    hint: "remove the file, and the node makes a new one",
  });
}
