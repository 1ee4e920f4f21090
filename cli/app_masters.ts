/** Commands about masters. */
import { buildRouteMap } from "@stricli/core";
import { aliases, command, common, ends, one, wait } from "./command_spec.ts";
import { nodeName } from "./parsers.ts";

const flags = { ...common, wait: { ...wait, brief: "How long to wait for the cluster" } };
const yes = { kind: "boolean", brief: "Do it without asking", default: false, withNegated: false } as const;

const list = command({
  load: () => import("./commands/master_list.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "List masters: state, address, which is the primary",
    examples: [
      ["neo master list", "who is the primary, who votes"],
    ],
    exits: ends.remote,
  },
});

const add = command({
  load: () => import("./commands/master_add.ts"),
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{
        parse: nodeName,
        placeholder: "NAME",
        optional: true,
        brief: "The master; the next free name, if none is given",
      }],
    },
    flags,
    aliases,
  },
  docs: {
    brief: "Make a master on this machine, and take it in",
    fullDescription: "It gets the log first, and votes when it has everything. Masters change one at a time.",
    examples: [
      ["neo master add", "one more, on this machine; make them 3 or 5"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

const remove = command({
  load: () => import("./commands/master_remove.ts"),
  parameters: { positional: one("NAME", nodeName, "A master"), flags: { ...flags, yes }, aliases },
  docs: {
    brief: "Remove a master",
    fullDescription:
      "Its process ends; its data folder stays. The primary has to step down first: neo master step-down.",
    examples: [
      ["neo master remove m2 --yes", "the others go on"],
    ],
    exits: ends.remote,
  },
});

const stepDown = command({
  load: () => import("./commands/master_step_down.ts"),
  parameters: { flags, aliases },
  docs: {
    brief: "Let another master be the primary",
    examples: [
      ["neo master step-down", "before work on the primary's machine"],
    ],
    exits: [...ends.remote, "waiting"],
  },
});

/** `neo master ...` */
export const masterCommands = buildRouteMap({
  routes: { list, add, remove, stepDown },
  docs: { brief: "Masters: list, add, remove, step-down" },
});
