/** `neo status` */
import { UnreachableError } from "../../core/errors.ts";
import { STATUS_WATCH_MS } from "../../core/limits.ts";
import { parseUri } from "../../core/uri.ts";
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { askStatus } from "../ask.ts";
import { backupAnswer } from "../backup_view.ts";
import { selectProcesses } from "../config.ts";
import type { ClusterConfig } from "../config.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { exitCodeOf, summaryOf, viewOf } from "../health.ts";
import type { Findings, LocalNode, StatusView } from "../health.ts";
import { Interrupt } from "../interrupt.ts";
import { lastLines, logFileOf } from "../log_tail.ts";
import { nextCommand } from "../next.ts";
import { inLine, table } from "../output.ts";
import type { Output, Style } from "../output.ts";
import { packAnswer, packInWords } from "../pack_view.ts";
import { processStateOf } from "../pid_file.ts";
import { oldestAnswer } from "../snapshot_view.ts";
import { resolveTarget } from "../target.ts";
import type { Target } from "../target.ts";
import { pause } from "../wait.ts";

/** Lines of its log that are shown of a node that has crashed. */
const CRASH_LINES = 5;

/** What `--json` prints. */
export const answer = is.object({
  cluster: is.text,
  clusterId: is.text,
  state: is.said("stopped, unreachable, recovering, verifying, running or stopping", is.text),
  healthy: is.flag,
  uri: is.text,
  lastTid: is.id,
  lastTime: is.nullable(is.time),
  primary: is.text,
  epoch: is.count,
  tableVersion: is.count,
  partitions: is.count,
  replicas: is.count,
  clients: is.count,
  waitingFor: is.text,
  oldestSnapshot: oldestAnswer,
  backup: backupAnswer,
  pack: packAnswer,
  problems: is.list(is.text),
  nodes: is.list(is.object({
    name: is.text,
    role: is.text,
    state: is.text,
    address: is.text,
    pid: is.nullable(is.count),
    version: is.nullable(is.text),
    cells: is.count,
    readable: is.count,
    problem: is.nullable(is.text),
    lastLog: is.optional(is.list(is.text)),
  })),
});

type Flags = CommonFlags & { readonly wait: number; readonly watch: boolean };

/** Prints one screen, or one object; the exit code says the same in one number. */
export default async function status(
  { output, world }: Cli,
  flags: Flags,
  ...names: string[]
): Promise<number> {
  const target = resolveTarget(flags.cluster, world);
  if (flags.watch) return await watch({ output, world }, target, flags, names);
  const view = viewOf(await findingsOf(target, flags.wait, names));
  if (output.json) output.printJson<Of<typeof answer>>(view);
  else show(output, view, nextStep(view, flags));
  return exitCodeOf(view, target.kind === "folder");
}

/** Looks again and again until it is interrupted. A terminal shows the newest; elsewhere each change is some lines, or an object. */
async function watch(
  { output, world }: Pick<Cli, "output" | "world">,
  target: Target,
  flags: Flags,
  names: readonly string[],
): Promise<number> {
  const interrupt = new Interrupt(world);
  let last = "";
  let wake: () => void = () => {};
  void interrupt.first.then(() => wake());
  try {
    while (!interrupt.came) {
      const view = viewOf(await findingsOf(target, flags.wait, names));
      // that transactions go on is no news
      const { lastTid: _, lastTime: __, ...rest } = view;
      const now = JSON.stringify(rest);
      if (output.isTerminal && !output.json) {
        output.clear();
        show(output, view, nextStep(view, flags));
      } else if (now !== last) {
        if (output.json) output.printJson<Of<typeof answer>>(view);
        else {for (
            const line of [
              `${new Date().toISOString()} ${summaryOf(view)}`,
              ...view.problems.map((one) => `  ${one}`),
            ]
          ) output.print(line);}
      }
      last = now;
      if (interrupt.came) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
        void pause(STATUS_WATCH_MS).then(resolve);
      });
    }
  } finally {
    interrupt.off();
  }
  return exitCodes.interrupted;
}

/** Looks at the processes of this machine, then asks the primary, unless there is surely none. */
async function findingsOf(target: Target, withinMs: number, names: readonly string[]): Promise<Findings> {
  const { uri } = target;
  const config = target.kind === "folder" ? target.config : undefined;
  const found = {
    cluster: config?.cluster ?? parseUri(uri).cluster,
    uri,
    known: config,
    local: config === undefined ? [] : localNodes(config, names),
    status: undefined,
    problem: "",
  };
  if (config !== undefined && !localNodes(config, []).some(({ process }) => process.state === "running")) {
    return found;
  }
  try {
    return { ...found, status: await askStatus(target, { withinMs }) };
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    return { ...found, problem: error.message };
  }
}

function localNodes(config: ClusterConfig, names: readonly string[]): LocalNode[] {
  return selectProcesses(config, names).flatMap(({ name, nodes }) =>
    nodes.filter((node) => names.length === 0 || names.includes(node.name) || names.includes(name)).map(
      (node) => {
        const process = processStateOf(node);
        const lastLog = process.state === "crashed" ? lastLines(logFileOf(config, name), CRASH_LINES) : [];
        return { config: node, process, lastLog };
      },
    )
  );
}

function nextStep(view: StatusView, flags: CommonFlags): string {
  const down = view.nodes.filter(({ state }) => state === "stopped" || state === "crashed");
  if (view.state === "stopped") return nextCommand("start", flags);
  if (down.length > 0) return nextCommand(`start ${down.map(({ name }) => name).join(" ")}`, flags);
  const dropped = view.nodes.find(({ state }) => state === "no member");
  if (dropped) return nextCommand(`node drop ${dropped.name} --yes`, flags);
  if (!view.healthy) return nextCommand("status", flags);
  return nextCommand(view.lastTime === null ? "import FILE" : "tx list", flags);
}

function show(output: Output, view: StatusView, next: string): void {
  output.print(output.style(["bold", view.healthy ? "green" : "red"], summaryOf(view)));
  for (const problem of view.problems) output.print(`  ${output.style("yellow", inLine(problem))}`);
  if (view.nodes.length > 0 && (view.state !== "stopped" || view.problems.length > 0)) {
    showNodes(output, view);
  }
  if (view.lastTime !== null) output.print(`Last transaction ${view.lastTid} at ${view.lastTime}`);
  if (view.pack !== null) output.print(sentence(packInWords(view.pack)));
  output.print(`URI: ${view.uri}`);
  output.print(`Next: ${next}`);
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const STYLES: { readonly [state: string]: Style } = { running: "green", stopped: "dim", crashed: "red" };

function showNodes(output: Output, view: StatusView): void {
  const head = ["NODE", "ROLE", "STATE", "ADDRESS", "PID", "COPIES"].map((text) => ({
    text,
    style: "dim" as Style,
  }));
  const rows = view.nodes.map((node) => [
    node.name,
    node.role,
    { text: node.state, style: STYLES[node.state] ?? "yellow" },
    node.address,
    node.pid === null ? "-" : String(node.pid),
    node.role === "storage" ? `${node.readable}/${node.cells}` : "",
  ]);
  output.print("");
  for (const line of table([head, ...rows], (style, text) => output.style(style, text))) output.print(line);
  for (const { name, lastLog } of view.nodes) {
    if (lastLog === undefined || lastLog.length === 0) continue;
    output.print(`\nThe end of the log of ${name}:`);
    for (const line of lastLog) output.print(`  ${line}`);
  }
  output.print("");
}
