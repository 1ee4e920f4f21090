/** Commands about the configuration of a cluster. */
import { buildRouteMap } from "@stricli/core";
import { configRoles } from "../core/config_keys.ts";
import { CONFIG_PAGE } from "../core/limits.ts";
import { aliases, command, common, ends, json, one, optionalNumber, wait } from "./command_spec.ts";
import { nodeName, oneOf, whole } from "./parsers.ts";

const REVISION_MAX = 2 ** 40;
const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const changing = {
  ...flags,
  reason: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "TEXT",
    brief: "Why; it stands in the history",
  },
  ifRevision: optionalNumber("Only if this is the newest revision", 0, REVISION_MAX),
} as const;
const scoped = {
  ...changing,
  role: {
    kind: "parsed",
    parse: oneOf(configRoles),
    optional: true,
    placeholder: "ROLE",
    brief: `For this role only: ${configRoles.join(", ")}`,
  },
  node: { kind: "parsed", parse: nodeName, optional: true, placeholder: "NAME", brief: "For this node only" },
} as const;
const revision = whole(0, REVISION_MAX);
const some = (placeholder: string, brief: string) =>
  ({ kind: "array", parameter: { parse: String, placeholder, brief }, minimum: 1 }) as const;

const list = command({
  load: () => import("./commands/config_list.ts"),
  parameters: {
    flags: {
      ...flags,
      set: { kind: "boolean", brief: "Only what is set", default: false, withNegated: false },
    },
    aliases,
  },
  docs: {
    brief: "List all keys, with what is set for them",
    examples: [
      ["neo config list", "all keys"],
      ["neo config list --set", "only those that are set"],
    ],
    exits: ends.remote,
  },
});
const get = command({
  load: () => import("./commands/config_get.ts"),
  parameters: { positional: one("KEY", String, "A key"), flags, aliases },
  docs: {
    brief: "Show one key: what it is, its bounds, what is set",
    examples: [
      ["neo config get storage.copyBytesPerS", "its bounds, and for whom it is set"],
    ],
    exits: ends.remote,
  },
});
const set = command({
  load: () => import("./commands/config_set.ts"),
  parameters: { positional: some("KEY=VALUE", "A key and its value"), flags: scoped, aliases },
  docs: {
    brief: "Set values for the cluster, a role or a node",
    fullDescription:
      "What is set for a node counts more than for its role, that more than for the cluster. It reaches every node "
      + "at once; one that is away has it when it returns. All of one command is one revision, or nothing.",
    examples: [
      ['neo config set storage.copyBytesPerS=5000000 --reason "slow link"', "for all storages"],
      ["neo config set storage.copyBytesPerS=1000000 --node s1", "for one of them"],
      [
        "neo config set log.levels=elections=debug,messages=debug --node m1",
        "more of what it does, in its log",
      ],
    ],
    exits: ends.remote,
  },
});
const unset = command({
  load: () => import("./commands/config_unset.ts"),
  parameters: { positional: some("KEY", "A key"), flags: scoped, aliases },
  docs: {
    brief: "Set a key no more: what is wider counts again",
    examples: [
      ["neo config unset storage.copyBytesPerS --node s1", "as for the others"],
    ],
    exits: ends.remote,
  },
});
const apply = command({
  load: () => import("./commands/config_apply.ts"),
  parameters: {
    positional: one("FILE", String, "A TOML file, as `config export` writes it"),
    flags: {
      ...changing,
      dryRun: { kind: "boolean", brief: "Only show what would change", default: false, withNegated: false },
    },
    aliases: { ...aliases, n: "dryRun" },
  },
  docs: {
    brief: "Make the configuration what a file says",
    examples: [
      ["neo config apply shop.toml --dry-run", "what would change"],
      ["neo config apply shop.toml", "changes it"],
    ],
    exits: ends.remote,
  },
});
const diff = command({
  load: () => import("./commands/config_diff.ts"),
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { parse: revision, placeholder: "FROM", brief: "A revision; 0 is before all" },
        { parse: revision, placeholder: "TO", optional: true, brief: "Another one; else the newest" },
      ],
    },
    flags,
    aliases,
  },
  docs: {
    brief: "Compare two revisions",
    examples: [
      ["neo config diff 3", "what has changed since revision 3"],
      ["neo config diff 3 5", "between these two"],
    ],
    exits: ends.remote,
  },
});
const history = command({
  load: () => import("./commands/config_history.ts"),
  parameters: {
    flags: {
      ...flags,
      count: {
        kind: "parsed",
        parse: whole(1, CONFIG_PAGE),
        default: "20",
        placeholder: "N",
        brief: "How many, newest first",
      },
    },
    aliases,
  },
  docs: {
    brief: "Who has changed what, when and why",
    examples: [
      ["neo config history --count 5", "the newest five"],
    ],
    exits: ends.remote,
  },
});
const rollback = command({
  load: () => import("./commands/config_rollback.ts"),
  parameters: {
    positional: one("REVISION", revision, "An earlier one; 0 is before all"),
    flags: changing,
    aliases,
  },
  docs: {
    brief: "Go back to an earlier revision, by a new one",
    examples: [
      ["neo config rollback 3", "as it was at revision 3"],
    ],
    exits: ends.remote,
  },
});
const exported = command({
  load: () => import("./commands/config_export.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "Print what is set, as `config apply` reads it",
    examples: [
      ["neo config export > shop.toml", "to be kept, or applied elsewhere"],
    ],
    exits: ends.remote,
  },
});
const status = command({
  load: () => import("./commands/config_status.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "Who runs which revision, and who waits for a restart",
    fullDescription: "Ends with 0 if everybody who is there runs the newest one, else with 4.",
    examples: [
      ["neo config status", "who lacks the newest revision"],
    ],
    exits: [...ends.remote, "degraded"],
  },
});
const watch = command({
  load: () => import("./commands/config_watch.ts"),
  parameters: {
    flags: { ...flags, count: optionalNumber("End after so many revisions", 1, REVISION_MAX) },
    aliases,
  },
  docs: {
    brief: "Print each revision as it comes",
    examples: [
      ["neo config watch", "until Ctrl-C"],
      ["neo config watch --count 1 --json", "the next one"],
    ],
    exits: [...ends.remote, "interrupted"],
    streams: true,
  },
});
const schema = command({
  load: () => import("./commands/config_schema.ts"),
  parameters: { flags: { json } },
  docs: {
    brief: "Print a JSON Schema of what can be configured",
    examples: [
      ["neo config schema > keys.json", "for an editor"],
    ],
    exits: ends.local,
  },
});

/** `neo config ...` */
export const configCommands = buildRouteMap({
  routes: { list, get, set, unset, apply, diff, history, rollback, export: exported, status, watch, schema },
  docs: { brief: "Configuration of all nodes and clients: list, get, set, history, rollback, ..." },
});
