/** Commands about storages, the partition table and the cluster as a whole. */
import { buildRouteMap } from "@stricli/core";
import { PARTITIONS_MAX, WEIGHT_MAX } from "../core/limits.ts";
import { parseTidOrDate } from "../core/tid.ts";
import { aliases, command, common, databaseFlags, one, optionalNumber, wait } from "./command_spec.ts";
import { nodeName, tableId, topologyPath, whole } from "./parsers.ts";

const storage = one("NAME", nodeName, "A storage");
const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const yes = { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false } as const;

const nodeList = command({
  load: () => import("./commands/node_list.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "List storages: state, copies, use, place",
    fullDescription: "Storages that have come and aren't members are listed too, as unknown.",
  },
});

const nodeAdd = command({
  load: () => import("./commands/node_add.ts"),
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{
        parse: nodeName,
        placeholder: "NAME",
        optional: true,
        brief: "The storage; on this machine the next free name",
      }],
    },
    flags: {
      ...flags,
      weight: optionalNumber("Its part of all cells, against the weights of others (1)", 1, WEIGHT_MAX),
      path: {
        kind: "parsed",
        parse: topologyPath,
        optional: true,
        placeholder: "PLACE/...",
        brief: "Where it stands, such as east/host7; copies are spread over places. Its host, if not given",
      },
      ...databaseFlags,
      replace: {
        kind: "parsed",
        parse: nodeName,
        optional: true,
        placeholder: "OLD",
        brief: "Put it in place of this storage, whose disk is lost",
      },
    },
    aliases,
  },
  docs: {
    brief: "Take a storage in",
    fullDescription:
      "In a folder with neo.toml: makes the storage if it isn't there, starts it, and takes it in. For a "
      + "cluster elsewhere: takes in a storage that was started with the cluster's configuration. It "
      + "gets cells with the next `neo table tweak`; with --replace, at once.",
  },
});

const nodeDrop = command({
  load: () => import("./commands/node_drop.ts"),
  parameters: { positional: storage, flags: { ...flags, yes }, aliases },
  docs: {
    brief: "Remove a storage at once; its copies are given up",
    fullDescription:
      "Refused if it holds the only readable copy of something. Its process ends; its data folder stays. "
      + "`neo node drain` moves its copies elsewhere first.",
  },
});

const nodeKill = command({
  load: () => import("./commands/node_kill.ts"),
  parameters: { positional: storage, flags, aliases },
  docs: {
    brief: "End a storage's process, wherever it runs",
    fullDescription: "Refused if it holds the only readable copy of something. It stays a member.",
  },
});

const nodeDrain = command({
  load: () => import("./commands/node_drain.ts"),
  parameters: {
    positional: storage,
    flags: {
      ...flags,
      undo: { kind: "boolean", brief: "It stays after all", default: false, withNegated: false },
    },
    aliases,
  },
  docs: {
    brief: "Move a storage's copies elsewhere, then remove it",
    fullDescription:
      "Ends when the moving has begun; `neo node list` shows how far it is. The storage is dropped when "
      + "it has no cell left.",
  },
});

const nodeClone = command({
  load: () => import("./commands/node_clone.ts"),
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { parse: nodeName, placeholder: "SOURCE", brief: "A storage of this machine, stopped" },
        { parse: nodeName, placeholder: "NEW", brief: "The name of the new one" },
      ],
    },
    flags,
    aliases,
  },
  docs: {
    brief: "Begin a storage with a copy of another one's database",
    fullDescription:
      "It gets the same cells, and only what is missing is transferred. Faster than copying over the network; the "
      + "source is started again afterwards.",
  },
});

const tableShow = command({
  load: () => import("./commands/table_show.ts"),
  parameters: { flags, aliases },
  docs: { brief: "Print the partition table: a line a storage, a letter a partition" },
});

const tableTweak = command({
  load: () => import("./commands/table_tweak.ts"),
  parameters: {
    flags: {
      ...flags,
      dryRun: { kind: "boolean", brief: "Only say what it would do", default: false, withNegated: false },
      ignore: {
        kind: "parsed",
        parse: nodeName,
        variadic: ",",
        optional: true,
        placeholder: "NAME,...",
        brief: "Storages whose cells stay as they are; those that don't run must be named",
      },
    },
    aliases: { ...aliases, n: "dryRun" },
  },
  docs: {
    brief: "Spread copies over the storages, with as few moves as possible",
    fullDescription:
      "By weight, by place and by measured use. No readable copy goes before its replacement is readable. "
      + "A second tweak does nothing.",
  },
});

const tableVerify = command({
  load: () => import("./commands/table_verify.ts"),
  parameters: {
    flags: {
      ...common,
      repair: {
        kind: "boolean",
        brief: "Make bad copies anew from a good one",
        default: false,
        withNegated: false,
      },
      from: {
        kind: "parsed",
        parse: nodeName,
        optional: true,
        placeholder: "NODE",
        brief: "The storage whose copies count, where copies differ",
      },
    },
    aliases,
  },
  docs: {
    brief: "Compare copies, and all data with its checksums",
    fullDescription:
      "Reads everything. Ends with 0 if all copies are sound, or have been made so, else with 1. The last good "
      + "copy of a partition is never touched. Storages look at their data by themselves too, slowly.",
  },
});

const clusterShow = command({
  load: () => import("./commands/cluster_show.ts"),
  parameters: { flags, aliases },
  docs: { brief: "Print what the cluster is: id, epoch, table, copies" },
});

const clusterReplicas = command({
  load: () => import("./commands/cluster_replicas.ts"),
  parameters: {
    positional: one("N", whole(0, PARTITIONS_MAX), "Copies besides the first"),
    flags,
    aliases,
  },
  docs: {
    brief: "Change how many copies there should be",
    fullDescription: "Copies follow with the next `neo table tweak`.",
  },
});

const clusterTruncate = command({
  load: () => import("./commands/cluster_truncate.ts"),
  parameters: {
    flags: {
      ...flags,
      to: {
        kind: "parsed",
        parse: parseTidOrDate,
        placeholder: "TID|DATE",
        brief: "What was committed later goes, such as after 2026-11-22T10:00Z",
      },
      yes,
    },
    aliases,
  },
  docs: {
    brief: "Delete everything that was committed after a moment",
    fullDescription:
      "On all storages, for ever; those that aren't there do it when they return. Clients are let in again behind it. "
      + "No tid of what goes is given to anything else.",
  },
});

/** `neo node ...` */
export const nodeCommands = buildRouteMap({
  routes: {
    list: nodeList,
    add: nodeAdd,
    drain: nodeDrain,
    drop: nodeDrop,
    kill: nodeKill,
    clone: nodeClone,
  },
  docs: { brief: "Storages: list, add, drain, drop, kill, clone" },
});

/** `neo table ...` */
export const tableCommands = buildRouteMap({
  routes: { show: tableShow, tweak: tableTweak, verify: tableVerify },
  docs: { brief: "The partition table: show, tweak, verify" },
});

const clusterRecover = command({
  load: () => import("./commands/cluster_recover.ts"),
  parameters: {
    flags: {
      ...common,
      table: {
        kind: "parsed",
        parse: tableId,
        optional: true,
        placeholder: "ID",
        brief: "Go on with this one of the tables that were found; the newest, if not given",
      },
      lost: {
        kind: "parsed",
        parse: nodeName,
        variadic: true,
        optional: true,
        placeholder: "NAME",
        brief: "This storage is lost: go on without what only it has. May be given several times",
      },
      yes: {
        kind: "parsed",
        parse: nodeName,
        optional: true,
        placeholder: "CLUSTER",
        brief: "Do it: the cluster's name, typed. Without it, shows what was found",
      },
    },
    aliases,
  },
  docs: {
    brief: "Make masters anew when their disks are lost or old",
    fullDescription:
      "Run it where the cluster's folder is, with all nodes stopped. Shows the partition tables that storages "
      + "and masters know; with --yes, fences whatever is older and gives the masters of neo.toml new "
      + "metadata. Their old files stay beside the new ones.\n\n"
      + "Example: neo cluster recover --yes shop",
  },
});

/** `neo cluster ...` */
export const clusterCommands = buildRouteMap({
  routes: {
    show: clusterShow,
    replicas: clusterReplicas,
    truncate: clusterTruncate,
    recover: clusterRecover,
  },
  docs: { brief: "The cluster: show, replicas, truncate, recover" },
});
