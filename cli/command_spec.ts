/** How a command of the command line is described, and what many have in common. */
import { buildCommand } from "@stricli/core";
import type { BaseArgs, BaseFlags, Command, TypedCommandParameters } from "@stricli/core";
import type { Cli, Run } from "./context.ts";
import { seconds, whole } from "./parsers.ts";

interface Spec<F extends BaseFlags, A extends BaseArgs> {
  readonly load: () => Promise<{ default: Run<F, A> }>;
  readonly parameters: TypedCommandParameters<F, A, Cli>;
  readonly docs: {
    readonly brief: string;
    readonly fullDescription?: string;
    readonly customUsage?: readonly string[];
  };
}

/** A command that is loaded when it is called; keeps its exit code, or what it throws, for `runCli`. */
export function command<F extends BaseFlags, A extends BaseArgs>(
  { load, ...rest }: Spec<F, A>,
): Command<Cli> {
  const loader = async () => {
    const { default: run } = await load();
    return async function(this: Cli, flags: F, ...args: A): Promise<void> {
      try {
        this.exitCode = (await run(this, flags, ...args)) ?? 0;
      } catch (error) {
        this.failure = { error };
      }
    };
  };
  return buildCommand<F, A, Cli>({ loader, ...rest });
}

/** The flag of every command. */
export const json = {
  kind: "boolean",
  brief: "Answer, and errors, as JSON",
  default: false,
  withNegated: false,
} as const;
const cluster = {
  kind: "parsed",
  parse: String,
  optional: true,
  placeholder: "CLUSTER",
  brief: "Folder, neo:// URI or name; else NEO_CLUSTER, else the neo.toml here or above",
} as const;
/** Flags of every command that works on a cluster. */
export const common = { cluster, json } as const;
/** Short forms of them. */
export const aliases = { C: "cluster" } as const;
/** How long to wait for what was begun. */
export const wait = {
  kind: "parsed",
  parse: seconds,
  default: "30",
  placeholder: "SECONDS",
  brief: "How long to wait",
} as const;

/** Where storages keep their data, if not in files of their own. */
export const databaseFlags = {
  database: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "URI",
    brief: "A PostgreSQL server instead of SQLite: postgres://user@host:port/database",
  },
  passwordFile: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "FILE",
    brief: "File with that server's password; else PGPASSWORD",
  },
} as const;

/** A whole number within bounds. */
export function optionalNumber(brief: string, least: number, most: number) {
  return { kind: "parsed", parse: whole(least, most), optional: true, placeholder: "N", brief } as const;
}

/** Any number of nodes. */
export const nodes = {
  kind: "array",
  parameter: { parse: String, placeholder: "NODE", brief: "A node; none means all" },
} as const;

/** The parser's own would say that one must be named. */
export const NODES_USAGE = ["[NODE]..."];

/** One argument. */
export function one<T>(placeholder: string, parse: (text: string) => T, brief: string) {
  return { kind: "tuple", parameters: [{ parse, placeholder, brief }] } as const;
}
