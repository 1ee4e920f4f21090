/** What every command is given: its surroundings, its output, and the request to end. */
import type { CommandContext, RouteMap } from "@stricli/core";
import { Output } from "./output.ts";
import type { Env, TextStream } from "./output.ts";

/** The world around one run of the command line; tests bring their own. */
export interface World {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly env: Env;
  readonly cwd: string;
  /** Program and arguments that start this command line again, as another process. */
  readonly self: readonly string[];
  /** Hears of SIGINT and SIGTERM; gives a function that ends it. Without a listener both end the process. */
  onSignal(listener: (signal: "SIGINT" | "SIGTERM") => void): () => void;
  /** Asks whoever sits at the terminal for a line; undefined: there is none any more. Not there without a terminal. */
  ask?(question: string): Promise<string | undefined>;
  /** Hears of SIGHUP (logs were moved away) and SIGUSR2 (say how you are), as long as the process lives. */
  onRequest?(listener: (signal: "SIGHUP" | "SIGUSR2") => void): void;
}

/** One command, running. */
export class Cli implements CommandContext {
  /** What the parser of arguments writes to: kept apart, because its errors are shown in our way. */
  readonly process: CommandContext["process"];
  readonly world: World;
  readonly output: Output;
  /** All commands. */
  readonly commands: RouteMap<Cli>;
  /** How the command ended, unless it threw. */
  exitCode = 0;
  failure: { readonly error: unknown } | undefined;

  constructor(
    world: World,
    options: { json: boolean; process: CommandContext["process"]; commands: RouteMap<Cli> },
  ) {
    this.world = world;
    this.process = options.process;
    this.commands = options.commands;
    this.output = new Output(world, world.env, options.json);
  }
}

/** Flags that every command has. */
export type CommonFlags = {
  readonly cluster: string | undefined;
  readonly json: boolean;
};

/** A command: gives its exit code, nothing for 0, or throws. Each module in `commands/` has one as its default. */
export type Run<F, A extends readonly unknown[]> = (cli: Cli, flags: F, ...args: A) => Promise<number | void>;
