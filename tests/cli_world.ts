/** The world around one command line, for tests: streams that are kept, folders that go away. */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { root } from "../cli/app.ts";
import { runCli } from "../cli/cli.ts";
import type { World } from "../cli/context.ts";
import { exitCodes } from "../cli/exit.ts";
import type { Outcome } from "../cli/exit.ts";
import { pathIn, routes } from "../cli/routes.ts";
import type { Route } from "../cli/routes.ts";
import { mistakesIn } from "./json_schema.ts";

/** What a command has said, and how it ended. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout as JSON. */
  // deno-lint-ignore no-explicit-any
  readonly json: any;
}

/** Chooses what a command sees. */
export interface WorldOptions {
  readonly env?: { readonly [name: string]: string };
  readonly cwd?: string;
  readonly isTTY?: boolean;
  readonly onSignal?: World["onSignal"];
}

/** Program and arguments of the command line, in the runtime that runs the test. */
export function neoCommand(): string[] {
  const main = fileURLToPath(new URL("../cli/main.ts", import.meta.url));
  const isDeno = process.versions["deno"] !== undefined;
  return [
    process.execPath,
    ...(isDeno ? ["run", "-A", "--quiet"] : ["--disable-warning=ExperimentalWarning"]),
    main,
  ];
}

/** A command must end as it has declared, and `--json` print what it has. */
export async function checkContract(
  args: readonly string[],
  exitCode: unknown,
  stdout: string,
): Promise<void> {
  const words = args.slice(0, args.indexOf("--") >>> 0);
  const route = routeIn(words);
  if (route === undefined || words.includes("--help")) return;
  const { loadAnswer, exits, streams } = route.declaration;
  const codes = Array.isArray(exits)
    ? exits.map((name: Outcome) => exitCodes[name])
    : Object.keys(exits).map(Number);
  if (typeof exitCode === "number" && !codes.includes(exitCode)) {
    throw new Error(`neo ${args.join(" ")} ended with ${exitCode}, its exits are ${codes.join(", ")}`);
  }
  if (stdout === "" || !words.includes("--json")) return;
  const schema = await loadAnswer();
  if (schema === null) throw new Error(`neo ${args.join(" ")} must print nothing: ${stdout}`);
  const answers = streams ? stdout.trimEnd().split("\n") : [stdout];
  const mistakes = answers.flatMap((text) => mistakesIn(JSON.parse(text), schema.json));
  if (mistakes.length > 0) {
    throw new Error(`neo ${args.join(" ")} answers other than it says: ${mistakes.join("; ")}`);
  }
}

/** The command that a line means, wherever its flags stand. */
export function routeIn(words: readonly string[]): Route | undefined {
  const all = routes(root);
  return words.map((_, from) => pathIn(words.slice(from), root).join(" "))
    .map((path) => all.find((route) => route.path.join(" ") === path))
    .find((route) => route !== undefined);
}

/** Runs `neo` in this process. */
export async function neo(args: readonly string[], options: WorldOptions = {}): Promise<CommandResult> {
  const said = { stdout: "", stderr: "" };
  const stream = (name: "stdout" | "stderr") => ({
    write(chunk: string | Uint8Array, done?: () => void) {
      said[name] += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
      done?.();
    },
    isTTY: options.isTTY ?? false,
  });
  const exitCode = await runCli(args, {
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    env: options.env ?? {},
    cwd: options.cwd ?? process.cwd(),
    self: neoCommand(),
    onSignal: options.onSignal ?? (() => () => {}),
  });
  await checkContract(args, exitCode, said.stdout);
  return {
    exitCode,
    ...said,
    get json() {
      return JSON.parse(said.stdout);
    },
  };
}

/** Runs `neo` as a process of its own. */
export async function neoProcess(
  args: readonly string[],
  options: { readonly env: { readonly [name: string]: string }; readonly cwd: string },
): Promise<CommandResult> {
  const child = spawnNeo(args, options);
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => said[name] += text);
  }
  const [exitCode, signal] = await once(child, "close");
  await checkContract(args, exitCode, said.stdout);
  return {
    exitCode: exitCode ?? signal,
    ...said,
    get json() {
      return JSON.parse(said.stdout);
    },
  };
}

/** Begins `neo` as a process of its own. */
export function spawnNeo(
  args: readonly string[],
  options: { readonly env: { readonly [name: string]: string }; readonly cwd: string },
): ChildProcessByStdio<null, Readable, Readable> {
  const [program, ...rest] = neoCommand();
  return spawn(program!, [...rest, ...args], { ...options, stdio: ["ignore", "pipe", "pipe"] });
}

/** A folder of its own, whose removal ends the test; names of clusters are kept in it too. */
export function temporaryFolder(): {
  readonly path: string;
  readonly env: { [name: string]: string };
  remove(): void;
} {
  const path = mkdtempSync(join(tmpdir(), "neo-cli-"));
  const { PATH = "", HOME = "", DENO_DIR = join(HOME, ".cache", "deno") } = process.env;
  const env = { PATH, DENO_DIR, HOME: path, NEO_CONFIG_HOME: join(path, ".config") };
  return { path, env, remove: () => rmSync(path, { recursive: true, force: true }) };
}
