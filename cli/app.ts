/** The table of commands: names, flags, help. What a command does is loaded when it is called. */
import { buildApplication, buildRouteMap } from "@stricli/core";
import type { Application, RouteMap } from "@stricli/core";
import { PARTITIONS_DEFAULT, PARTITIONS_MAX } from "../core/limits.ts";
import { check } from "./app_check.ts";
import { clientCommands } from "./app_clients.ts";
import { configCommands } from "./app_config.ts";
import { exportFile, importFile, objCommands, pack, txCommands } from "./app_data.ts";
import { doctor } from "./app_doctor.ts";
import { logs } from "./app_logs.ts";
import { masterCommands } from "./app_masters.ts";
import { complete, completion, serviceCommands } from "./app_service.ts";
import { clusterCommands, nodeCommands, tableCommands } from "./app_storages.ts";
import { tlsCommands } from "./app_tls.ts";
import {
  aliases,
  command,
  common,
  databaseFlags,
  ends,
  json,
  nodes,
  NODES_USAGE,
  one,
  optionalNumber,
  wait,
} from "./command_spec.ts";
import type { Cli } from "./context.ts";
import { nodeName, ownAddress } from "./parsers.ts";
import { VERSION } from "./version.ts";

const demo = command({
  load: () => import("./commands/demo.ts"),
  parameters: {
    flags: {
      once: { kind: "boolean", brief: "End when the tour is over", default: false, withNegated: false },
      json,
    },
  },
  docs: {
    brief: "Try it: a whole cluster in one process, with a short tour",
    fullDescription:
      "Makes a cluster with 2 storages and 1 replica in a temporary folder, commits and changes a small "
      + "wiki, reads its past, and compares both copies. Stays until Ctrl-C, then removes the folder.",
    examples: [
      ["neo demo --once", "the tour only"],
    ],
    exits: [...ends.local, "interrupted"],
  },
});

const init = command({
  load: () => import("./commands/init.ts"),
  parameters: {
    positional: one("DIR", String, "Folder to make; it must be empty or not there"),
    flags: {
      name: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "NAME",
        brief: "Name of the cluster; generated if none is given",
      },
      masters: optionalNumber("Masters: 1, 3 or 5 (1)", 0, 1000),
      storages: optionalNumber("Storages (2; with --single 1)", 0, 100_000),
      replicas: optionalNumber("Copies besides the first (1; with 1 storage 0)", 0, 1000),
      partitions: optionalNumber(
        `Partitions, fixed for ever (${PARTITIONS_DEFAULT})`,
        0,
        PARTITIONS_MAX * 10,
      ),
      listen: {
        kind: "parsed",
        parse: ownAddress,
        optional: true,
        placeholder: "ADDRESS",
        brief: "Where all nodes listen, such as ::1 (127.0.0.1)",
      },
      basePort: optionalNumber("First port; free ones are found if none is given", 0, 10 ** 9),
      ...databaseFlags,
      tls: {
        kind: "boolean",
        brief: "Everybody shows a certificate; they are made",
        default: false,
        withNegated: false,
      },
      single: {
        kind: "boolean",
        brief: "All nodes in one process, by default master, storage and admin",
        default: false,
        withNegated: false,
      },
      json,
    },
  },
  docs: {
    brief: "Make a cluster on this machine",
    examples: [
      ["neo init shop", "1 master, 2 storages, a copy of everything on each"],
      ["neo init shop --single", "the same in one process"],
      ["neo init shop --masters 3 --storages 4", "goes on when any one of them is lost"],
    ],
    exits: [...ends.folder],
  },
});

const provision = command({
  load: () => import("./commands/provision.ts"),
  parameters: {
    positional: one("PLAN", String, "The plan, a TOML file"),
    flags: {
      dryRun: { kind: "boolean", brief: "Only say what it would do", default: false, withNegated: false },
      bundle: {
        kind: "parsed",
        parse: nodeName,
        optional: true,
        placeholder: "HOST",
        brief: "Only write the archive that this machine of the plan needs",
      },
      wait: { ...wait, default: "300" },
      json,
    },
    aliases: { n: "dryRun" },
  },
  docs: {
    brief: "Bring a cluster to what a plan says: make, start, add, drain, remove",
    fullDescription:
      "Compares the plan with what there is and does what is missing, step by step; done twice it changes nothing. "
      + "A storage that isn't planned any more is drained first. No data folder is deleted. Ends with 10 if --wait "
      + "passes before all copies are up to date; it goes on then.",
    examples: [
      ["neo provision plan.toml --dry-run", "what it would do"],
      ["neo provision plan.toml --bundle db2", "what the machine db2 needs, as one archive"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

const start = command({
  load: () => import("./commands/start.ts"),
  parameters: { positional: nodes, flags: { ...common, wait }, aliases },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Start nodes in the background, and wait until the cluster runs",
    fullDescription:
      "One process for each node. Nodes that run already are left alone. Ends with 10 if --wait passes "
      + "before the cluster runs; the nodes go on starting.",
    examples: [
      ["neo start -C shop", "all nodes of this machine"],
      ["neo start s1 s2", "only these"],
    ],
    exits: [...ends.folder, "unreachable", "waiting"],
  },
});

/** For what can hurt. */
const yes = { kind: "boolean", brief: "Do it all the same", default: false, withNegated: false } as const;

const stop = command({
  load: () => import("./commands/stop.ts"),
  parameters: { positional: nodes, flags: { ...common, wait, yes }, aliases },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Stop nodes, or the whole cluster in order",
    fullDescription:
      "Commits that have begun are served first. What still runs when --wait passes is killed, with a "
      + "warning. To stop what is stopped is no error. A storage that has the only copy of something is "
      + "stopped by its name only with --yes.",
    examples: [
      ["neo stop", "the whole cluster, or its nodes of this machine"],
      ["neo stop s1", "only this one"],
      ["neo stop s1 --yes", "even if nobody else has what it holds"],
    ],
    exits: [...ends.remote, "refused"],
  },
});

const restart = command({
  load: () => import("./commands/restart.ts"),
  parameters: {
    positional: nodes,
    flags: {
      ...common,
      atOnce: {
        kind: "boolean",
        brief: "Stop all of them, then start them",
        default: false,
        withNegated: false,
      },
      wait: { ...wait, brief: "How long to wait for each of them" },
    },
    aliases,
  },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Restart nodes one after another, while clients go on",
    fullDescription:
      "The next one is restarted when the one before does its work again: a storage has all its copies up to date, a "
      + "master has what the others have. The primary comes last, when another one has taken over. A cluster that "
      + "doesn't run is started as a whole.",
    examples: [
      ["neo restart", "one after another, while clients go on"],
      ["neo restart s1 --wait 120", "only this one; its copies may take 2 minutes"],
    ],
    exits: [...ends.remote, "waiting", "interrupted"],
  },
});

const status = command({
  load: () => import("./commands/status.ts"),
  parameters: {
    positional: nodes,
    flags: {
      ...common,
      wait: { ...wait, default: "5", brief: "How long to wait for the cluster's answer" },
      watch: {
        kind: "boolean",
        brief: "Look again and again, until Ctrl-C",
        default: false,
        withNegated: false,
      },
    },
    aliases: { ...aliases, w: "watch" },
  },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Whether the cluster is healthy, and if not, what to do",
    fullDescription:
      "Ends with 0 if it is, 3 if nothing runs, 4 if it is degraded, 5 if it can't be reached.",
    examples: [
      ["neo status", "one screen, and what to do next"],
      ["neo status --json", "the same for programs"],
      ["neo status --watch", "the newest on the screen; into a file a line for each change"],
    ],
    exits: {
      0: "healthy",
      1: "failed; the message says why",
      2: "the command line, or a file that it names, is wrong",
      3: "nothing of it runs on this machine",
      4: "it runs, but not as it should",
      5: "a cluster elsewhere doesn't answer",
      6: "the state of the folder doesn't allow it",
      7: "there is no such cluster or node",
      8: "a certificate or a right is missing",
      130: "interrupted",
    },
  },
});

const runNode = command({
  load: () => import("./commands/run.ts"),
  parameters: {
    positional: one("NODE", String, "A node; those that share its process run too"),
    flags: common,
    aliases,
  },
  docs: {
    brief: "Run a node in the foreground",
    fullDescription:
      "Logs lines to stderr. SIGTERM or Ctrl-C ends it in order, a second one at once. --json prints one object on stdout when "
      + "all nodes of the process listen.",
    examples: [
      ["neo run s1", "until Ctrl-C"],
      ["neo run s1 --json", "tells programs when and where it listens"],
    ],
    exits: [...ends.folder, "interrupted"],
  },
});

const version = command({
  load: () => import("./commands/version.ts"),
  parameters: { flags: { json } },
  docs: {
    brief: "Print the version",
    examples: [
      ["neo version", "of neo, its protocol and its runtime"],
    ],
    exits: ends.local,
  },
});

/** All commands. */
export const root: RouteMap<Cli> = buildRouteMap({
  routes: {
    demo,
    init,
    provision,
    start,
    stop,
    restart,
    status,
    logs,
    doctor,
    service: serviceCommands,
    completion,
    complete,
    check,
    run: runNode,
    import: importFile,
    export: exportFile,
    pack,
    obj: objCommands,
    master: masterCommands,
    node: nodeCommands,
    table: tableCommands,
    cluster: clusterCommands,
    client: clientCommands,
    config: configCommands,
    tls: tlsCommands,
    tx: txCommands,
    version,
  },
  docs: {
    brief: "A distributed, transactional, versioned object database",
    fullDescription: "A distributed, transactional, versioned object database.\n\n"
      + "  neo demo                 a whole cluster in one command\n"
      + "  neo init shop            make one to keep\n"
      + "  neo start -C shop        start it; -C may be left out in its folder",
  },
});

/** The command line `neo`. */
export const app: Application<Cli> = buildApplication(root, {
  name: "neo",
  versionInfo: { currentVersion: VERSION },
  scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
  documentation: { useAliasInUsageLine: false, onlyRequiredInUsageLine: true },
});
