/** The command about logs. */
import { aliases, command, common, ends, nodes, NODES_USAGE } from "./command_spec.ts";
import { LEVELS } from "./log_lines.ts";
import { moment } from "./parsers.ts";

function when(brief: string) {
  return { kind: "parsed", parse: moment, optional: true, placeholder: "DATE|AGO", brief } as const;
}

/** `neo logs` */
export const logs = command({
  load: () => import("./commands/logs.ts"),
  parameters: {
    positional: nodes,
    flags: {
      ...common,
      follow: {
        kind: "boolean",
        brief: "Stay, and print what comes, until Ctrl-C",
        default: false,
        withNegated: false,
      },
      since: when("Not what is older: a date with its time zone, or 90s, 10m, 2h, 7d ago"),
      until: when("Not what is newer"),
      level: { kind: "enum", values: LEVELS, optional: true, brief: "At least this level" },
      grep: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "TEXT",
        brief: "Only lines with this in them",
      },
    },
    aliases: { ...aliases, f: "follow" },
  },
  docs: {
    customUsage: NODES_USAGE,
    brief: "Print what nodes of this machine have logged, in order of time",
    fullDescription: "All nodes together, unless some are named. With --json one object a line.",
    examples: [
      ["neo logs --since 10m --level warning", "of all nodes"],
      ["neo logs s1 --grep listens --json", "of one, an object a line"],
      ["neo logs -f --since 1m", "of all, as they come"],
    ],
    exits: [...ends.folder, "interrupted"],
    streams: true,
  },
});
