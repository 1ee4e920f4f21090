#!/usr/bin/env -S deno run -A
/**
 * The command `neo`, in Deno and in Node:
 *
 *     deno run -A cli/main.ts --help
 *     node cli/main.ts --help
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { SystemClock } from "../adapters/system.ts";
import { runCli } from "./cli.ts";
import type { World } from "./context.ts";

/** How this program is started again; what the runtimes say by themselves would fill logs. */
function selfCommand(): string[] {
  const main = fileURLToPath(import.meta.url);
  const isDeno = process.versions["deno"] !== undefined;
  return [
    process.execPath,
    ...(isDeno ? ["run", "-A", "--quiet"] : ["--disable-warning=ExperimentalWarning"]),
    main,
  ];
}

function onSignal(listener: (signal: "SIGINT" | "SIGTERM") => void): () => void {
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, listener);
  return () => signals.forEach((signal) => process.off(signal, listener));
}

/** Whoever reads our output may stop reading, as `head` does: that is no error. */
function endOnBrokenPipe(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: Error & { code?: string }) => process.exit(error.code === "EPIPE" ? 0 : 1));
  }
}

/** A command that waits between two attempts has nothing open: the process stays until its command ends. */
function stay(): void {
  const clock = new SystemClock({ keepsProcess: true });
  clock.wakeAt(Number.MAX_SAFE_INTEGER, () => {});
}

/** A line that is typed; the terminal's own editing is good enough for it, and Ctrl-C ends the process as always. */
function ask(question: string): Promise<string | undefined> {
  process.stderr.write(question);
  return new Promise((resolve) => {
    const { stdin } = process;
    const done = (line: string | undefined): void => {
      stdin.off("data", typed).off("end", ended);
      stdin.pause();
      resolve(line);
    };
    const typed = (bytes: Uint8Array): void => done(new TextDecoder().decode(bytes));
    const ended = (): void => done(undefined);
    stdin.on("data", typed).on("end", ended).resume();
  });
}

async function main(): Promise<void> {
  endOnBrokenPipe();
  stay();
  const world: World = {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    self: selfCommand(),
    onSignal,
    ...(process.stdin.isTTY && process.stderr.isTTY ? { ask } : {}),
    onRequest: (listener) => {
      for (const signal of ["SIGHUP", "SIGUSR2"] as const) process.on(signal, listener);
    },
  };
  const exitCode = await runCli(process.argv.slice(2), world);
  process.stdout.write("", () => process.exit(exitCode));
}

if (import.meta.main) await main();
