/**
 * A plan: the cluster that there should be, as `neo provision` reads it.
 *
 * ```toml
 * cluster = "shop"
 * folder = "shop"      # where this machine's part of it lies, seen from this file
 * partitions = 240     # fixed for ever
 * replicas = 1
 * tls = true           # optional: everybody shows a certificate; they are made
 * services = "system"  # optional: units for systemd, of the machine or, "user", of this account's session
 * here = "db1"         # optional: this machine, if nodes run on several
 *
 * [[node]]
 * name = "s1"
 * role = "storage"
 * address = "10.0.0.1:9101"   # optional on this machine: a free port is taken
 * data = "s1"                 # optional: a folder of its name
 * host = "db2"                # optional: the machine that runs it
 * database = "postgres://neo@db1/shop"   # optional, storages: a PostgreSQL server instead of a SQLite file
 * weight = 2                  # optional, storages: its part of all cells
 * path = "east/host7"         # optional, storages: where it stands
 * http = "127.0.0.1:9180"     # optional, as in neo.toml, and so are httpTokenFile and watch; files are seen from the cluster's folder
 *
 * [config.cluster]            # optional: all that is configured, but for what is revoked; also config.role.NAME and config.node.NAME
 * "storage.copyBytesPerS" = 5_000_000
 * ```
 */
import { dirname, isAbsolute, normalize, resolve } from "node:path";
import type { Setting } from "../core/config_keys.ts";
import { PARTITIONS_DEFAULT, PARTITIONS_MAX, PATH_LENGTH_MAX, WEIGHT_MAX } from "../core/limits.ts";
import { ADDRESS_PATTERN, NAME_PATTERN, NAME_RULE, nodeRoles, parseToml } from "./config.ts";
import type { NodeRole } from "./config.ts";
import { topologyPath } from "./parsers.ts";
import { settingsIn } from "./settings_file.ts";
import { databaseUriOf } from "./stores.ts";
import { Fields } from "./toml_fields.ts";
import type { Services } from "./unit_files.ts";

/** A node that there should be. */
export interface PlannedNode {
  readonly name: string;
  readonly role: NodeRole;
  /** `host:port`; undefined: a free port of this machine. */
  readonly address: string | undefined;
  /** Path of its data folder; seen from the cluster's folder if it isn't absolute. */
  readonly data: string;
  readonly host: string | undefined;
  /** Storages: a PostgreSQL server, instead of a SQLite file. */
  readonly database?: string;
  readonly passwordFile?: string;
  readonly http?: string;
  readonly httpTokenFile?: string;
  readonly watch?: string;
  /** Storages: its part of all cells; 0 is 1. */
  readonly weight: number;
  readonly path: readonly string[];
}

/** A cluster that there should be. */
export interface ProvisionPlan {
  /** Absolute path of the cluster's folder. */
  readonly folder: string;
  readonly cluster: string;
  readonly partitions: number;
  readonly replicas: number;
  readonly insecure: boolean;
  readonly here: string | undefined;
  /** Everybody shows a certificate. */
  readonly tls: boolean;
  /** systemd starts this machine's processes at boot; undefined: nobody does. */
  readonly services?: Services;
  readonly nodes: readonly PlannedNode[];
  /** All that there should be set; undefined: the plan doesn't say. */
  readonly config?: readonly Setting[];
}

const PATH_PATTERN = new RegExp(
  `^${NAME_PATTERN.source.slice(1, -1)}(?:/${NAME_PATTERN.source.slice(1, -1)}){0,${PATH_LENGTH_MAX - 1}}$`,
);
const PLAN_KEYS = [
  "cluster",
  "folder",
  "partitions",
  "replicas",
  "insecure",
  "tls",
  "services",
  "here",
  "node",
  "config",
];
const NODE_KEYS = [
  "name",
  "role",
  "address",
  "data",
  "host",
  "weight",
  "path",
  "database",
  "passwordFile",
  "http",
  "httpTokenFile",
  "watch",
];

/**
 * Reads the text of a plan; `file` is its path, to which the cluster's folder is relative.
 *
 * @throws CliError (`usage`) naming the key, what is wrong with it, line and column
 */
export function parsePlan(text: string, file: string): ProvisionPlan {
  const parsed = parseToml(text, file);
  const { config } = parsed;
  const top = new Fields(parsed, { file, text });
  top.refuseOthers(PLAN_KEYS);
  const cluster = top.text("cluster", NAME_PATTERN, NAME_RULE);
  const tables = top.tables("node");
  const services = top.optionalText("services", /^(?:user|system)$/, "user or system");
  const plan: ProvisionPlan = {
    cluster,
    folder: resolve(dirname(file), top.text("folder", /./, "a folder", cluster)),
    partitions: top.whole("partitions", 1, PARTITIONS_MAX, PARTITIONS_DEFAULT),
    replicas: top.whole("replicas", 0, PARTITIONS_MAX, 0),
    insecure: top.flag("insecure", false),
    tls: top.flag("tls", false),
    here: top.optionalText("here", NAME_PATTERN, NAME_RULE),
    nodes: tables.map((fields) => nodeOf(fields, cluster, dirname(file))),
    ...(services === undefined ? {} : { services: services as Services }),
    ...(config === undefined ? {} : { config: settingsIn(config as Record<string, unknown>, file) }),
  };
  checkCounts(plan, top);
  plan.nodes.forEach((node, at) => checkNode(plan, node, tables[at]!));
  return plan;
}

function nodeOf(fields: Fields, cluster: string, folder: string): PlannedNode {
  fields.refuseOthers(NODE_KEYS);
  const name = fields.text("name", NAME_PATTERN, NAME_RULE);
  const path = fields.optionalText("path", PATH_PATTERN, "names with / between them, such as east/host7");
  return {
    name,
    role: fields.choice("role", nodeRoles),
    address: fields.optionalText("address", ADDRESS_PATTERN, "host:port"),
    data: fields.text("data", /./, "a folder", name),
    host: fields.optionalText("host", NAME_PATTERN, NAME_RULE),
    weight: fields.whole("weight", 0, WEIGHT_MAX, 0),
    path: path === undefined ? [] : topologyPath(path),
    ...databaseOf(fields, cluster, { name, folder }),
    ...texts(fields, { http: ADDRESS_PATTERN, httpTokenFile: /./, watch: /./ }),
  };
}

/** Texts that may be there. */
function texts<K extends string>(
  fields: Fields,
  patterns: { readonly [N in K]: RegExp },
): { readonly [N in K]?: string } {
  const found = Object.entries<RegExp>(patterns).flatMap(([key, pattern]) => {
    const text = fields.optionalText(key, pattern, key === "http" ? "host:port" : "a file");
    return text === undefined ? [] : [[key, text] as const];
  });
  return Object.fromEntries(found) as { readonly [N in K]?: string };
}

function databaseOf(
  fields: Fields,
  cluster: string,
  { name, folder }: { readonly name: string; readonly folder: string },
): Pick<PlannedNode, "database" | "passwordFile"> {
  const database = fields.optionalText("database", /./, "postgres://user@host:port/database");
  const passwordFile = fields.optionalText("passwordFile", /./, "a file");
  if (database === undefined) return {};
  try {
    return {
      database: databaseUriOf(database, cluster, name),
      ...(passwordFile === undefined ? {} : { passwordFile: resolve(folder, passwordFile) }),
    };
  } catch (error) {
    throw fields.error("database", error instanceof Error ? error.message : String(error));
  }
}

function checkCounts({ nodes, replicas }: ProvisionPlan, top: Fields): void {
  const count = (role: NodeRole): number => nodes.filter((node) => node.role === role).length;
  if (![1, 3, 5].includes(count("master"))) {
    throw top.error("node", `expected 1, 3 or 5 nodes with role = "master", found ${count("master")}`);
  }
  if (replicas >= count("storage")) {
    const rule = `each copy needs a storage of its own, and there are ${count("storage")}`;
    throw top.error("replicas", `${rule}: expected less than that, found ${replicas}`);
  }
}

function checkNode({ nodes, here }: ProvisionPlan, node: PlannedNode, fields: Fields): void {
  const { name, address, host, data, role, weight, path } = node;
  if (nodes.find((other) => other.name === name) !== node) throw fields.error("name", `"${name}" is taken`);
  const taken = address === undefined ? undefined : nodes.find((other) => other.address === address);
  if (taken !== undefined && taken !== node) {
    throw fields.error("address", `"${address}" is taken by node ${taken.name}`);
  }
  if (host !== undefined && here === undefined) {
    throw fields.error("host", "the plan must say which machine this one is: here = ...");
  }
  const before = nodes.slice(0, nodes.indexOf(node)).filter((other) =>
    (other.host ?? here) === (host ?? here)
  );
  const sharing = before.find((other) => resolve("/", other.data) === resolve("/", data));
  if (sharing !== undefined) throw fields.error("data", `"${data}" is taken by node ${sharing.name}`);
  if (host !== undefined && host !== here && address === undefined) {
    throw fields.error("address", `expected host:port, because ${host} is another machine, found nothing`);
  }
  const isElsewhere = host !== undefined && host !== here;
  // an archive carries what lies in the cluster's folder, and nothing else
  if (isElsewhere && (isAbsolute(data) || normalize(data).split("/")[0] === "..")) {
    throw fields.error("data", "expected a folder seen from the cluster's folder on its machine");
  }
  if (role !== "storage" && node.database !== undefined) {
    throw fields.error("database", "only storages have one");
  }
  if (role !== "storage" && (weight > 0 || path.length > 0)) {
    throw fields.error(weight > 0 ? "weight" : "path", "only storages have one");
  }
}
