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
    onRequest: (listener) => {
      for (const signal of ["SIGHUP", "SIGUSR2"] as const) process.on(signal, listener);
    },
  };
  const exitCode = await runCli(process.argv.slice(2), world);
  process.stdout.write("", () => process.exit(exitCode));
}

if (import.meta.main) await main();
