/** `neo logs` */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Level } from "../../adapters/log.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { selectProcesses } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { Interrupt } from "../interrupt.ts";
import { FollowedLog, watchFolder } from "../log_follow.ts";
import { isWanted, linesOf, mergedByTime } from "../log_lines.ts";
import type { LogEntry } from "../log_lines.ts";
import { logFileOf } from "../log_tail.ts";
import { inLine } from "../output.ts";
import type { Output, Style } from "../output.ts";
import { resolveFolder } from "../target.ts";

type Flags = CommonFlags & {
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly level: Level | undefined;
  readonly grep: string | undefined;
  readonly follow: boolean;
};

const STYLES: { readonly [level: string]: Style } = { debug: "dim", warning: "yellow", error: "red" };

/** What `--json` prints. */
export const answer = is.said("A line of a log: time, level, node, text, and facts", is.byName(is.anything));

/** Prints what nodes of this machine have logged, as one story; JSON is one object a line. */
export default async function logs(
  { output, world }: Cli,
  flags: Flags,
  ...names: string[]
): Promise<number> {
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
  const print = (entry: LogEntry): void => {
    if (output.json) output.printJson<Of<typeof answer>>(entry.fields);
    else output.print(lineOf(output, entry));
  };
  const wanted = (name: string) => (entry: LogEntry): boolean =>
    isNamed(name, entry) && isWanted(entry, filter);
  const files = groups.map(({ name }) => ({ name, path: logFileOf(config, name), wanted: wanted(name) }));
  if (flags.follow) return await follow(files, dirname(files[0]!.path), world, print);
  const sources = files.map(({ name, path, wanted }) => only(linesOf(path, name), wanted));
  for await (const entry of mergedByTime(sources)) print(entry);
  return exitCodes.ok;
}

/** What stands there, then what comes, until it is interrupted: that is how it is meant to end. */
async function follow(
  files: readonly {
    readonly name: string;
    readonly path: string;
    readonly wanted: (entry: LogEntry) => boolean;
  }[],
  folder: string,
  world: Cli["world"],
  print: (entry: LogEntry) => void,
): Promise<number> {
  let wake: () => void = () => {};
  let isNew = false;
  const changed = (): void => {
    isNew = true;
    wake();
  };
  const interrupt = new Interrupt(world);
  void interrupt.first.then(() => wake());
  mkdirSync(folder, { recursive: true }); // before the first start there is none
  const unwatch = watchFolder(folder, changed);
  const logs = files.map((file) => ({ ...file, log: new FollowedLog(file.path, file.name) }));
  try {
    const standing = logs.map(({ log, name, path, wanted }) => only(before(log, name, path), wanted));
    for await (const entry of mergedByTime(standing)) print(entry);
    while (!interrupt.came) {
      const came = logs.flatMap(({ log, wanted }) => [...log.fresh()].filter(wanted));
      came.sort((a, b) => a.time < b.time ? -1 : a.time > b.time ? 1 : 0);
      for (const entry of came) print(entry);
      if (!isNew) await new Promise<void>((resolve) => interrupt.came ? resolve() : wake = resolve);
      isNew = false;
    }
    return exitCodes.interrupted;
  } finally {
    interrupt.off();
    unwatch();
    for (const { log } of logs) log.close();
  }
}

async function* before(log: FollowedLog, name: string, path: string): AsyncGenerator<LogEntry> {
  yield* linesOf(path, name, { older: true });
  yield* log.fresh();
}

async function* only(
  entries: AsyncIterable<LogEntry>,
  wanted: (entry: LogEntry) => boolean,
): AsyncGenerator<LogEntry> {
  for await (const entry of entries) if (wanted(entry)) yield entry;
}

/** For people: nothing in a log can move their cursor. */
function lineOf(output: Output, { time, level, node, text, fields }: LogEntry): string {
  const shown = ["time", "level", "node", "role", "text", "message", "epoch", "phase"];
  const facts = Object.entries(fields).filter(([name]) => !shown.includes(name))
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const when = time.replace("T", " ").replace("Z", "");
  const mark = level.padEnd(7);
  const style = STYLES[level];
  const shownLevel = style === undefined ? inLine(mark) : output.style(style, inLine(mark));
  return `${inLine(when)} ${shownLevel} ${inLine(node)}: ${inLine([text, ...facts].join(" "))}`;
}
