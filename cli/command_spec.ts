/** How a command of the command line is described, and what many have in common. */
import { buildCommand } from "@stricli/core";
import type { BaseArgs, BaseFlags, Command, TypedCommandParameters } from "@stricli/core";
import type { Schema } from "./answers.ts";
import type { Cli, Run } from "./context.ts";
import type { Outcome } from "./exit.ts";
import { HELP_COLUMNS, wrapped } from "./help_text.ts";
import { seconds, whole } from "./parsers.ts";

/** A command line, and what it does. */
export type Example = readonly [line: string, does: string];

/** A module in `commands/`. */
export interface CommandModule<F extends BaseFlags, A extends BaseArgs> {
  readonly default: Run<F, A>;
  /** What `--json` prints; null where that is nothing. */
  readonly answer: Schema<unknown> | null;
}

interface Spec<F extends BaseFlags, A extends BaseArgs> {
  readonly load: () => Promise<CommandModule<F, A>>;
  readonly parameters: TypedCommandParameters<F, A, Cli>;
  readonly docs: Docs;
}

interface Docs {
  readonly brief: string;
  readonly fullDescription?: string;
  readonly customUsage?: readonly string[];
  /** At least one; shown in the help. */
  readonly examples: readonly Example[];
  /** How it may end: names of exit codes, or the meanings of its own. */
  readonly exits: readonly Outcome[] | { readonly [code: number]: string };
  /** The answer is printed as it comes: `--json` prints one object a line. */
  readonly streams?: true;
}

/** What is known of a command before it is loaded, and how to load what its answer is. */
export interface Declaration extends Docs {
  readonly loadAnswer: () => Promise<Schema<unknown> | null>;
}

const declarations = new WeakMap<object, Declaration>();

/** What a command of the table was made from. */
export function declarationOf(command: object): Declaration | undefined {
  return declarations.get(command);
}

/** A command that is loaded when it is called; keeps its exit code, or what it throws, for `runCli`. */
export function command<F extends BaseFlags, A extends BaseArgs>(
  { load, docs, parameters }: Spec<F, A>,
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
  const { brief, customUsage } = docs;
  const fullDescription = `${docs.fullDescription ?? brief}\n\n${examplesIn(docs)}`;
  const shown = { brief, fullDescription, ...(customUsage === undefined ? {} : { customUsage }) };
  const made = buildCommand<F, A, Cli>({ loader, parameters, docs: shown });
  declarations.set(made, { ...docs, loadAnswer: async () => (await load()).answer });
  return made;
}

function examplesIn({ examples }: Docs): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  const isNarrow = examples.every(([, does]) => width + does.length + 4 <= HELP_COLUMNS);
  const lines = examples.flatMap(([line, does]) =>
    isNarrow ? [`  ${line.padEnd(width)}  ${does}`] : [`  ${line}`, ...wrapped(does, 6)]
  );
  return `EXAMPLES\n${lines.join("\n")}`;
}

/** How commands may end: on this machine only, with a cluster's folder, with a cluster that must answer. */
const local = ["ok", "failed", "usage"] as const satisfies readonly Outcome[];
const folder = [...local, "refused", "notFound"] as const satisfies readonly Outcome[];
const remote = [...folder, "unreachable", "security"] as const satisfies readonly Outcome[];
/** Exit codes that many commands have. */
export const ends = { local, folder, remote } as const;

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
