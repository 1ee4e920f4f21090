/** What a process of nodes may do, as flags of Deno: its folders, its cluster's addresses, and next to nothing else. */
import { dirname } from "node:path";
import { credentialsIn, parseUri } from "../core/uri.ts";
import { CONFIG_FILE, hostOf, isLoopback, listensAt } from "./config.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import { logFileOf } from "./log_tail.ts";
import { filesOfWatch } from "./monitor_file.ts";
import { credentialsOf } from "./tls_folder.ts";

/** Of this machine alone. */
const LOOPBACK = ["127.0.0.1", "[::1]", "localhost"];
/** Our own, what tells how a terminal is written to, and what it takes to begin `systemd-notify`. */
const ENVIRONMENT = ["NEO_*", "NOTIFY_SOCKET", "PATH", "NODE_V8_COVERAGE", "NO_COLOR", "FORCE_COLOR", "TERM"];

/**
 * The flags for a process: it reads and writes its data folders and its log, reads `neo.toml`, and meets the addresses of the
 * cluster. It runs no program, loads no library, and asks the system for the free space of its disks only.
 *
 * A cluster of several machines may get one more at any time, so that its nodes may meet any address. A storage on a database
 * server asks the environment and the system for what its client takes as defaults. An admin that watches clusters goes to them and to
 * whom it tells, by the commands that its operator names; one that copies another cluster goes to the nodes of that.
 */
export function permissionsOf(config: ClusterConfig, group: ProcessConfig): string[] {
  const folders = [...group.nodes.map(({ data }) => data), dirname(logFileOf(config, group.name))];
  const secrets = group.nodes.flatMap(({ passwordFile }) => passwordFile ?? []);
  const tokens = group.nodes.flatMap(({ httpTokenFile }) => httpTokenFile ?? []); // made where there is none
  const watches = group.nodes.flatMap(({ watch }) => watch ?? []);
  const { tls } = config;
  const upstreams = group.nodes.flatMap(({ upstream }) => upstream ?? []);
  // not the authority's key, though it may lie beside them
  const shown = tls === undefined
    ? []
    : group.nodes.flatMap((node) => Object.values(credentialsOf(tls, node)));
  const isOnServer = group.nodes.some(({ database }) => database !== undefined);
  const file = `${config.folder}/${CONFIG_FILE}`;
  return [
    "--no-prompt",
    flag("read", [
      ...folders,
      file,
      ...secrets,
      ...tokens,
      ...watches,
      ...watches.flatMap(filesOfWatch),
      ...upstreams.flatMap((uri) => Object.values(credentialsIn(parseUri(uri)) ?? {})),
      ...new Set(shown),
    ]),
    flag("write", [...folders, ...tokens]),
    flag("net", hostsOf(config, group)),
    flag("env", isOnServer || watches.length > 0 ? [] : ENVIRONMENT), // a command that is begun inherits all of it
    flag("sys", isOnServer ? [] : ["statfs"]),
    ...(watches.length > 0 ? ["--allow-run"] : []),
  ];
}

/** Without values all is allowed; Deno separates them by commas, and doubles those within. */
function flag(what: string, values: readonly string[]): string {
  if (values.length === 0) return `--allow-${what}`;
  return `--allow-${what}=${values.map((value) => value.replaceAll(",", ",,")).join(",")}`;
}

/** Empty: any. */
function hostsOf(config: ClusterConfig, group: ProcessConfig): string[] {
  const addresses = config.nodes.flatMap((node) => [node.address, listensAt(node), node.http ?? []].flat());
  // a watching admin meets other clusters, and whom it tells; one that follows another cluster meets all nodes of that
  const meets = group.nodes.some(({ watch, upstream }) => watch !== undefined || upstream !== undefined);
  if (meets || !addresses.every(isLoopback)) return [];
  const servers = group.nodes.flatMap(({ database }) => database === undefined ? [] : new URL(database).host);
  const { multicast } = config;
  const air = multicast === undefined ? [] : [hostOf(multicast.group), "0.0.0.0", "[::]"];
  return [...new Set([...LOOPBACK, ...addresses.map(hostOf), ...servers, ...air])];
}

/** The command that begins nodes, with no more rights than they need; a runtime that has no such flags is left as it is. */
export function confined(args: readonly string[], permissions: readonly string[]): string[] {
  const [command, all, ...rest] = args;
  return command === "run" && all === "-A" ? [command, ...permissions, ...rest] : [...args];
}
