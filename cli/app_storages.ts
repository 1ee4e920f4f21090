/** Commands about storages, the partition table and the cluster as a whole. */
import { buildRouteMap } from "@stricli/core";
import { AUDIT_PAGE, PARTITIONS_MAX, WEIGHT_MAX } from "../core/limits.ts";
import { clusterFollow, clusterPromote } from "./app_backup.ts";
import { aliases, command, common, databaseFlags, ends, one, optionalNumber, wait } from "./command_spec.ts";
import { nodeName, tableId, tidOrDate, topologyPath, whole } from "./parsers.ts";

const storage = one("NAME", nodeName, "A storage");
const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const yes = { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false } as const;

const nodeList = command({
  load: () => import("./commands/node_list.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "List storages: state, copies, use, place",
    fullDescription: "Storages that have come and aren't members are listed too, as unknown.",
    examples: [
      ["neo node list", "all, with their copies"],
      ["neo node list --json", "the same for programs"],
    ],
    exits: ends.remote,
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
    examples: [
      ["neo node add", "one more, on this machine"],
      ["neo node add --replace s2", "a new disk in place of one that is lost"],
      ["neo node add s5 --path east/host7 --weight 2", "where it stands; twice as large as others"],
    ],
    exits: [...ends.remote, "waiting"],
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
    examples: [
      ["neo node drop s1 --yes", "its copies are given up"],
    ],
    exits: ends.remote,
  },
});

const nodeKill = command({
  load: () => import("./commands/node_kill.ts"),
  parameters: { positional: storage, flags, aliases },
  docs: {
    brief: "End a storage's process, wherever it runs",
    fullDescription: "Refused if it holds the only readable copy of something. It stays a member.",
    examples: [
      ["neo node kill s1", "it stays a member"],
    ],
    exits: ends.remote,
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
    examples: [
      ["neo node drain s1", "then it is no member any more"],
      ["neo node drain s1 --undo", "it stays after all"],
    ],
    exits: ends.remote,
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
    examples: [
      ["neo node clone s1 s4", "s4 begins with what s1 has"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

const nodeConvert = command({
  load: () => import("./commands/node_convert.ts"),
  parameters: {
    positional: one("NODE", nodeName, "A storage of this machine, stopped"),
    flags: {
      ...common,
      to: { kind: "enum", values: ["sqlite", "postgres"], brief: "Where its data are to go" },
      ...databaseFlags,
    },
    aliases,
  },
  docs: {
    brief: "Move a storage's data from SQLite to PostgreSQL, or back",
    fullDescription:
      "Copies everything, compares it, then changes neo.toml. What it had before stays, under another name. Broken off, it begins "
      + "anew, and nothing has changed.",
    examples: [
      ["neo node convert s1 --to postgres --database postgres://neo@db1/shop", "a schema of its own there"],
      ["neo node convert s1 --to sqlite", "back into a file"],
    ],
    exits: [...ends.folder, "security"],
  },
});

const tableShow = command({
  load: () => import("./commands/table_show.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "Print the partition table: a line a storage, a letter a partition",
    examples: [
      ["neo table show", "who has which partitions"],
    ],
    exits: ends.remote,
  },
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
    examples: [
      ["neo table tweak --dry-run", "what would move"],
      ["neo table tweak --ignore s3", "without touching what s3 has"],
    ],
    exits: ends.remote,
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
    examples: [
      ["neo table verify", "compare, change nothing"],
      ["neo table verify --repair", "make bad copies anew from a good one"],
    ],
    exits: ends.remote,
  },
});

const clusterShow = command({
  load: () => import("./commands/cluster_show.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "Print what the cluster is: id, epoch, table, copies",
    examples: [
      ["neo cluster show", "one fact a line"],
    ],
    exits: ends.remote,
  },
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
    examples: [
      ["neo cluster replicas 2", "three copies of everything; then neo table tweak"],
    ],
    exits: ends.remote,
  },
});

const clusterTruncate = command({
  load: () => import("./commands/cluster_truncate.ts"),
  parameters: {
    flags: {
      ...flags,
      to: {
        kind: "parsed",
        parse: tidOrDate,
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
    examples: [
      ["neo cluster truncate --to 2026-11-22T10:00Z", "says what would go"],
      ["neo cluster truncate --to 2026-11-22T10:00Z --yes", "does it"],
    ],
    exits: [...ends.remote, "notRunning", "waiting", "interrupted"],
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
    convert: nodeConvert,
  },
  docs: { brief: "Storages: list, add, drain, drop, kill, clone, convert" },
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
      + "metadata. Their old files stay beside the new ones.",
    examples: [
      ["neo cluster recover", "shows what was found"],
      ["neo cluster recover --yes shop", "does it, for the cluster shop"],
    ],
    exits: ends.folder,
  },
});

const clusterSize = command({
  load: () => import("./commands/cluster_size.ts"),
  parameters: { flags: { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } }, aliases },
  docs: {
    brief: "Show how large storages are: live data, history, index, free space, growth a day",
    fullDescription:
      "From counters that storages keep with each write, not by looking at their data. A storage on PostgreSQL knows what its "
      + "tables take, not what of it is live. Copies count once on each storage that has them.",
    examples: [["neo cluster size", "for each storage, and all"]],
    exits: ends.remote,
  },
});

const clusterAudit = command({
  load: () => import("./commands/cluster_audit.ts"),
  parameters: {
    flags: {
      ...common,
      wait: { ...wait, brief: "How long to wait for the cluster" },
      count: {
        kind: "parsed",
        parse: whole(1, AUDIT_PAGE),
        default: "20",
        placeholder: "N",
        brief: "How many, the newest first",
      },
    },
    aliases,
  },
  docs: {
    brief: "List what operators have done: who, when, what, and what was refused",
    fullDescription:
      "What was changed by one message to the cluster, also what was refused. The author is the account of whoever typed it, and "
      + "with TLS whom the certificate shows. The masters keep the latest ones.",
    examples: [
      ["neo cluster audit", "the latest 20"],
      ["neo cluster audit --count 100 --json", "for a program"],
    ],
    exits: ends.remote,
  },
});

/** `neo cluster ...` */
export const clusterCommands = buildRouteMap({
  routes: {
    show: clusterShow,
    replicas: clusterReplicas,
    truncate: clusterTruncate,
    follow: clusterFollow,
    promote: clusterPromote,
    recover: clusterRecover,
    audit: clusterAudit,
    size: clusterSize,
  },
  docs: { brief: "The cluster: show, replicas, truncate, follow, promote, recover, audit, size" },
});
