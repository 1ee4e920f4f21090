/** The command `neo check`: its flags and help. */
import { aliases, command, common, wait } from "./command_spec.ts";
import { checkFormats, checks } from "./judge.ts";
import { choice } from "./parsers.ts";

export const check = command({
  load: () => import("./commands/check.ts"),
  parameters: {
    positional: {
      kind: "array",
      parameter: {
        parse: choice(checks),
        placeholder: "CHECK",
        brief: `What to look at: ${checks.join(", ")}; none means all`,
      },
    },
    flags: {
      ...common,
      format: {
        kind: "enum",
        values: checkFormats,
        default: "text",
        brief: "How to say it",
      },
      wait: { ...wait, default: "5", brief: "How long to wait for the cluster's answer" },
    },
    aliases,
  },
  docs: {
    customUsage: ["[--format nagios] [CHECK]..."],
    brief: "Ok, warning or problem, for a monitor",
    fullDescription: "Ends with 0 if all is well, 1 with a warning, 2 with a problem, 3 if it couldn't look.",
    examples: [
      ["neo check --format nagios", "one line, as plugins of Nagios print it"],
      ["neo check replication disk", "these two only"],
      ["neo check --format prometheus > neo.prom", "for its textfile collector"],
    ],
    exits: { 0: "all is well", 1: "a warning", 2: "a problem, or wrong usage", 3: "it couldn't look" },
  },
});
