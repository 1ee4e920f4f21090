/** All that a program may want to know of the command line, from the declarations of its commands: `docs/cli.json`. */
import type { JsonSchema } from "./answers.ts";
import { exitCodes, exitMeanings } from "./exit.ts";
import type { Outcome } from "./exit.ts";
import type { Parser } from "./parsers.ts";
import { routes } from "./routes.ts";
import type { Route, Target } from "./routes.ts";

/** A flag or an argument. */
export interface ManualInput {
  /** `--wait`, or `NODE`. */
  readonly name: string;
  readonly short?: string;
  readonly brief: string;
  readonly placeholder?: string;
  /** What its text may be; undefined: its parser doesn't say. */
  readonly accepts: JsonSchema | undefined;
  readonly required: boolean;
  readonly repeated: boolean;
  readonly default?: string;
}

/** A command. */
export interface ManualEntry {
  readonly command: string;
  readonly brief: string;
  readonly description?: string;
  readonly arguments: readonly ManualInput[];
  readonly flags: readonly ManualInput[];
  readonly examples: readonly { readonly line: string; readonly does: string }[];
  readonly exits: readonly { readonly code: number; readonly meaning: string }[];
  /** What `--json` prints: nothing, one line, or a line for each thing as it comes. */
  readonly prints: "nothing" | "one" | "lines";
  readonly answer?: JsonSchema;
}

/** What the parser keeps of a flag or an argument, as far as it is shown. */
interface Parameter {
  readonly kind?: string;
  readonly parse?: ((text: string) => unknown) & Partial<Parser<unknown>>;
  readonly values?: readonly string[];
  readonly optional?: boolean;
  readonly variadic?: boolean | string;
  readonly default?: unknown;
  readonly placeholder?: string;
  readonly brief: string;
}

/** Every command of a table, in the order of the help. */
export function manual(from: Target): Promise<ManualEntry[]> {
  return Promise.all(routes(from).map((route) => entryOf(route)));
}

/** What a command takes. */
export function inputsOf({ command }: Route): Pick<ManualEntry, "arguments" | "flags"> {
  const { flags = {}, aliases = {} } = command.parameters;
  const shorts = new Map(Object.entries(aliases).map(([short, flag]) => [flag as string, `-${short}`]));
  return {
    arguments: argumentsOf(command.parameters.positional),
    flags: Object.entries(flags).map(([name, flag]) => flagOf(name, flag as Parameter, shorts.get(name))),
  };
}

async function entryOf(route: Route): Promise<ManualEntry> {
  const { path, declaration } = route;
  const { brief, fullDescription, examples, exits, streams } = declaration;
  const answer = await declaration.loadAnswer();
  return {
    command: path.join(" "),
    brief,
    ...(fullDescription === undefined ? {} : { description: fullDescription }),
    ...inputsOf(route),
    examples: examples.map(([line, does]) => ({ line, does })),
    exits: exitsOf(exits),
    prints: answer === null ? "nothing" : streams ? "lines" : "one",
    ...(answer === null ? {} : { answer: answer.json }),
  };
}

function exitsOf(exits: readonly Outcome[] | { readonly [code: number]: string }): ManualEntry["exits"] {
  const all = Array.isArray(exits)
    ? (exits as readonly Outcome[]).map((name) => ({ code: exitCodes[name], meaning: exitMeanings[name] }))
    : Object.entries(exits as { readonly [code: number]: string }).map(([code, meaning]) => ({
      code: Number(code),
      meaning,
    }));
  return all.sort((a, b) => a.code - b.code);
}

type Positional =
  | { readonly kind: "array"; readonly parameter: unknown; readonly minimum?: number }
  | { readonly kind: "tuple"; readonly parameters: readonly unknown[] };

function argumentsOf(positional: unknown): ManualInput[] {
  if (positional === undefined) return [];
  const given = positional as Positional;
  if (given.kind === "array") {
    const required = (given.minimum ?? 0) > 0;
    return [{ ...inputOf("", given.parameter as Parameter), required, repeated: true }];
  }
  return given.parameters.map((parameter) => inputOf("", parameter as Parameter));
}

function flagOf(name: string, flag: Parameter, short: string | undefined): ManualInput {
  const kebab = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return { ...inputOf(kebab, flag), ...(short === undefined ? {} : { short }) };
}

function inputOf(flag: string, parameter: Parameter): ManualInput {
  const { brief, placeholder, optional = false, variadic = false, default: otherwise } = parameter;
  return {
    name: flag === "" ? placeholder ?? "" : flag,
    brief,
    ...(flag === "" || placeholder === undefined ? {} : { placeholder }),
    accepts: acceptsOf(parameter),
    required: !optional && otherwise === undefined,
    repeated: variadic !== false,
    ...(otherwise === undefined ? {} : { default: String(otherwise) }),
  };
}

function acceptsOf({ kind, parse, values }: Parameter): JsonSchema | undefined {
  if (kind === "boolean") return { type: "boolean" };
  if (kind === "enum") return { enum: values ?? [] };
  return parse === String ? { type: "string" } : parse?.accepts;
}
