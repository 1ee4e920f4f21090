/**
 * `neo.toml`: everything that the nodes of a cluster on this machine need at start, but for their data.
 *
 * ```toml
 * cluster = "shop"
 * clusterId = "5f0c..."
 * partitions = 240
 * replicas = 1
 * transactionTimeoutMs = 120_000   # optional: how long a hanging client may hold locks
 * tls = "tls"          # optional: the folder with certificates, as `neo tls` makes them; then everybody shows one
 * multicast = "239.1.2.3:9199"   # optional: notices to many go there as datagrams
 * multicastInterface = "10.0.0.5"   # optional: by the network of this address
 * here = "db1"         # optional: the machine where this file lies; it runs the nodes with that host, and those without one
 *
 * [[node]]
 * name = "s1"
 * role = "storage"
 * address = "127.0.0.1:9101"
 * listen = "127.0.0.1:9301"   # optional: where it listens, if others reach it at `address` through something else
 * data = "s1"          # a folder, seen from this file
 * process = "single"   # optional: nodes of one process
 * database = "postgres://neo@db1:5432/shop?schema=s1"   # optional, storages: instead of a SQLite file in the data folder
 * passwordFile = "s1.password"   # optional: with the password of that server
 * override = { "log.level" = "debug" }   # optional, for an emergency: counts more than what `neo config` has set
 * http = "127.0.0.1:9180"     # optional: serves /livez, /readyz, /status and /metrics there
 * httpTokenFile = "s1.token"  # optional: the last two want this token; a file that isn't there is made
 * watch = "watch.toml"        # optional, admins: the clusters that it watches, and whom it tells
 * upstream = "neo://shop@db1:9100"   # optional, admins: while this cluster is a backup, the one that it copies; see `neo cluster follow`
 * host = "db2"         # optional: the machine that runs it, if that isn't the one that `here` names
 * ```
 */
import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { parse, stringify, TomlError } from "smol-toml";
import { postgresPlace } from "../adapters/postgres_uri.ts";
import { configKey, settingProblem } from "../core/config_keys.ts";
import {
  CALL_TIMEOUT_MS_MAX,
  PARTITIONS_MAX,
  TRANSACTION_TIMEOUT_MS,
  TRANSACTION_TIMEOUT_MS_MIN,
} from "../core/limits.ts";
import { credentialsIn, escapedZone, formatUri, parseUri } from "../core/uri.ts";
import { CliError } from "./exit.ts";
import { multicastFields } from "./multicast.ts";
import type { MulticastConfig } from "./multicast.ts";
import { credentialsOf, FIRST_CLIENT } from "./tls_folder.ts";
import { Fields } from "./toml_fields.ts";

/** Name of the file. */
export const CONFIG_FILE = "neo.toml";
/** What `init` writes first and renames last: where only this stands, an `init` didn't come to its end. */
export const UNFINISHED_FILE = "neo.toml.unfinished";

/** Roles that run as nodes. */
export const nodeRoles = ["master", "storage", "admin"] as const;
/** One of them. */
export type NodeRole = (typeof nodeRoles)[number];

/** One node as `neo.toml` describes it. */
export interface NodeConfig {
  readonly name: string;
  readonly role: NodeRole;
  /** `host:port`, where others reach it. */
  readonly address: string;
  /** `host:port`, where it listens, if that isn't its address: behind a forwarded port, a proxy, a container's edge. */
  readonly listen?: string;
  /** Absolute path of its data folder. */
  readonly data: string;
  /** Nodes with the same value run in one process; without the key it is the node's name. */
  readonly process: string;
  /** Storages: a PostgreSQL server and a schema of it, instead of a SQLite file. */
  readonly database?: string;
  /** Absolute path of the file with that server's password. */
  readonly passwordFile?: string;
  /** Configuration that counts more on this node than what the cluster says: for an emergency. */
  readonly overrides?: { readonly [key: string]: string };
  /** The machine that runs it, if others have nodes of this cluster too. */
  readonly host?: string;
  /** `host:port` where it serves pages for monitors. */
  readonly http?: string;
  /** Absolute path of the file with the token that its pages want. */
  readonly httpTokenFile?: string;
  /** Absolute path of the file that says which clusters an admin watches, and whom it tells. */
  readonly watch?: string;
  /** Admins: the cluster that they copy from while this one is a backup. */
  readonly upstream?: string;
}

/** A cluster as `neo.toml` describes it. */
export interface ClusterConfig {
  /** Absolute path of the folder with `neo.toml`. */
  readonly folder: string;
  readonly cluster: string;
  readonly clusterId: string;
  readonly partitions: number;
  /** Copies of each object besides the first. */
  readonly replicas: number;
  /** Whether nodes may listen beyond this machine without TLS. */
  readonly insecure: boolean;
  /** How long a storage holds what a client that hangs hasn't finished, before the primary decides. */
  readonly transactionTimeoutMs: number;
  /** Absolute path of the folder with certificates: everybody shows one; not, unless told. */
  readonly tls?: string;
  /** Notices to many go there as datagrams, too; not, unless told. */
  readonly multicast?: MulticastConfig;
  /** The machine where the file lies, if nodes have hosts. */
  readonly here?: string;
  readonly nodes: readonly NodeConfig[];
}

/** A group of nodes that share a process; most have one. */
export interface ProcessConfig {
  readonly name: string;
  readonly nodes: readonly NodeConfig[];
}

/** What names of clusters, nodes and processes may be: they stand in URIs, file names and tables. */
export const NAME_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
/** The same in words. */
export const NAME_RULE = "1 to 63 letters, digits and . _ - between them";

const CLUSTER_KEYS = [
  "cluster",
  "clusterId",
  "partitions",
  "replicas",
  "insecure",
  "transactionTimeoutMs",
  "tls",
  "multicast",
  "multicastInterface",
  "here",
  "node",
];
const NODE_KEYS = [
  "name",
  "role",
  "address",
  "listen",
  "data",
  "process",
  "host",
  "database",
  "passwordFile",
  "override",
  "http",
  "httpTokenFile",
  "watch",
  "upstream",
];
/** `host:port`, as far as a pattern can tell. */
export const ADDRESS_PATTERN = /^(\[[0-9a-fA-F:.]+(?:%[\w.-]+)?\]|[^\s:[\]]+):\d{1,5}$/;

/**
 * Reads the `neo.toml` of a folder.
 *
 * @throws CliError (`notFound`) when there is none, (`usage`) with line and column when it is wrong
 */
export function readConfig(folder: string): ClusterConfig {
  const file = resolve(folder, CONFIG_FILE);
  return parseConfig(readFileSync(file, "utf8"), file);
}

/**
 * Reads the text of a `neo.toml`; `file` is its path, to which data folders are relative.
 *
 * @throws CliError (`usage`) naming the key, what is wrong with it, line and column
 */
export function parseConfig(text: string, file: string): ClusterConfig {
  const top = new Fields(parseToml(text, file), { file, text });
  top.refuseOthers(CLUSTER_KEYS);
  const here = top.optionalText("here", NAME_PATTERN, NAME_RULE);
  const insecure = top.flag("insecure", false);
  const tls = top.optionalText("tls", /./, "a folder");
  const config: ClusterConfig = {
    folder: dirname(file),
    ...multicastFields(top, insecure),
    ...(here === undefined ? {} : { here }),
    ...(tls === undefined ? {} : { tls: resolve(dirname(file), tls) }),
    cluster: top.text("cluster", NAME_PATTERN, NAME_RULE),
    clusterId: top.text("clusterId", /^[0-9a-f]{32}$/, "32 hexadecimal digits, as init made them"),
    partitions: top.whole("partitions", 1, PARTITIONS_MAX),
    replicas: top.whole("replicas", 0, PARTITIONS_MAX),
    insecure,
    transactionTimeoutMs: top.whole(
      "transactionTimeoutMs",
      TRANSACTION_TIMEOUT_MS_MIN,
      CALL_TIMEOUT_MS_MAX,
      TRANSACTION_TIMEOUT_MS,
    ),
    nodes: top.tables("node").map((fields) => nodeOf(fields, dirname(file))),
  };
  checkNodes(config, top);
  return config;
}

/**
 * Parses TOML.
 *
 * @throws CliError (`usage`) with line and column
 */
export function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n", 1)[0]!.replace(/^Invalid TOML document: /, "");
    const place = `line ${error.line}, column ${error.column}`;
    throw new CliError("usage", `Cannot read ${file}: ${what} (${place})`, { cause: error });
  }
}

function nodeOf(fields: Fields, folder: string): NodeConfig {
  fields.refuseOthers(NODE_KEYS);
  const name = fields.text("name", NAME_PATTERN, NAME_RULE);
  const address = fields.text("address", ADDRESS_PATTERN, "host:port");
  const listen = fields.text("listen", ADDRESS_PATTERN, "host:port", address);
  const host = fields.optionalText("host", NAME_PATTERN, NAME_RULE);
  const role = fields.choice("role", nodeRoles);
  return {
    name,
    role,
    address,
    ...(listen === address ? {} : { listen }),
    data: resolve(folder, fields.text("data", /./, "a folder")),
    process: fields.text("process", NAME_PATTERN, NAME_RULE, name),
    ...(host === undefined ? {} : { host }),
    ...databaseOf(fields, folder),
    ...overridesOf(fields, role),
    ...pagesOf(fields, folder),
    ...watchOf(fields, folder),
    ...upstreamOf(fields),
  };
}

/** What is set on the node itself, by key. */
function overridesOf(fields: Fields, role: NodeRole): Pick<NodeConfig, "overrides"> {
  const overrides = fields.texts("override");
  for (const [key, value] of Object.entries(overrides)) {
    const problem = settingProblem({ scope: "cluster", key, value });
    if (problem !== undefined) throw fields.error("override", problem);
    const roles = configKey(key)?.roles ?? [];
    if (!roles.includes(role)) {
      throw fields.error("override", `${key}: it is for ${roles.join(", ")}, not for a ${role}`);
    }
  }
  return Object.keys(overrides).length === 0 ? {} : { overrides };
}

/** What an admin watches stands in a file of its own. */
function watchOf(fields: Fields, folder: string): Pick<NodeConfig, "watch"> {
  const watch = fields.optionalText("watch", /./, "a file");
  if (watch === undefined) return {};
  if (fields.choice("role", nodeRoles) !== "admin") throw fields.error("watch", "only admins watch clusters");
  return { watch: resolve(folder, watch) };
}

/** The cluster that a backup follows. */
function upstreamOf(fields: Fields): Pick<NodeConfig, "upstream"> {
  const upstream = fields.optionalText("upstream", /^neo:\/\//, "neo://NAME@HOST:PORT");
  if (upstream === undefined) return {};
  if (fields.choice("role", nodeRoles) !== "admin") {
    throw fields.error("upstream", "only admins follow other clusters");
  }
  try {
    credentialsIn(parseUri(upstream));
  } catch (error) {
    throw fields.error("upstream", error instanceof Error ? error.message : String(error));
  }
  return { upstream };
}

/** Where a node shows itself over HTTP; beyond its machine with a token only. */
function pagesOf(fields: Fields, folder: string): Pick<NodeConfig, "http" | "httpTokenFile"> {
  const http = fields.optionalText("http", ADDRESS_PATTERN, "host:port");
  const file = fields.optionalText("httpTokenFile", /./, "a file");
  if (http === undefined) {
    if (file !== undefined) throw fields.error("httpTokenFile", "there is no http that it could be for");
    return {};
  }
  if (!isLoopback(http) && file === undefined) {
    throw fields.error("http", `"${http}" can be reached from elsewhere; it needs an httpTokenFile`);
  }
  return { http, ...(file === undefined ? {} : { httpTokenFile: resolve(folder, file) }) };
}

/** Where a storage's database is, if it isn't a file in its folder. Secrets don't stand in this file. */
function databaseOf(fields: Fields, folder: string): Pick<NodeConfig, "database" | "passwordFile"> {
  const database = fields.optionalText("database", /./, "postgres://user@host:port/database?schema=NAME");
  const passwordFile = fields.optionalText("passwordFile", /./, "a file");
  if (database === undefined) {
    if (passwordFile !== undefined) {
      throw fields.error("passwordFile", "there is no database that it could be for");
    }
    return {};
  }
  if (fields.choice("role", nodeRoles) !== "storage") {
    throw fields.error("database", "only storages have one");
  }
  try {
    postgresPlace(database);
  } catch (error) {
    throw fields.error("database", error instanceof Error ? error.message : String(error));
  }
  if (new URL(database).password !== "") {
    throw fields.error("database", "a password doesn't belong here: use passwordFile, or PGPASSWORD");
  }
  return { database, ...(passwordFile === undefined ? {} : { passwordFile: resolve(folder, passwordFile) }) };
}

/** Whether a node runs on the machine where the cluster's file lies. */
export function isHere({ here }: Pick<ClusterConfig, "here">, { host }: Pick<NodeConfig, "host">): boolean {
  return host === undefined || host === here;
}

/** What holds between nodes: names, addresses and folders are their own, and there is a master. */
function checkNodes(config: ClusterConfig, top: Fields): void {
  const tables = top.tables("node");
  for (const keys of [["name"], ["address", "listen"], ["data"]] as const) {
    const seen = new Map<string, NodeConfig>();
    for (const [index, node] of config.nodes.entries()) {
      for (const key of keys) {
        const value = node[key];
        if (value === undefined || (key === "data" && !isHere(config, node))) continue;
        const other = seen.get(value);
        if (other !== undefined) throw tables[index]!.error(key, `"${value}" is taken by node ${other.name}`);
        seen.set(value, node);
      }
    }
  }
  config.nodes.forEach((node, index) => {
    const key = node.listen === undefined ? "address" : "listen";
    const where = listensAt(node);
    if (config.insecure || config.tls !== undefined || isLoopback(where) || !isHere(config, node)) return;
    const rule =
      "without TLS a node listens on this machine only, say 127.0.0.1, unless the file says insecure = true";
    throw tables[index]!.error(key, `"${where}" can be reached from elsewhere; ${rule}`);
  });
  const masters = config.nodes.filter(({ role }) => role === "master").length;
  if (masters < 1) throw top.error("node", `expected at least 1 node with role = "master", found none`);
}

/** Where a node listens. */
export function listensAt({ address, listen }: Pick<NodeConfig, "address" | "listen">): string {
  return listen ?? address;
}

/** Whether an address is this machine's own, which nobody else reaches. */
export function isLoopback(address: string): boolean {
  const host = hostOf(address);
  return host === "localhost" || isLoopback6(host) || /^127(\.\d{1,3}){3}$/.test(host);
}

/** `::1`, however it is written. */
function isLoopback6(host: string): boolean {
  return host.startsWith("[") && URL.canParse(`http://${host}`)
    && new URL(`http://${host}`).hostname === "[::1]";
}

/** The host of an address, an IPv6 one in its brackets. */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** The text of a `neo.toml`. */
export function formatConfig(config: ClusterConfig, dataOf: (node: NodeConfig) => string): string {
  const { cluster, clusterId, partitions, replicas, insecure, transactionTimeoutMs, multicast } = config;
  const node = config.nodes.map((node) => ({
    name: node.name,
    role: node.role,
    address: node.address,
    ...(node.listen === undefined ? {} : { listen: node.listen }),
    data: dataOf(node),
    ...(node.process === node.name ? {} : { process: node.process }),
    ...(node.host === undefined ? {} : { host: node.host }),
    ...(node.overrides === undefined ? {} : { override: node.overrides }),
    ...(node.database === undefined ? {} : { database: node.database }),
    ...(node.passwordFile === undefined ? {} : { passwordFile: node.passwordFile }),
    ...(node.http === undefined ? {} : { http: node.http }),
    ...(node.watch === undefined ? {} : { watch: node.watch }),
    ...(node.upstream === undefined ? {} : { upstream: node.upstream }),
    ...(node.httpTokenFile === undefined ? {} : { httpTokenFile: node.httpTokenFile }),
  }));
  const optional = {
    ...(insecure ? { insecure } : {}),
    ...(transactionTimeoutMs === TRANSACTION_TIMEOUT_MS ? {} : { transactionTimeoutMs }),
    ...(multicast === undefined ? {} : { multicast: multicast.group }),
    ...(multicast?.networkInterface === undefined ? {} : { multicastInterface: multicast.networkInterface }),
    ...(config.here === undefined ? {} : { here: config.here }),
    ...(config.tls === undefined ? {} : { tls: relative(config.folder, config.tls) }),
  };
  const top = { cluster, clusterId, partitions, replicas, ...optional, node };
  return `# What the nodes of this cluster need at start. Made by \`neo init\`.\n${stringify(top)}`;
}

/** The processes of a cluster on this machine: masters first, because everybody else waits for them. */
export function processesOf(config: ClusterConfig): ProcessConfig[] {
  const groups = new Map<string, NodeConfig[]>();
  const here = config.nodes.filter((node) => isHere(config, node));
  const ordered = nodeRoles.flatMap((role) => here.filter((node) => node.role === role));
  for (const node of ordered) groups.set(node.process, [...(groups.get(node.process) ?? []), node]);
  return [...groups].map(([name, nodes]) => ({ name, nodes }));
}

/**
 * The processes that run the named nodes; a process may be named too; no name means all.
 *
 * @throws CliError (`usage`) when a name is neither
 */
export function selectProcesses(config: ClusterConfig, names: readonly string[]): ProcessConfig[] {
  const all = processesOf(config);
  if (names.length === 0) return all;
  const known = (name: string) =>
    all.find((group) => group.name === name || group.nodes.some((node) => node.name === name));
  const unknown = names.find((name) => known(name) === undefined);
  if (unknown !== undefined) {
    const message = `Cannot find node "${unknown}" in cluster ${config.cluster}`;
    const elsewhere = config.nodes.find(({ name }) => name === unknown)?.host;
    throw new CliError("usage", elsewhere === undefined ? message : `${message} on this machine`, {
      hint: elsewhere === undefined
        ? `its nodes: ${all.flatMap(({ nodes }) => nodes.map(({ name }) => name)).join(", ")}`
        : `do this on ${elsewhere}`,
    });
  }
  const wanted = new Set(names.map((name) => known(name)));
  return all.filter((group) => wanted.has(group));
}

/** The URI at which clients find the cluster; with TLS it says what the first of them shows. */
export function uriOf(config: ClusterConfig): string {
  const masters = config.nodes.filter(({ role }) => role === "master").map(({ address }) => address);
  const { cluster, tls } = config;
  if (tls === undefined) return `neo://${cluster}@${masters.map(escapedZone).join(",")}`;
  const { ca, cert, key } = credentialsOf(tls, FIRST_CLIENT);
  return formatUri({ cluster, masters, options: { ca, cert, key } });
}
