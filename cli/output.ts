/** What a command says: its answer on stdout, everything else on stderr, colours only where they are wanted. */
import { Buffer } from "node:buffer";
import { styleText } from "node:util";

/** Where text goes, and bytes. */
export interface TextStream {
  /** `done` is called when the chunk has left, or was lost because nobody reads any more. */
  write(chunk: string | Uint8Array, done?: () => void): unknown;
  readonly isTTY?: boolean;
}

/** Environment variables. */
export type Env = { readonly [name: string]: string | undefined };

/** A style of `node:util`'s `styleText`. */
export type Style = Parameters<typeof styleText>[0];

/** Whether text for `stream` may carry escape codes: FORCE_COLOR, then NO_COLOR, then TERM and the terminal decide. */
export function hasColour(stream: TextStream, env: Env): boolean {
  const forced = env["FORCE_COLOR"];
  if (forced !== undefined && forced !== "") return forced !== "0" && forced !== "false";
  if (env["NO_COLOR"] || env["TERM"] === "dumb") return false;
  return stream.isTTY === true;
}

/** What moves a cursor, hides or turns text round, or ends a line: what peers, logs and files say may hold any of it. */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** How our own styles begin: `\u001b[` with numbers. */
// deno-lint-ignore no-control-regex
const STYLE = /(\u001b\[[\d;]*m)/;

function jsonEscaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
}

/**
 * Text that others have written, in one line that steers no terminal.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { inLine } from "./output.ts";
 * assert.equal(inLine("a\u001b[2Jb\n"), "a\\x1b[2Jb\\x0a");
 * ```
 */
export function inLine(text: string): string {
  return text.replace(STEERING, escaped);
}

/** Lines of ours, with what others have written in them: styles only where they are wanted, and no other control character. */
function lines(text: string, colour: boolean): string {
  const clean = (part: string): string =>
    part.replace(STEERING, (character) => "\n\t".includes(character) ? character : escaped(character));
  if (!colour) return clean(text);
  return text.split(STYLE).map((part, at) => (at % 2 === 1 ? part : clean(part))).join("");
}

/** How JSON shows what it has no type for: ids as decimal text, bytes as base64. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return value;
}

/** One line of JSON. It escapes by itself no more than the first 32 characters. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, jsonValue).replace(STEERING, jsonEscaped);
}

/** The two streams of a command, and whether they show colours. */
export class Output {
  readonly #stdout: TextStream;
  readonly #stderr: TextStream;
  readonly colour: boolean;
  readonly errorColour: boolean;
  /** One object on stdout in place of text. */
  readonly json: boolean;
  /** Whether a person looks at stdout, and at stderr. */
  readonly isTerminal: boolean;
  readonly isErrorTerminal: boolean;
  #progressing = false;

  constructor(streams: { stdout: TextStream; stderr: TextStream }, env: Env, json: boolean) {
    this.#stdout = streams.stdout;
    this.#stderr = streams.stderr;
    this.json = json;
    this.isTerminal = streams.stdout.isTTY === true;
    this.isErrorTerminal = streams.stderr.isTTY === true;
    this.colour = !json && hasColour(streams.stdout, env);
    this.errorColour = !json && hasColour(streams.stderr, env);
  }

  /** A part of the answer. */
  print(line: string): void {
    this.#stdout.write(`${lines(line, this.colour)}\n`);
  }

  /** The whole answer, where JSON was asked for; `T` is what the command has declared as its `answer`. */
  printJson<T>(value: T): void {
    this.print(toJson(value));
  }

  /** A terminal's screen begins again. */
  clear(): void {
    this.#stdout.write("\u001b[H\u001b[2J");
  }

  /** A step of the work, a warning: nothing that a script may rely on. */
  note(line: string): void {
    this.#stderr.write(`${lines(line, this.errorColour)}\n`);
  }

  /** A line that takes the place of the last one on a terminal. */
  progress(line: string): void {
    if (this.isErrorTerminal) {
      this.#stderr.write(`\r${lines(line, this.errorColour)}${this.errorColour ? "\u001b[K" : "  "}`);
    } else this.note(line);
    this.#progressing = this.isErrorTerminal;
  }

  /** Ends the line of `progress`. */
  endProgress(): void {
    if (this.#progressing) this.#stderr.write("\n");
    this.#progressing = false;
  }

  /** Something that its reader should know, on stderr. */
  warn(line: string): void {
    this.endProgress();
    this.note(`${this.errorColour ? styled("yellow", "Warning:") : "Warning:"} ${line}`);
  }

  /** Text of the answer in a style, plain where colours aren't wanted. */
  style(style: Style, text: string): string {
    return this.colour ? styled(style, text) : text;
  }
}

/** Text with escape codes. */
export function styled(style: Style, text: string): string {
  return styleText(style, text, { validateStream: false });
}

/** A cell of a table, with an optional style. */
export interface TableCell {
  readonly text: string;
  readonly style?: Style;
}

/**
 * Lines of a table; widths count characters, and styles don't.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { table } from "./output.ts";
 * assert.deepEqual(table([["NODE", "STATE"], ["s1", "running"]], (_style, text) => text), ["NODE  STATE", "s1    running"]);
 * ```
 */
export function table(
  rows: readonly (readonly (string | TableCell)[])[],
  style: (style: Style, text: string) => string,
): string[] {
  const cells = rows.map((row) =>
    row.map((cell): TableCell => {
      const { text, ...rest } = typeof cell === "string" ? { text: cell } : cell;
      return { text: inLine(text), ...rest };
    })
  );
  const widths: number[] = [];
  for (const row of cells) row.forEach(({ text }, i) => widths[i] = Math.max(widths[i] ?? 0, text.length));
  return cells.map((row) =>
    row.map((cell: TableCell, i) => {
      const padding = i === row.length - 1 ? "" : " ".repeat((widths[i] ?? 0) - cell.text.length);
      return (cell.style === undefined ? cell.text : style(cell.style, cell.text)) + padding;
    }).join("  ").trimEnd()
  );
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Bytes as `1.5 MiB`; `-` for what isn't known. */
export function inUnits(bytes: number | null): string {
  if (bytes === null) return "-";
  let [value, unit] = [bytes, 0];
  for (; value >= 1_024 && unit < UNITS.length - 1; unit++) value /= 1_024;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}
