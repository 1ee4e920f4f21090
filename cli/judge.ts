/**
 * Judges a cluster as a monitor does: ok, warning or problem, with a sentence for each thing that isn't as it should be. The
 * severities are promises: `problem` is what keeps data from being served or from being safe against one more loss of a node
 * that is away already; `warning` is what mends itself, or what its operator should look at in time.
 */
import { clusterNumber } from "../core/config_keys.ts";
import type { Setting } from "../core/config_keys.ts";
import { dateOfTid } from "../core/tid.ts";
import type { ClusterStatus } from "./ask.ts";
import { backupOf } from "./backup_view.ts";

const DAY_MS = 24 * 3_600_000;

/** What can be checked alone. */
export const checks = ["connection", "cluster", "replication", "disk", "clock", "certs", "backup"] as const;
/** One of them. */
export type Check = (typeof checks)[number];
/** How `neo check` prints what it finds. */
export const checkFormats = ["text", "nagios", "json", "prometheus"] as const;
/** From good to bad. */
export const severities = ["ok", "warning", "problem"] as const;
/** One of them. */
export type Severity = (typeof severities)[number];

/** One thing that isn't as it should be. */
export interface Finding {
  readonly check: Check;
  readonly severity: Exclude<Severity, "ok">;
  readonly text: string;
}

/** What is judged. */
export interface Look {
  /** What the primary says; undefined: it didn't answer, and `problem` says why. */
  readonly status: ClusterStatus | undefined;
  readonly problem: string;
  /** The clock of the machine that looks. */
  readonly wallMs: number;
  /** Room on the disks that can be seen from there. */
  readonly disks: readonly { readonly node: string; readonly freeBytes: number }[];
  /** Certificates that can be seen from there, and when they end. */
  readonly certificates?: readonly { readonly of: string; readonly untilMs: number }[];
  /** What is configured in the cluster; the defaults count for what isn't. */
  readonly settings?: readonly Setting[];
}

/** All findings of a look, worst first. */
export function judge(look: Look): Finding[] {
  const { status, problem } = look;
  const findings: Finding[] = status === undefined
    ? [{ check: "connection", severity: "problem", text: `no primary answers: ${problem}` }]
    : [...ofCluster(status), ...ofReplication(status), ...ofClock(status, look), ...ofBackup(status, look)];
  findings.push(...ofDisks(look), ...ofCertificates(look));
  return findings.sort((a, b) => severities.indexOf(b.severity) - severities.indexOf(a.severity));
}

/** The worst of findings. */
export function worstOf(findings: readonly Finding[]): Severity {
  return severities.findLast((severity) => findings.some((finding) => finding.severity === severity)) ?? "ok";
}

function ofCluster({ state, waitingFor, nodes }: ClusterStatus): Finding[] {
  const findings: Finding[] = [];
  if (state !== "running") {
    const why = waitingFor === "" ? "" : `: it waits for ${waitingFor}`;
    findings.push({ check: "cluster", severity: "problem", text: `the cluster is ${state}${why}` });
  }
  for (const { name, role, state, cells } of nodes) {
    if (role === "admin" || state === "running" || state === "unknown") continue;
    // a storage without cells is missed by nobody
    const severity = role === "storage" && cells === 0 ? "warning" : "problem";
    findings.push({ check: "cluster", severity, text: `${role} ${name} is ${state}` });
  }
  for (const { name, role, state, problem } of nodes) {
    if (state === "unknown") {
      const text = `${role} ${name} isn't a member: ${problem ?? "add it, or stop it"}`;
      findings.push({ check: "cluster", severity: "warning", text });
    }
  }
  return findings;
}

function ofReplication({ nodes, partitions, replicas }: ClusterStatus): Finding[] {
  const findings: Finding[] = [];
  for (const { name, role, cells, readable } of nodes) {
    if (role !== "storage" || readable === cells) continue;
    const text = `${cells - readable} of ${cells} copies on ${name} aren't up to date`;
    findings.push({ check: "replication", severity: "warning", text });
  }
  const [wanted, there] = [partitions * (replicas + 1), nodes.reduce((sum, { cells }) => sum + cells, 0)];
  if (there < wanted) {
    const text = `${wanted - there} copies of partitions have no storage: add one, then tweak the table`;
    findings.push({ check: "replication", severity: "warning", text });
  }
  return findings;
}

/** A newest tid ahead of our clock: either this clock is slow, or the primary's is fast. */
function ofClock({ lastTid }: ClusterStatus, { wallMs, settings = [] }: Look): Finding[] {
  const aheadMs = lastTid === 0n ? 0 : dateOfTid(lastTid) - wallMs;
  if (aheadMs <= clusterNumber(settings, "check.clockAheadMsMax")) return [];
  const text = `the newest transaction is ${Math.round(aheadMs / 1_000)} s ahead of this machine's clock`;
  return [{ check: "clock", severity: "warning", text }];
}

/** A backup that doesn't follow is none by and by. */
function ofBackup(status: ClusterStatus, { settings = [] }: Look): Finding[] {
  const backup = backupOf(status);
  if (backup === undefined) return [];
  const { of, behindMs, problem } = backup;
  if (problem !== "") return [{ check: "backup", severity: "problem", text: problem }];
  if (behindMs === null || behindMs <= clusterNumber(settings, "check.backupBehindMsMax")) return [];
  const text = `the backup is ${Math.round(behindMs / 1_000)} s behind ${of}`;
  return [{ check: "backup", severity: "warning", text }];
}

function ofCertificates({ certificates = [], wallMs, settings = [] }: Look): Finding[] {
  const daysMin = clusterNumber(settings, "check.certificateDaysWarning");
  return certificates.flatMap(({ of, untilMs }) => {
    const days = Math.floor((untilMs - wallMs) / DAY_MS);
    if (days >= daysMin) return [];
    const severity = days < 0 ? "problem" : "warning";
    const text = days < 0
      ? `the certificate of ${of} has ended`
      : `the certificate of ${of} ends in ${days} days`;
    return [{ check: "certs" as const, severity, text: `${text}: neo tls renew` }];
  });
}

function ofDisks({ status, disks, settings = [] }: Look): Finding[] {
  const [low, least] = [
    clusterNumber(settings, "check.diskBytesWarning"),
    clusterNumber(settings, "check.diskBytesProblem"),
  ];
  const findings: Finding[] = [];
  for (const { node, freeBytes } of disks) {
    if (freeBytes >= Math.max(low, least)) continue;
    const severity = freeBytes < least ? "problem" : "warning";
    findings.push({ check: "disk", severity, text: `the disk of ${node} has ${freeBytes} bytes left` });
  }
  for (const { name, state, problem } of status?.nodes ?? []) {
    if (problem === null || problem === "" || state === "unknown") continue;
    findings.push({ check: "disk", severity: "problem", text: `${name}: ${problem}` }); // it refuses stores
  }
  return findings;
}
