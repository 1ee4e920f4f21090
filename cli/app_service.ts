/** Commands about the system's service manager, and about shells. */
import { buildRouteMap } from "@stricli/core";
import { aliases, command, common, ends, json, nodes, NODES_USAGE, one } from "./command_spec.ts";
import { oneOf } from "./parsers.ts";
import { shells } from "./shells.ts";

const install = command({
  load: () => import("./commands/service_install.ts"),
  parameters: {
    positional: nodes,
    flags: {
      ...common,
      user: {
        kind: "boolean",
        brief: "For this account's session instead of the whole machine",
        default: false,
        withNegated: false,
      },
      to: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "FOLDER",
        brief: "Where units go, if not where systemd looks",
      },
      dryRun: { kind: "boolean", brief: "Only show them", default: false, withNegated: false },
    },
    aliases: { ...aliases, n: "dryRun" },
  },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Write systemd units for the nodes of this machine",
    fullDescription:
      "One service for each process, with no more rights than neo start gives it, and a target for all. Starts nothing. A node that "
      + "crashes is started again; one that neo stop has ended isn't. Install again when neo.toml or neo has changed.",
    examples: [
      ["neo service install -C shop", "for the whole machine, as this account"],
      ["neo service install --user --dry-run", "show what it would write"],
    ],
    exits: ends.folder,
  },
});

/** `neo service ...` */
export const serviceCommands = buildRouteMap({
  routes: { install },
  docs: { brief: "The system's service manager: install" },
});

/** `neo completion` */
export const completion = command({
  load: () => import("./commands/completion.ts"),
  parameters: { positional: one("SHELL", oneOf(shells), shells.join(", ")), flags: { json } },
  docs: {
    brief: "Print what makes a shell complete commands, flags and names of nodes",
    examples: [
      ["neo completion bash > ~/.local/share/bash-completion/completions/neo", "bash, for good"],
      ["neo completion fish > ~/.config/fish/completions/neo.fish", "fish"],
      ["neo completion zsh > ~/.zfunc/_neo", "zsh, with ~/.zfunc in fpath"],
    ],
    exits: ends.local,
  },
});

/** `neo complete` */
export const complete = command({
  load: () => import("./commands/complete.ts"),
  parameters: {
    positional: {
      kind: "array",
      parameter: { parse: String, placeholder: "WORD", brief: "Words behind neo; the last one is completed" },
    },
    flags: { json },
  },
  docs: {
    customUsage: ["-- [WORD]..."],
    brief: "Say what a command line's last word may be; completion asks this",
    examples: [["neo complete -- node a", "add"]],
    exits: ends.local,
  },
});
