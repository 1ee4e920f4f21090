/**
 * Units for systemd: a service for each process of a cluster that runs on this machine, and a target that stands for all of them. A service
 * runs a small script, in which there is exactly what `neo start` would have begun.
 */
import { basename, join } from "node:path";
import { OPEN_FILES_UNIT } from "../core/limits.ts";
import type { ClusterConfig, ProcessConfig } from "./config.ts";
import { LOG_FILE_VARIABLE } from "./daemons.ts";
import { logFileOf } from "./log_tail.ts";
import { confined, permissionsOf } from "./permissions.ts";
import { START_TIME_VARIABLE } from "./pid_file.ts";

/** A file to be written. */
export interface UnitFile {
  readonly path: string;
  readonly text: string;
}

/** Where units are for. */
export interface UnitPlace {
  /** The folder of units. */
  readonly to: string;
  /** Whose services they are: systemd's own, by an account; or those of a person's session. */
  readonly user: string | undefined;
  /** Program and arguments of this command line. */
  readonly self: readonly string[];
}

/** The name of the target. */
export function targetName({ cluster }: ClusterConfig): string {
  return `neo-${cluster}.target`;
}

/** The name of a process's service. */
export function serviceName({ cluster }: ClusterConfig, { name }: ProcessConfig): string {
  return `neo-${cluster}-${name}.service`;
}

/** Everything that is written for some processes. */
export function unitsFor(
  config: ClusterConfig,
  groups: readonly ProcessConfig[],
  place: UnitPlace,
): UnitFile[] {
  const services = groups.flatMap((group) => {
    const script = join(config.folder, "service", `${group.name}.sh`);
    return [
      { path: script, text: scriptOf(config, group, place) },
      { path: join(place.to, serviceName(config, group)), text: serviceOf(config, group, place, script) },
    ];
  });
  return [...services, { path: join(place.to, targetName(config)), text: targetOf(config, place) }];
}

/**
 * Takes away what a process left behind that was killed, or lost its power: a confined node may not look itself whether that one still
 * runs, and would give way to it for ever. The same process has the same id and the same beginning, and is no zombie.
 */
const CLEARING = [
  "clear_stale() {",
  '  for file in "$@"; do',
  '    [ -f "$file" ] || continue',
  '    pid=$(sed -n \'s/.*"pid":\\([0-9]*\\).*/\\1/p\' "$file")',
  '    began=$(sed -n \'s/.*"startTime":\\([0-9]*\\).*/\\1/p\' "$file")',
  "    # state and the rest, behind the name in brackets",
  "    set -- $(sed 's/.*) //' \"/proc/${pid:-0}/stat\" 2>/dev/null)",
  '    [ "${1:-Z}" != Z ] && [ "${20}" = "$began" ] || rm -f "$file"',
  "  done",
  "}",
];

function scriptOf(config: ClusterConfig, group: ProcessConfig, { self }: UnitPlace): string {
  const [program = "", ...args] = self;
  const permissions = [...permissionsOf(config, group), "--allow-run=systemd-notify"];
  const command = [
    program,
    ...confined(args, permissions),
    "run",
    group.name,
    "--json",
    "--cluster",
    config.folder,
  ];
  return [
    "#!/bin/sh",
    "# Made by `neo service install`; do that again when neo.toml or neo itself has changed.",
    `${START_TIME_VARIABLE}=$(cut -d' ' -f22 /proc/$$/stat)`,
    `${LOG_FILE_VARIABLE}=${shellQuoted(logFileOf(config, group.name))}`,
    "DENO_NO_UPDATE_CHECK=1",
    `export ${START_TIME_VARIABLE} ${LOG_FILE_VARIABLE} DENO_NO_UPDATE_CHECK`,
    `mkdir -p ${shellQuoted(join(config.folder, "log"))}`,
    ...CLEARING,
    `clear_stale ${group.nodes.map(({ data }) => shellQuoted(join(data, "neo.pid"))).join(" ")}`,
    `exec ${command.map(shellQuoted).join(" \\\n  ")}`,
    "",
  ].join("\n");
}

function serviceOf(
  config: ClusterConfig,
  group: ProcessConfig,
  { user }: UnitPlace,
  script: string,
): string {
  const nodes = group.nodes.map(({ role, name }) => `${role} ${name}`).join(", ");
  return [
    "[Unit]",
    `Description=neo ${config.cluster}: ${nodes}`,
    "Wants=network-online.target",
    "After=network-online.target",
    `PartOf=${targetName(config)}`,
    "",
    "[Service]",
    "Type=notify",
    "NotifyAccess=all",
    `WorkingDirectory=${unitPath(config.folder)}`,
    `ExecStart=/bin/sh ${unitQuoted(script)}`,
    ...(user === undefined ? [] : [`User=${user}`]),
    "Restart=on-failure",
    "RestartSec=2",
    "TimeoutStartSec=infinity",
    "TimeoutStopSec=90",
    `LimitNOFILE=${OPEN_FILES_UNIT}`,
    "UMask=0077",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "ProtectSystem=full",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "RestrictSUIDSGID=yes",
    "",
    "[Install]",
    `WantedBy=${targetName(config)}`,
    "",
  ].join("\n");
}

function targetOf(config: ClusterConfig, { user }: UnitPlace): string {
  return [
    "[Unit]",
    `Description=neo ${config.cluster}: all nodes of this machine in ${basename(config.folder)}`,
    "",
    "[Install]",
    `WantedBy=${user === undefined ? "default.target" : "multi-user.target"}`,
    "",
  ].join("\n");
}

/** One word for the shell, whatever is in it. */
function shellQuoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A path as the rest of a unit's line. */
function unitPath(path: string): string {
  return path.replaceAll("%", "%%");
}

/** One word of a unit's command (systemd.service(5), "Command lines"). */
function unitQuoted(word: string): string {
  return `"${unitPath(word).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("$", "$$$$")}"`;
}
