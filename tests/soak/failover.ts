/**
 * How soon a cluster of real processes goes on after it has lost something, run by run. Each part works on a cluster of its
 * own, under the load of writers, and looks afterwards whether everything that was acknowledged is there.
 */
import { rmSync } from "node:fs";
import { monoMs, pause } from "../../cli/wait.ts";
import { neo } from "../cli_world.ts";
import { backupFollows } from "./backup.ts";
import { databasesCompared } from "./databases.ts";
import { Scene } from "./scene.ts";
import { mastersAccepted } from "./soak_cluster.ts";

/** What a part has measured. */
export interface PartReport {
  readonly name: string;
  /** What `ms` are. */
  readonly what: string;
  readonly ms: readonly number[];
  /** The most that any of them may be; undefined: the number is for information. */
  readonly boundMs: number | undefined;
  /** Other facts, for people. */
  readonly facts: readonly string[];
  readonly breaches: readonly string[];
}

/** A part that this tree can't run yet, and why. */
export interface Skipped {
  readonly name: string;
  readonly skipped: string;
}

/** How parts are run. */
export interface FailoverOptions {
  readonly seed: number;
  readonly runs: number;
  /** How often everything is killed. */
  readonly kills: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Another master takes over within this time, though nothing says that the primary is gone. */
const TAKEOVER_MS_MAX = 60_000;
/** How often is looked. */
const LOOK_MS = 100;
/** Writing resumes this soon after the primary was killed. */
const PRIMARY_MS_MAX = 3_000;
/** Commits go on this soon after a storage was killed. */
const STORAGE_MS_MAX = 2_000;
/** What a returning storage may be sent: this for each commit that it missed, and this besides. */
const COMMIT_BYTES_MAX = 1024;
const COPIED_BYTES_MAX = 256 * 1024;

/** Several masters: the primary is killed, writing resumes. */
async function primaryKilled(options: FailoverOptions): Promise<PartReport | Skipped> {
  const name = "3 masters, kill -9 of the primary";
  if (mastersAccepted(3) !== 3) return { name, skipped: "init takes one master" };
  await using scene = await Scene.set({ masters: 3, storages: 2 }, options.seed);
  const ms: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.signal.throwIfAborted();
    await scene.work();
    const primary = (await scene.cluster.status())?.primary ?? "";
    ms.push(await scene.killed(primary));
    await scene.cluster.startOrThrow(primary);
    await scene.healthy();
    options.say(`${name}: run ${run + 1}: ${ms.at(-1)?.toFixed(0)} ms`);
  }
  await scene.check();
  return { name, what: "until writing resumes", ms, boundMs: PRIMARY_MS_MAX, ...scene.found() };
}

/** Several masters: the primary is cut off from the others, but not from storages and clients. */
async function primaryCutOff(options: FailoverOptions): Promise<PartReport | Skipped> {
  const name = "3 masters, the primary is cut off from the others";
  if (mastersAccepted(3) !== 3) return { name, skipped: "init takes one master" };
  await using scene = await Scene.set({ masters: 3, storages: 2 }, options.seed);
  const { network } = scene.cluster;
  const ms: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.signal.throwIfAborted();
    await scene.work();
    const before = await scene.cluster.status();
    const primary = before?.primary ?? "";
    const others = scene.cluster.nodes("master").filter((node) => node.name !== primary);
    const heal = network.cut(
      ...others.flatMap((node) => [[primary, node.name], [node.name, primary]] as const),
    );
    const sinceMs = monoMs();
    const uri = `neo://shop@${others.map(({ address }) => address).join(",")}`;
    const isReplaced = await untilEpoch(scene, uri, before?.epoch ?? 0);
    if (isReplaced) {
      await scene.resumed();
      ms.push(monoMs() - sinceMs);
    } else scene.breaches.push(`run ${run + 1}: no other master took over while the primary was cut off`);
    heal();
    await scene.healthy();
    options.say(`${name}: run ${run + 1}: ${ms.at(-1)?.toFixed(0)} ms`);
    if (!isReplaced) break;
  }
  await scene.check();
  return { name, what: "until writing resumes", ms, boundMs: undefined, ...scene.found() };
}

/** Waits until a cluster runs under a higher epoch, as some of its masters see it. */
async function untilEpoch(scene: Scene, uri: string, epoch: number): Promise<boolean> {
  const endMs = monoMs() + TAKEOVER_MS_MAX;
  while (monoMs() < endMs) {
    const status = await scene.cluster.status(uri);
    if (status?.state === "running" && status.epoch > epoch) return true;
    await pause(LOOK_MS);
  }
  return false;
}

/** Two copies: one storage is killed, commits go on; when it is back, it takes only what it has missed. */
async function storageKilled(options: FailoverOptions): Promise<PartReport> {
  await using scene = await Scene.set({ masters: 1, storages: 2 }, options.seed);
  const name = "2 storages, 1 replica, kill -9 of one";
  const ms: number[] = [];
  const back: number[] = [];
  const copied: number[] = [];
  const missed: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.signal.throwIfAborted();
    await scene.work();
    const victim = `s${1 + run % 2}`;
    const known = scene.writers.acknowledged.length;
    ms.push(await scene.killed(victim));
    await scene.work();
    missed.push(scene.writers.acknowledged.length - known);
    const before = scene.copied();
    await scene.cluster.startOrThrow(victim);
    back.push(await scene.healthy());
    copied.push(scene.copied() - before);
    if (copied[run]! > COPIED_BYTES_MAX + missed[run]! * COMMIT_BYTES_MAX) {
      scene.breaches.push(`run ${run + 1}: ${copied[run]} bytes were copied for ${missed[run]} commits`);
    }
    options.say(`${name}: run ${run + 1}: ${ms.at(-1)?.toFixed(0)} ms, ${copied.at(-1)} bytes copied`);
  }
  await scene.check();
  scene.facts.push(
    `copied when it was back: ${
      copied.map((bytes, run) => `${(bytes / 1024).toFixed(0)} KiB (${missed[run]} commits missed)`).join(
        ", ",
      )
    }`,
    `up to date again after ${back.map((ms) => `${(ms / 1_000).toFixed(1)} s`).join(", ")}`,
  );
  return { name, what: "until all writers commit again", ms, boundMs: STORAGE_MS_MAX, ...scene.found() };
}

/** A storage's disk is lost: another takes its place and gets everything. */
async function diskLost(options: FailoverOptions): Promise<PartReport | Skipped> {
  const name = "total loss of one node's disk";
  const help = await neo(["node", "add", "--help"]);
  if (!/--replace/.test(help.stdout)) return { name, skipped: "neo node add --replace isn't there" };
  await using scene = await Scene.set({ masters: 1, storages: 2 }, options.seed);
  await scene.work();
  await scene.cluster.kill9("s2");
  await scene.work();
  rmSync(scene.cluster.nodes().find((node) => node.name === "s2")!.data, { recursive: true });
  const beganMs = monoMs();
  const added = await scene.cluster.neo("node", "add", "s3", "--replace", "s2");
  if (added.exitCode !== 0) {
    scene.breaches.push(`neo node add s3 --replace s2: ${added.stdout}${added.stderr}`);
  }
  scene.cluster.forget("s2");
  await scene.healthy();
  const ms = [monoMs() - beganMs];
  await scene.check();
  return { name, what: "until both copies are whole again", ms, boundMs: undefined, ...scene.found() };
}

/** Everything is killed, again and again, at moments that nobody has chosen. */
async function allKilled(options: FailoverOptions): Promise<PartReport> {
  const masters = mastersAccepted(3);
  const name = `kill -9 of everything ${options.kills} times, ${masters} masters, 2 storages`;
  await using scene = await Scene.set({ masters, storages: 2 }, options.seed);
  const ms: number[] = [];
  for (let run = 0; run < options.kills; run++) {
    options.signal.throwIfAborted();
    await scene.work();
    const names = scene.cluster.nodes().map((node) => node.name);
    await scene.cluster.kill9(...names);
    for (const node of names) await scene.cluster.startOrThrow(node);
    ms.push(await scene.resumed());
    await scene.healthy();
    options.say(`kill ${run + 1}: ${scene.writers.acknowledged.length} acknowledged`);
  }
  await scene.check();
  return {
    name,
    what: "from the last start until all writers commit",
    ms,
    boundMs: undefined,
    ...scene.found(),
  };
}

/** All parts, by name. */
export const parts: {
  readonly [name: string]: (options: FailoverOptions) => Promise<PartReport | Skipped>;
} = {
  primary: primaryKilled,
  cutoff: primaryCutOff,
  storage: storageKilled,
  disk: diskLost,
  all: allKilled,
  databases: databasesCompared,
  backup: backupFollows,
};

/** What is beyond its bound. */
export function lateOf({ name, ms, boundMs }: PartReport): string[] {
  const worst = Math.max(...ms);
  return boundMs === undefined || worst <= boundMs
    ? []
    : [`${name}: ${worst.toFixed(0)} ms, ${boundMs} ms is the bound`];
}
