/**
 * Who runs a node: a small file in its data folder, written by the process itself. A process id alone proves nothing:
 * it is used again, so the file holds the time at which its process began; and a process that has ended may stay in
 * the table as a zombie until its parent asks, which some never do.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { NodeConfig } from "./config.ts";
import { systemCodeOf } from "./exit.ts";

/** What a node's process says of itself. */
export interface PidFile {
  readonly pid: number;
  /** When the process began, in ticks since the machine did; 0 where that can't be had. */
  readonly startTime: number;
  readonly role: string;
  readonly name: string;
  readonly address: string;
  readonly version: string;
  /** Whether it has come so far that it listens. */
  readonly listens: boolean;
}

/** What became of a node's process. `crashed`: it ended and left its file behind. */
export type ProcessState =
  | { readonly state: "running"; readonly file: PidFile }
  | { readonly state: "crashed"; readonly file: PidFile }
  | { readonly state: "stopped" };

/**
 * When a process began, or "stdin" where it is told that there: one that is confined to its folders may not look at `/proc`.
 */
export const START_TIME_VARIABLE = "NEO_START_TIME";

let toldStartTime: number | undefined;

function ownStartTime(): number {
  const told = process.env[START_TIME_VARIABLE];
  if (told === undefined || told === "") return processInfo(process.pid)?.startTime ?? 0;
  return toldStartTime ??= Number(told === "stdin" ? readFileSync(0, "utf8").trim() : told);
}

function pathOf(node: { readonly data: string }): string {
  return join(node.data, "neo.pid");
}

/**
 * Says that this process is about to run a node, unless another one said so before: of two that begin at the same moment one
 * gives way, and takes nothing of the other's away.
 *
 * @returns the other's file
 */
export function claimPidFile(node: NodeConfig, version: string): PidFile | undefined {
  for (;;) {
    const temporary = writeTemporary(node, { address: node.address, listens: false }, version);
    try {
      linkSync(temporary, pathOf(node));
      return undefined;
    } catch (error) {
      const code = systemCodeOf(error) ?? "";
      if (["EPERM", "ENOTSUP"].includes(code)) { // no links there: the database's own lock is what is left
        renameSync(temporary, pathOf(node));
        return undefined;
      }
      if (code !== "EEXIST") throw error;
      const found = processStateOf(node);
      if (found.state === "running") return found.file;
      rmSync(pathOf(node), { force: true }); // of a process that is no more
    } finally {
      rmSync(temporary, { force: true });
    }
  }
}

/** Says that this process runs a node, which listens at `address`. */
export function writePidFile(
  node: NodeConfig,
  what: Pick<PidFile, "address" | "listens">,
  version: string,
): void {
  renameSync(writeTemporary(node, what, version), pathOf(node));
}

function writeTemporary(
  node: NodeConfig,
  { address, listens }: Pick<PidFile, "address" | "listens">,
  version: string,
): string {
  const { role, name } = node;
  const startTime = ownStartTime();
  const file: PidFile = { pid: process.pid, startTime, role, name, address, version, listens };
  mkdirSync(node.data, { recursive: true });
  const temporary = `${pathOf(node)}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(file)}\n`);
  return temporary;
}

/** Takes the file away, unless another process has written it meanwhile. */
export function removePidFile(node: NodeConfig): void {
  if (readPidFile(node)?.pid === process.pid) rmSync(pathOf(node), { force: true });
}

/** Takes away what a process left behind that runs no more. */
export function clearPidFile(node: NodeConfig): void {
  if (processStateOf(node).state !== "running") rmSync(pathOf(node), { force: true });
}

/** The file of a node; undefined when there is none or it can't be understood. */
export function readPidFile(node: { readonly data: string }): PidFile | undefined {
  let file: unknown;
  try {
    file = JSON.parse(readFileSync(pathOf(node), "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError || systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  return isPidFile(file) ? file : undefined;
}

function isPidFile(file: unknown): file is PidFile {
  return typeof file === "object" && file !== null && "pid" in file && "startTime" in file
    && Number.isInteger(file.pid) && Number.isInteger(file.startTime);
}

/** What became of the process that runs a node. */
export function processStateOf(node: { readonly data: string }): ProcessState {
  const file = readPidFile(node);
  if (file === undefined) return { state: "stopped" };
  return { state: isRunning(file) ? "running" : "crashed", file };
}

/** Whether the process that wrote a pid file still runs: the same process, and no zombie. */
export function isRunning(file: Pick<PidFile, "pid" | "startTime">): boolean {
  const info = lookedAt(file.pid);
  if (info === "hidden") return true;
  if (info === undefined) return file.startTime === 0 && answersSignals(file.pid);
  return info.state !== "Z" && info.state !== "X" && info.startTime === file.startTime;
}

/** Who may not look takes it for running: what was left by the dead was cleared away by who began us. */
function lookedAt(pid: number): ReturnType<typeof processInfo> | "hidden" {
  try {
    return processInfo(pid);
  } catch (error) {
    if (error instanceof Error && error.name === "NotCapable") return "hidden";
    throw error;
  }
}

/** For systems without `/proc`. */
function answersSignals(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCodeOf(error) === "EPERM";
  }
}

/** State and start of a process, as Linux tells them; undefined: no such process, or no such system. */
export function processInfo(pid: number): { readonly state: string; readonly startTime: number } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(systemCodeOf(error) ?? "")) return undefined;
    throw error;
  }
  // The second field is the program's name in brackets and may hold anything; the third comes after the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", startTime: Number(fields[19]) };
}

/**
 * Sends a signal to the process of a pid file, if it still is that process.
 *
 * @returns whether there was one
 */
export function signalProcess(file: PidFile | undefined, signal: "SIGTERM" | "SIGKILL"): boolean {
  if (file === undefined || !isRunning(file)) return false;
  try {
    return process.kill(file.pid, signal);
  } catch (error) {
    if (systemCodeOf(error) === "ESRCH") return false;
    throw error;
  }
}
