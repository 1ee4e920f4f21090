/** `neo logs` */
import type { Level } from "../../adapters/log.ts";
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { printable } from "../hex_view.ts";
import { isWanted, linesOf, mergedByTime } from "../log_lines.ts";
import type { LogEntry } from "../log_lines.ts";
import { logFileOf } from "../log_tail.ts";
import type { Output, Style } from "../output.ts";
import { resolveFolder } from "../target.ts";

type Flags = CommonFlags & {
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly level: Level | undefined;
  readonly grep: string | undefined;
};

const STYLES: { readonly [level: string]: Style } = { debug: "dim", warning: "yellow", error: "red" };

/** Prints what nodes of this machine have logged, as one story; JSON is one object a line. */
export default async function logs({ output, world }: Cli, flags: Flags, ...names: string[]): Promise<void> {
  const config = resolveFolder(flags.cluster, world);
  const filter = {
    ...(flags.since === undefined ? {} : { sinceMs: flags.since }),
    ...(flags.until === undefined ? {} : { untilMs: flags.until }),
    ...(flags.level === undefined ? {} : { level: flags.level }),
    ...(flags.grep === undefined ? {} : { containing: flags.grep }),
  };
  const groups = selectProcesses(config, names);
  // a process may be named, or a node of one: then only that node's lines are meant
  const isNamed = (process: string, { node }: LogEntry) =>
    names.length === 0 || names.includes(process) || names.includes(node);
  const sources = groups.map(({ name }) =>
    only(linesOf(logFileOf(config, name), name), (entry) => isNamed(name, entry) && isWanted(entry, filter))
  );
  for await (const entry of mergedByTime(sources)) {
    if (output.json) output.printJson(entry.fields);
    else output.print(lineOf(output, entry));
  }
}

async function* only(
  entries: AsyncIterable<LogEntry>,
  wanted: (entry: LogEntry) => boolean,
): AsyncGenerator<LogEntry> {
  for await (const entry of entries) if (wanted(entry)) yield entry;
}

/** For people: nothing in a log can move their cursor. */
function lineOf(output: Output, { time, level, node, text, fields }: LogEntry): string {
  const shown = ["time", "level", "node", "role", "text", "message"];
  const facts = Object.entries(fields).filter(([name]) => !shown.includes(name))
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const when = time.replace("T", " ").replace("Z", "");
  const mark = level.padEnd(7);
  const plain = (words: string) => printable(new TextEncoder().encode(words));
  const style = STYLES[level];
  const shownLevel = style === undefined ? plain(mark) : output.style(style, plain(mark));
  return `${plain(when)} ${shownLevel} ${plain(node)}: ${plain([text, ...facts].join(" "))}`;
}
