/** Help within the columns of a terminal. */

/** No line of help is longer. */
export const HELP_COLUMNS = 80;

// deno-lint-ignore no-control-regex
const ESCAPES = /\u001b\[[0-9;]*m/g;

/** A flag that isn't given is off: that needs no words. */
// deno-lint-ignore no-control-regex
const OFF = / +\[(?:\u001b\[[0-9;]*m)*default =(?:\u001b\[[0-9;]*m)* false\]/g;

/** Columns that a text takes: escape codes take none. */
function columnsOf(text: string): number {
  return text.replace(ESCAPES, "").length;
}

/** Words in lines, each with `indent` spaces before it. */
export function wrapped(text: string, indent: number): string[] {
  return filled(" ".repeat(indent), text, indent);
}

/**
 * The same help, in lines of at most 80 columns: what is too long goes on under its own column.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { fitted } from "./help_text.ts";
 * const line = `  --wait  ${"how long to wait ".repeat(5)}         [default = 30]`;
 * assert.deepEqual(fitted(line).split("\n"), [
 *   `  --wait  ${"how long to wait ".repeat(4).trim()}`,
 *   "          how long to wait [default = 30]",
 * ]);
 * ```
 */
export function fitted(help: string): string {
  return help.replace(OFF, "").split("\n").flatMap((line) =>
    columnsOf(line) <= HELP_COLUMNS ? [line] : broken(line)
  ).join(
    "\n",
  );
}

/** What a line names, up to the two spaces or more behind it; spaces of later columns are those of words. */
const NAMED = /^\s*(?:-\w\s+)?\S+(?: \S+)*?\s{2,}(?=\S)/;

function broken(line: string): string[] {
  const plain = line.replace(ESCAPES, "");
  const indent = (NAMED.exec(plain) ?? /^\s*/.exec(plain))![0].length;
  const at = positionOf(line, indent);
  return filled(line.slice(0, at), line.slice(at), indent);
}

/** Where in a text its columns from `column` on begin. */
function positionOf(text: string, column: number): number {
  let at = 0;
  for (const { 0: code, index } of text.matchAll(ESCAPES)) {
    const before = columnsOf(text.slice(0, index));
    if (before >= column) break;
    at = index + code.length;
  }
  return at + column - columnsOf(text.slice(0, at));
}

/** A list of words without spaces may be broken behind each bar. */
function filled(head: string, text: string, indent: number): string[] {
  const lines: string[] = [];
  let [line, isEmpty] = [head, true];
  for (const [, gap = "", word = ""] of text.matchAll(/(\s*)([^\s|]+\|?|\|)/g)) {
    const space = gap === "" || isEmpty ? "" : " ";
    if (!isEmpty && columnsOf(line + space + word) > HELP_COLUMNS) {
      lines.push(line);
      line = " ".repeat(indent) + word;
    } else line += space + word;
    isEmpty = false;
  }
  return [...lines, line];
}
