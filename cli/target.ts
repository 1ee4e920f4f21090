/**
 * Which cluster a command means. One rule for all: `-C`/`--cluster`, else NEO_CLUSTER, else the `neo.toml` here or in
 * a folder above. The value is a folder, a `neo://` URI, or a name that `init` has written down.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";
import { parse, stringify } from "smol-toml";
import { parseUri } from "../core/uri.ts";
import type { ClusterUri } from "../core/uri.ts";
import { CONFIG_FILE, readConfig, UNFINISHED_FILE, uriOf } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import { CliError } from "./exit.ts";
import type { Env } from "./output.ts";

/** A cluster: of this machine with its configuration, or somewhere. */
export type Target =
  | { readonly kind: "folder"; readonly config: ClusterConfig; readonly uri: string }
  | { readonly kind: "uri"; readonly uri: string; readonly parsed: ClusterUri };

/** What the rule looks at. */
export interface Surroundings {
  readonly env: Env;
  /** Where relative folders begin. */
  readonly cwd: string;
}

/**
 * Finds the cluster that a command means. `given` is the value of `-C`.
 *
 * @throws CliError (`usage`) when nothing names a cluster, (`notFound`) when what is named isn't there
 */
export function resolveTarget(given: string | undefined, around: Surroundings): Target {
  const value = given ?? (around.env["NEO_CLUSTER"] || undefined);
  if (value === undefined) return folderTarget(folderAbove(around.cwd));
  if (/^neo:\/\//i.test(value)) return uriTarget(value);
  const path = resolve(around.cwd, value);
  if (existsSync(join(path, CONFIG_FILE))) return folderTarget(path);
  if (basename(path) === CONFIG_FILE && existsSync(path)) return folderTarget(dirname(path));
  if (!looksLikePath(value)) {
    const folder = clustersByName(around.env)[value];
    if (folder !== undefined) return namedTarget(value, folder);
    if (!existsSync(path)) throw unknownName(value, around.env);
  }
  throw noClusterIn(path);
}

/**
 * The same for commands that work on this machine's processes and folders.
 *
 * @throws CliError (`usage`) when the target is a URI
 */
export function resolveFolder(given: string | undefined, around: Surroundings): ClusterConfig {
  const target = resolveTarget(given, around);
  if (target.kind === "folder") return target.config;
  const hint = "name the folder with its neo.toml: -C FOLDER";
  throw new CliError("usage", `Cannot use ${target.uri} here: this command works on a folder`, { hint });
}

/** The name of a cluster. */
export function clusterNameOf(target: Target): string {
  return target.kind === "folder" ? target.config.cluster : target.parsed.cluster;
}

function uriTarget(uri: string): Target {
  try {
    return { kind: "uri", uri, parsed: parseUri(uri) };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CliError("usage", error.message, { cause: error });
  }
}

function folderTarget(folder: string): Target {
  const config = readConfig(folder);
  return { kind: "folder", config, uri: uriOf(config) };
}

function namedTarget(name: string, folder: string): Target {
  if (existsSync(join(folder, CONFIG_FILE))) return folderTarget(folder);
  const hint = "if you have moved it, name its folder: -C FOLDER";
  throw new CliError("notFound", `Cannot find cluster "${name}": ${folder} has no ${CONFIG_FILE}`, { hint });
}

function looksLikePath(value: string): boolean {
  return value.includes("/") || value.includes("\\") || value.startsWith(".");
}

/** The nearest folder with a `neo.toml`, from `start` upwards. */
function folderAbove(start: string): string {
  for (let folder = resolve(start);; folder = dirname(folder)) {
    if (existsSync(join(folder, CONFIG_FILE))) return folder;
    if (existsSync(join(folder, UNFINISHED_FILE))) throw noClusterIn(folder);
    if (dirname(folder) === folder) break;
  }
  const hint = "name one with -C FOLDER, -C neo://... or -C NAME, or make one: neo init DIR";
  throw new CliError("usage", `Cannot tell which cluster is meant: no ${CONFIG_FILE} here or above`, {
    hint,
  });
}

function noClusterIn(path: string): CliError {
  if (!existsSync(path)) {
    return new CliError("notFound", `Cannot find a cluster in ${path}: there is no such folder`);
  }
  if (!statSync(path).isDirectory()) {
    return new CliError("notFound", `Cannot find a cluster in ${path}: it is no folder`);
  }
  if (existsSync(join(path, UNFINISHED_FILE))) {
    const message = `Cannot use the cluster in ${path}: an init there didn't come to its end`;
    return new CliError("refused", message, {
      hint: "remove the folder and init again; it holds no data yet",
    });
  }
  const hint = `make a cluster there: neo init ${path}`;
  return new CliError("notFound", `Cannot find a cluster in ${path}: it has no ${CONFIG_FILE}`, { hint });
}

function unknownName(name: string, env: Env): CliError {
  const names = Object.keys(clustersByName(env));
  const hint = names.length === 0
    ? "no cluster has a name here yet"
    : `known names: ${names.sort().join(", ")}`;
  return new CliError("notFound", `Cannot find cluster "${name}": no folder and no known name`, { hint });
}

/** The file that maps names to folders. */
function clustersFile(env: Env): string {
  const home = env["NEO_CONFIG_HOME"]
    || join(env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config"), "neo");
  return join(home, "clusters.toml");
}

/** Names that `init` has written down, with their folders. */
export function clustersByName(env: Env): { readonly [name: string]: string } {
  const file = clustersFile(env);
  if (!existsSync(file)) return {};
  let clusters: unknown;
  try {
    clusters = parse(readFileSync(file, "utf8"))["clusters"];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const message = `Cannot read ${file}: ${error.message.split("\n", 1)[0]}`;
    throw new CliError("usage", message, { cause: error, hint: "repair or remove it" });
  }
  const entries = Object.entries(typeof clusters === "object" && clusters !== null ? clusters : {});
  return Object.fromEntries(entries.filter(([, folder]) => typeof folder === "string"));
}

/**
 * Writes a cluster's name down, in place of an earlier folder of that name.
 *
 * @returns the folder that had the name before, if it was another one
 */
export function rememberCluster(name: string, folder: string, env: Env): string | undefined {
  const file = clustersFile(env);
  const clusters = clustersByName(env);
  mkdirSync(dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, stringify({ clusters: { ...clusters, [name]: folder } }));
  renameSync(temporary, file);
  return clusters[name] === folder ? undefined : clusters[name];
}
