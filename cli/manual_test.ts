import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CLI_DOCS, cliDocs } from "../scripts/cli_docs.ts";
import { root } from "./app.ts";
import { exitCodes } from "./exit.ts";
import { manual } from "./manual.ts";
import type { ManualEntry, ManualInput } from "./manual.ts";
import { routes } from "./routes.ts";

const entries = await manual(root);
const files = new Map(
  routes(root).map(({ path }) => [path.join(" "), `cli/commands/${path.join("_").replaceAll("-", "_")}.ts`]),
);

/** A flag or an argument with the command that has it. */
const inputs = entries.flatMap(({ command, flags, arguments: args }) =>
  [...flags, ...args].map((input) => ({ command, input }))
);

function whereToSay(command: string): string {
  return `in the docs of its command({ ... }) (cli/app*.ts), neo ${command} must say`;
}

test("every command has examples in its help, of its own words and flags", () => {
  for (const { command, examples, flags } of entries) {
    const what = `${whereToSay(command)} examples: [["neo ${command} ...", "what that does"]]`;
    assert.ok(examples.length > 0, what);
    const known = new Set(
      flags.flatMap(({ name, short }) => [name, ...(short === undefined ? [] : [short])]),
    );
    for (const { line, does } of examples) {
      assert.match(`${line} `, new RegExp(`^neo ${command} `), what);
      assert.ok(does.length > 0, what);
      const own = line.split(/ [|>] /)[0]!.replace(/"[^"]*"/g, "");
      for (const [flag] of own.matchAll(/(?<= )--?[a-z][\w-]*/gi)) {
        assert.ok(known.has(flag), `${line}: ${command} has no ${flag}`);
      }
    }
  }
});

test("every command says with which exit codes it ends", () => {
  const codes = new Set<number>(Object.values(exitCodes));
  for (const { command, exits } of entries) {
    assert.ok(
      exits.length > 0,
      `${whereToSay(command)} exits: ends.local, ends.folder or ends.remote, and more`,
    );
    assert.equal(exits[0]!.code, 0, command);
    for (const { code, meaning } of exits) {
      assert.ok(codes.has(code), `${command}: ${code} is no exit code of cli/exit.ts`);
      assert.ok(meaning.length > 0, `${command}: what does ${code} mean?`);
    }
  }
});

test("every command has --json, and a schema of what it prints then", () => {
  for (const { command, flags, answer, prints } of entries) {
    assert.ok(
      flags.some(({ name }) => name === "--json"),
      `give neo ${command} the flag json, of command_spec.ts`,
    );
    assert.ok(
      answer !== undefined || prints === "nothing",
      `${
        files.get(command)
      } must export const answer = is.object({ ... }) (cli/answers.ts; null if --json prints nothing), `
        + "and print it with output.printJson<Of<typeof answer>>(...)",
    );
  }
});

test("every flag and argument says what it accepts", () => {
  for (const { command, input: { name, accepts, brief } } of inputs) {
    assert.ok(
      accepts !== undefined,
      `neo ${command}: parse ${name} with a parser of cli/parsers.ts, or with String`,
    );
    assert.ok(brief.length > 0, `neo ${command}: what is ${name}?`);
  }
});

/** Parsers of what is a number, by where they stand. */
function numbersOf(): {
  readonly where: string;
  readonly input: ManualInput;
  parse(text: string): unknown;
}[] {
  return routes(root).flatMap(({ path, command: { parameters } }) => {
    const { flags = {}, positional } = parameters;
    const given = positional === undefined
      ? []
      : positional.kind === "array"
      ? [positional.parameter]
      : positional.parameters;
    const entry = entries.find(({ command }) => command === path.join(" "))!;
    const named = [
      ...Object.values(flags).map((flag, i) => [entry.flags[i]!, flag] as const),
      ...given.map((one, i) => [entry.arguments[i]!, one] as const),
    ];
    return named.flatMap(([input, parameter]) =>
      "parse" in parameter && /number|integer/.test(String(input.accepts?.type))
        ? [{
          where: `neo ${entry.command} ${input.name}`,
          input,
          parse: parameter.parse as (text: string) => unknown,
        }]
        : []
    );
  });
}

test("every number has bounds, takes both, and nothing beyond them or that is none", () => {
  const numbers = numbersOf();
  assert.ok(numbers.length > 40, `${numbers.length}`);
  for (const { where, input: { accepts, default: otherwise }, parse } of numbers) {
    const { minimum, maximum } = accepts!;
    assert.ok(
      minimum !== undefined && maximum !== undefined,
      `${where} has no bounds: use whole() or seconds()`,
    );
    for (const good of [minimum, maximum, ...(otherwise === undefined ? [] : [otherwise])]) {
      parse(String(good));
    }
    const bad = [
      "",
      " ",
      "-1",
      "1e3",
      "0x10",
      "NaN",
      "Infinity",
      "1,5",
      "two",
      String(maximum + 1),
      "9".repeat(400),
    ];
    for (const text of minimum > 0 ? [...bad, String(minimum - 1)] : bad) {
      assert.throws(() => parse(text), RangeError, `${where} takes ${JSON.stringify(text)}`);
    }
  }
});

test("the committed docs/cli.json is what the commands declare", async () => {
  const committed = readFileSync(new URL(`../${CLI_DOCS}`, import.meta.url), "utf8");
  assert.ok(committed === await cliDocs(), "run deno task docs");
});

/** Commands by their own words, so that this test shows which there are. */
test("the table of commands leads to each by its own words", () => {
  const names = entries.map(({ command }: ManualEntry) => command);
  assert.equal(new Set(names).size, names.length);
  for (const name of ["demo", "status", "node add", "master step-down", "config export"]) {
    assert.ok(names.includes(name), name);
  }
});
