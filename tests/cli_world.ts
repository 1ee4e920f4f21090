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
import { runCli } from "../cli/cli.ts";
import type { World } from "../cli/context.ts";

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
