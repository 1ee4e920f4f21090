/**
 * Looks at what a cluster needs of its machine: rights, ports, disks, versions, certificates, clocks. Each look tells what it saw; what isn't
 * as it should be comes with what to do.
 */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import {
  CERTIFICATE_WARN_DAYS,
  DISK_FREE_BYTES_PROBLEM,
  DISK_FREE_BYTES_WARNING,
  OPEN_FILES_MIN,
} from "../core/limits.ts";
import { CONFIG_FILE, hostOf, isHere, listensAt, processesOf, uriOf } from "./config.ts";
import type { ClusterConfig, NodeConfig } from "./config.ts";
import { systemCodeOf } from "./exit.ts";
import { judge } from "./judge.ts";
import { parseLine } from "./log_lines.ts";
import { lastLines, logFileOf } from "./log_tail.ts";
import { look } from "./look.ts";
import { processStateOf } from "./pid_file.ts";
import { isFree } from "./ports.ts";
import { databaseFileOf } from "./stores.ts";
import { credentialsOf, list } from "./tls_folder.ts";
import { VERSION } from "./version.ts";

/** What a look saw. */
export interface Examined {
  readonly check: string;
  readonly severity: "ok" | "warning" | "problem";
  readonly text: string;
  /** What to do, in words that can be typed if possible; empty if all is well. */
  readonly remedy: string;
}

/** The oldest runtimes that this version runs on. */
const RUNTIMES = { deno: [2, 9], node: [22, 18] } as const;
const DAY_MS = 24 * 3_600_000;
/** Bits of a file's mode that let others read or write it. */
const OTHERS = 0o077;

type Found = Omit<Examined, "check">;

/** Looks at everything; `withinMs` is how long the cluster may take to answer. */
export async function examine(config: ClusterConfig, withinMs: number): Promise<Examined[]> {
  const here = config.nodes.filter((node) => isHere(config, node));
  const looks: readonly (readonly [string, () => Found[] | Promise<Found[]>])[] = [
    ["runtime", runtime],
    ["files", () => openFiles(readLimits())],
    ["folders", () => folders(config, here)],
    ["secrets", () => secrets(config, here)],
    ["disk", () => here.filter(({ role }) => role !== "admin").flatMap(disk)],
    ["processes", () => here.flatMap((node) => processOf(config, node))],
    ["ports", () => ports(here)],
    ["certs", () => certificates(config, here, Date.now())],
    ["cluster", () => cluster(config, withinMs)],
  ];
  const found: Examined[] = [];
  for (const [check, see] of looks) found.push(...(await see()).map((one) => ({ check, ...one })));
  return found;
}

const ok = (text: string): Found => ({ severity: "ok", text, remedy: "" });
const warning = (text: string, remedy: string): Found => ({ severity: "warning", text, remedy });
const problem = (text: string, remedy: string): Found => ({ severity: "problem", text, remedy });

function runtime(): Found[] {
  const name = process.versions["deno"] === undefined ? "node" : "deno";
  const version = process.versions[name]!;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor, wantedMinor] = RUNTIMES[name];
  const isOld = major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
  const text = `neo ${VERSION} on ${name} ${version}`;
  return [isOld ? problem(text, `use ${name} ${wantedMajor}.${wantedMinor} or later`) : ok(text)];
}

/** The system's limits of this process; undefined where it doesn't tell. */
function readLimits(): string | undefined {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Each connection and each database is an open file. */
export function openFiles(limits: string | undefined): Found[] {
  const most = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? "")?.[1];
  if (most === undefined) return [];
  const text = `a process may open ${most} files`;
  const isFew = most !== "unlimited" && Number(most) < OPEN_FILES_MIN;
  return [
    isFew
      ? warning(text, `ulimit -n ${OPEN_FILES_MIN}, or LimitNOFILE=${OPEN_FILES_MIN} in the unit`)
      : ok(text),
  ];
}

function folders(config: ClusterConfig, here: readonly NodeConfig[]): Found[] {
  const logs = join(config.folder, "log");
  const all = [config.folder, ...here.map(({ data }) => data), ...(existsSync(logs) ? [logs] : [])];
  const bad = all.flatMap((folder) => {
    try {
      accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
      return [];
    } catch (error) {
      const missing = systemCodeOf(error) === "ENOENT";
      const remedy = missing
        ? `bring it back, or take its node out of ${CONFIG_FILE}`
        : `chown or chmod it for ${userName()}`;
      return [problem(missing ? `${folder} isn't there` : `${folder} can't be written`, remedy)];
    }
  });
  const lost = here.filter((node) =>
    node.role !== "admin" && node.database === undefined && existsSync(node.data)
  )
    .filter((node) => !existsSync(databaseFileOf(node)))
    .map((node) => {
      const remedy = node.role === "storage"
        ? `neo node add --replace ${node.name}`
        : `neo master remove ${node.name}, then neo master add`;
      return problem(
        `${node.name} has lost its database ${databaseFileOf(node)}`,
        `bring it back, or ${remedy}`,
      );
    });
  return bad.length + lost.length > 0
    ? [...bad, ...lost]
    : [ok(`${all.length} folders can be read and written`)];
}

function userName(): string {
  return process.env["USER"] ?? `user ${process.getuid?.() ?? ""}`;
}

function secrets({ tls }: ClusterConfig, here: readonly NodeConfig[]): Found[] {
  const named = here.flatMap(({ passwordFile, httpTokenFile }) =>
    [passwordFile ?? [], httpTokenFile ?? []].flat()
  );
  const keys = tls === undefined || !existsSync(tls)
    ? []
    : readdirSync(tls).filter((name) => name.endsWith(".key")).map((name) => join(tls, name));
  const files = [...named, ...keys].filter((file) => existsSync(file));
  const open = files.filter((file) => (statSync(file).mode & OTHERS) !== 0);
  if (open.length > 0) return open.map((file) => problem(`others may read ${file}`, `chmod 600 ${file}`));
  return files.length === 0 ? [] : [ok(`${files.length} files with secrets are for their owner only`)];
}

function disk({ name, data }: NodeConfig): Found[] {
  if (!existsSync(data)) return [];
  const { bavail, bsize } = statfsSync(data);
  const bytes = bavail * bsize;
  const text = `${name} has ${(bytes / 2 ** 30).toFixed(1)} GiB left on its disk`;
  if (bytes >= DISK_FREE_BYTES_WARNING) return [ok(text)];
  const remedy = "make room, or move it to a larger disk: neo node clone, neo node drain";
  return [bytes < DISK_FREE_BYTES_PROBLEM ? problem(text, remedy) : warning(text, remedy)];
}

function processOf(config: ClusterConfig, node: NodeConfig): Found[] {
  const found = existsSync(node.data) ? processStateOf(node) : { state: "stopped" as const };
  if (found.state === "stopped") return [ok(`${node.name} is stopped`)];
  const { pid, version } = found.file;
  if (found.state === "crashed") {
    const group = processesOf(config).find(({ nodes }) => nodes.some((one) => one.name === node.name))!;
    const [last = ""] = lastLines(logFileOf(config, group.name), 1);
    const { text } = parseLine(last, node.name, "");
    return [
      problem(
        `${node.name} has crashed; its last words: ${text}`,
        `see neo logs ${node.name}; then neo start ${node.name}`,
      ),
    ];
  }
  const text = `${node.name} runs as process ${pid}, version ${version}`;
  return [
    version === VERSION ? ok(text) : warning(text, `this is version ${VERSION}: neo restart ${node.name}`),
  ];
}

async function ports(here: readonly NodeConfig[]): Promise<Found[]> {
  const found: Found[] = [];
  for (const node of here) {
    if (existsSync(node.data) && processStateOf(node).state === "running") continue;
    for (const address of [listensAt(node), node.http ?? []].flat()) {
      const taken = await whyTaken(address);
      if (taken === undefined) continue;
      found.push(
        problem(
          `${node.name} can't listen on ${address}: ${taken}`,
          `end what does, or give ${node.name} another address in ${CONFIG_FILE}`,
        ),
      );
    }
  }
  return found.length > 0 ? found : [ok("each node can listen on its address, or does")];
}

async function whyTaken(address: string): Promise<string | undefined> {
  try {
    const free = await isFree(Number(address.slice(address.lastIndexOf(":") + 1)), hostOf(address));
    return free ? undefined : "another program does";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function certificates({ tls }: ClusterConfig, here: readonly NodeConfig[], nowMs: number): Found[] {
  if (tls === undefined) return [];
  const missing = here.flatMap((node) => {
    const gone = Object.values(credentialsOf(tls, node)).find((file) => !existsSync(file));
    return gone === undefined
      ? []
      : [
        problem(
          `${node.name} has no ${gone}`,
          `neo tls issue ${node.name} where the authority's key is, and bring its files here`,
        ),
      ];
  });
  const ending = list(tls).filter(({ isOld, untilMs }) =>
    !isOld && untilMs - nowMs < CERTIFICATE_WARN_DAYS * DAY_MS
  );
  const late = ending.map(({ role, name, untilMs }) => {
    const text = `the certificate of ${role} ${name} ends on ${new Date(untilMs).toISOString().slice(0, 10)}`;
    return untilMs < nowMs ? problem(text, `neo tls renew ${name}`) : warning(text, `neo tls renew ${name}`);
  });
  const all = [...missing, ...late];
  return all.length > 0
    ? all
    : [ok(`certificates in ${tls} are there, and valid for ${CERTIFICATE_WARN_DAYS} days or more`)];
}

/** What the cluster itself says, if any of it runs here. */
async function cluster(config: ClusterConfig, withinMs: number): Promise<Found[]> {
  const runs = config.nodes.some((node) =>
    isHere(config, node) && existsSync(node.data) && processStateOf(node).state === "running"
  );
  if (!runs) return [ok("no node of it runs here")];
  const seen = await look({ kind: "folder", config, uri: uriOf(config) }, withinMs);
  // disks and certificates have their own looks
  const findings = judge({ ...seen, disks: [], certificates: [] }).map(({ severity, text }) => ({
    severity,
    text,
    remedy: "see neo status",
  }));
  return findings.length > 0
    ? findings
    : [ok("a primary answers, all is well; no clock is ahead of this one")];
}
