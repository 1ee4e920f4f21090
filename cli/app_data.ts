/** Commands about what a cluster holds. */
import { buildRouteMap } from "@stricli/core";
import { aliases, command, common, ends, one, optionalNumber, wait } from "./command_spec.ts";
import { oid, tidOrDate, whole } from "./parsers.ts";

/** A century. */
const DAYS_MAX = 36_500;
const OBJECT = one("OID", oid, "Decimal, 0x... or 16 hexadecimal digits");
const TRANSACTION = one("TID", tidOrDate, "16 hexadecimal digits");
const limit = {
  kind: "parsed",
  parse: whole(1, 2 ** 31),
  default: "20",
  placeholder: "N",
  brief: "How many, the newest",
} as const;

/** `neo import` */
export const importFile = command({
  load: () => import("./commands/import.ts"),
  parameters: {
    positional: one("FILE", String, "Data.fs or zodbdump; the format is found out"),
    flags: {
      ...common,
      salvage: {
        kind: "boolean",
        brief: "Go on behind damage, and import what is whole",
        default: false,
        withNegated: false,
      },
    },
    aliases,
  },
  docs: {
    brief: "Import a ZODB database",
    fullDescription:
      "Transactions keep their tids; clients are kept out meanwhile. The database must be empty or older "
      + "than the file.",
    examples: [
      ["neo import Data.fs", "a FileStorage, with its whole history"],
      ["neo import Data.fs --salvage", "what is whole of a damaged one"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

/** `neo export` */
export const exportFile = command({
  load: () => import("./commands/export.ts"),
  parameters: {
    positional: one("FILE", String, "File to write; - is stdout"),
    flags: {
      ...common,
      format: {
        kind: "enum",
        values: ["filestorage", "zodbdump"],
        default: "filestorage",
        brief: "Format of the file",
      },
      force: { kind: "boolean", brief: "Replace the file if it exists", default: false, withNegated: false },
    },
    aliases,
  },
  docs: {
    brief: "Export everything, with its history, as ZODB reads it",
    examples: [
      ["neo export out.fs", "as ZODB's FileStorage"],
      ["neo export - --format zodbdump | less", "as text, on stdout"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

/** `neo pack` */
export const pack = command({
  load: () => import("./commands/pack.ts"),
  parameters: {
    flags: {
      ...common,
      wait: { ...wait, brief: "How long to wait for the cluster" },
      before: {
        kind: "parsed",
        parse: tidOrDate,
        optional: true,
        placeholder: "TID|DATE",
        brief: "History up to here goes, such as before 2026-11-22T10:00Z",
      },
      days: optionalNumber("History that is older than so many days goes", 0, DAYS_MAX),
      dryRun: { kind: "boolean", brief: "Only say whether it could", default: false, withNegated: false },
      yes: { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false },
    },
    aliases: { ...aliases, n: "dryRun" },
  },
  docs: {
    brief: "Let old history go",
    fullDescription:
      "Of each object the newest revision up to that moment stays, and all later ones, so that whoever reads "
      + "that moment or a later one sees what there was before. Refused while a client reads an older one. Storages delete by "
      + "and by, at the speed of storage.packRowsPerS; see `neo status`.",
    examples: [
      ["neo pack --days 90 --dry-run", "whether it could, and how large all history is"],
      ["neo pack --days 90 --yes", "keeps the history of three months"],
      ["neo pack --before 2026-11-22T10:00Z --yes", "up to a moment"],
    ],
    exits: [...ends.remote, "notRunning"],
  },
});

const objGet = command({
  load: () => import("./commands/obj_get.ts"),
  parameters: {
    positional: OBJECT,
    flags: {
      ...common,
      at: {
        kind: "parsed",
        parse: tidOrDate,
        optional: true,
        placeholder: "TID|DATE",
        brief: "As it was then, such as 2026-11-22T10:00Z",
      },
    },
    aliases,
  },
  docs: {
    brief: "Print an object's data",
    fullDescription: "Raw bytes; on a terminal a hexadecimal view.",
    examples: [
      ["neo obj get 1 > root.pickle", "its bytes as they are"],
      ["neo obj get 0x2a --at 2026-11-22T10:00Z", "as it was then"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

const txList = command({
  load: () => import("./commands/tx_list.ts"),
  parameters: {
    flags: { ...common, limit },
    aliases: { ...aliases, n: "limit" },
  },
  docs: {
    brief: "List transactions, the newest last",
    examples: [
      ["neo tx list", "the newest 20"],
      ["neo tx list --limit 1 --json", "the newest, for programs"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

const txShow = command({
  load: () => import("./commands/tx_show.ts"),
  parameters: { positional: TRANSACTION, flags: common, aliases },
  docs: {
    brief: "Show what a transaction changed",
    examples: [
      ["neo tx show 03e0000900000000", "its objects, and what has changed them since"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

const txUndo = command({
  load: () => import("./commands/tx_undo.ts"),
  parameters: {
    positional: TRANSACTION,
    flags: {
      ...common,
      yes: { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false },
    },
    aliases,
  },
  docs: {
    brief: "Take back what a transaction did",
    fullDescription:
      "Another transaction gives each of its objects the value from before, and deletes those that it made; nothing of the past is "
      + "changed. Refused if one of them was changed since: undo that first. A program can take a change out of a newer value: "
      + "Transaction.undo() with a resolver.",
    examples: [
      ["neo tx undo 03e0000900000000", "says what would change"],
      ["neo tx undo 03e0000900000000 --yes", "does it"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

const objHistory = command({
  load: () => import("./commands/obj_history.ts"),
  parameters: {
    positional: OBJECT,
    flags: { ...common, limit },
    aliases: { ...aliases, n: "limit" },
  },
  docs: {
    brief: "List an object's revisions, the newest first",
    examples: [
      ["neo obj history 0x2a", "when it was changed, and how large it was"],
    ],
    exits: [...ends.remote, "notRunning", "interrupted"],
  },
});

/** `neo obj ...` */
export const objCommands = buildRouteMap({
  routes: { get: objGet, history: objHistory },
  docs: { brief: "Look at objects: get, history" },
});

/** `neo tx ...` */
export const txCommands = buildRouteMap({
  routes: { list: txList, show: txShow, undo: txUndo },
  docs: { brief: "Transactions: list, show, undo" },
});
