/** Runs one command line: arguments in, exit code out. Errors of all kinds are shown here and nowhere else. */
import { run } from "@stricli/core";
import { app, root } from "./app.ts";
import { Cli } from "./context.ts";
import type { World } from "./context.ts";
import { CliError, exitCodes, reportOf } from "./exit.ts";
import type { ErrorReport } from "./exit.ts";
import { fitted } from "./help_text.ts";
import { hasColour, styled, toJson } from "./output.ts";
import type { Output } from "./output.ts";
import { pathIn } from "./routes.ts";

/**
 * Runs `neo` with arguments.
 *
 * @returns the exit code, one of `exitCodes`
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { runCli } from "./cli.ts";
 * let said = "";
 * const stream = { write: (text: string) => said += text };
 * const world = { stdout: stream, stderr: stream, env: {}, cwd: ".", self: [], onSignal: () => () => {} };
 * assert.equal(await runCli(["verzion"], world), 2);
 * assert.match(said, /did you mean `version`/);
 * ```
 */
export async function runCli(args: readonly string[], world: World): Promise<number> {
  const inputs = commonFlagsLast(args);
  const json = asksForJson(inputs);
  const complaints: string[] = [];
  const parserProcess = {
    stdout: { write: (text: string) => void world.stdout.write(fitted(text)), ...colourDepth(world) },
    stderr: { write: (text: string) => void complaints.push(text.trimEnd()) },
  };
  const cli = new Cli(world, { json, process: parserProcess, commands: root });
  const parsed: { exitCode?: number | string | null } & typeof parserProcess = { ...parserProcess };
  await run(app, inputs, { process: parsed, forCommand: () => cli });
  if (cli.failure !== undefined) return showError(cli.output, reportOf(cli.failure.error));
  if (parsed.exitCode === 0) return cli.exitCode;
  return showError(cli.output, reportOf(parserError(inputs, Number(parsed.exitCode), complaints)));
}

/** The parser's own exit codes are negative: -5 and -4 are wrong usage, the others our mistakes. */
function parserError(inputs: readonly string[], code: number, complaints: readonly string[]): Error {
  const message = complaints.join("; ");
  if (code !== -5 && code !== -4) return new Error(message);
  const command = pathIn(inputs, root).join(" ");
  return new CliError("usage", message, { hint: `see: neo ${command}${command && " "}--help` });
}

function colourDepth(world: World): { getColorDepth: () => number } {
  return { getColorDepth: () => (hasColour(world.stdout, world.env) ? 8 : 1) };
}

/** Flags that every command has may stand before it, as in `neo -C shop status`; the parser wants them behind. */
function commonFlagsLast(args: readonly string[]): string[] {
  let at = 0;
  for (let arg = args[at]; arg !== undefined; arg = args[at]) {
    if (arg === "-C" || arg === "--cluster") at += 2;
    else if (arg === "--json" || arg.startsWith("--cluster=") || arg.startsWith("-C=")) at += 1;
    else break;
  }
  const [flags, rest] = [args.slice(0, at), args.slice(at)];
  const command = rest.findIndex((arg) => arg === "--");
  const end = command < 0 ? rest.length : command;
  return [...rest.slice(0, end), ...flags, ...rest.slice(end)];
}

/** Known before the arguments are parsed, because what is wrong with them is told in JSON as well. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--json" || arg === "--json=true");
}

function showError(output: Output, report: ErrorReport): number {
  output.endProgress();
  if (output.json) {
    output.note(toJson(report));
    return report.exitCode;
  }
  const label = report.exitCode === exitCodes.interrupted ? "Interrupted:" : "Error:";
  output.note(`${output.errorColour ? styled(["bold", "red"], label) : label} ${report.message}`);
  if (report.hint !== "") {
    output.note(`${output.errorColour ? styled("dim", "Hint:") : "Hint:"} ${report.hint}`);
  }
  return report.exitCode;
}
