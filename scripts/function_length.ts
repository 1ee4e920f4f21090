/**
 * Finds functions in masked source (see `source_text.ts`) and measures them. It follows brackets and
 * return types, nothing more: that is enough for formatted, type-checked TypeScript.
 *
 * @module
 */

import { lineAt } from "./source_text.ts";

/** Where a function with a `{}` body stands and how long it is. */
export interface FunctionSpan {
  readonly name: string;
  /** First line, from 1. */
  readonly line: number;
  /** Lines from its head to its closing brace, functions within it included. */
  readonly lines: number;
}

/** A word, an arrow or a single sign, and the index of the bracket that closes it. */
interface Token {
  readonly text: string;
  readonly at: number;
  pair: number | undefined;
}

/** A parenthesis after one of these holds no parameters. */
const NO_FUNCTION = new Set(["await", "catch", "for", "if", "switch", "while", "with"]);
/** In a type, an operand follows these. */
const TYPE_OPERATORS = new Set(
  ["|", "&", ".", "-", ..."asserts extends infer is keyof new readonly typeof unique".split(" ")],
);
const CLOSING: ReadonlyMap<string, string> = new Map([["(", ")"], ["[", "]"], ["{", "}"]]);

/**
 * All functions, methods and block-bodied arrow functions of masked source.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.deepEqual(functionsOf("function f() {\n}\n"), [{ name: "f", line: 1, lines: 2 }]);
 * ```
 */
export function functionsOf(code: string): FunctionSpan[] {
  const tokens = tokensOf(code);
  const seen = new Set<number>();
  const found: FunctionSpan[] = [];
  for (const [index, token] of tokens.entries()) {
    const body = token.text === "(" ? bodyAfterParameters(tokens, index) : bodyAfterName(tokens, index);
    if (body === undefined || seen.has(body)) continue;
    seen.add(body);
    found.push(spanOf(code, tokens, index, body));
  }
  return found;
}

function spanOf(code: string, tokens: readonly Token[], head: number, body: number): FunctionSpan {
  const end = tokens[tokens[body]?.pair ?? body]?.at ?? code.length;
  const line = lineAt(code, tokens[head]?.at ?? 0);
  return { name: nameBefore(tokens, head), line, lines: lineAt(code, end) - line + 1 };
}

/** The name of `name(`, `name = (` or `name: (`. */
function nameBefore(tokens: readonly Token[], head: number): string {
  let index = head - 1;
  while (["=", ":", "async", "*"].includes(tokens[index]?.text ?? "")) index--;
  const name = tokens[index]?.text ?? "";
  return /^[\w$#]+$/.test(name) && name !== "function" ? name : "a function";
}

function tokensOf(code: string): Token[] {
  const tokens: Token[] = [];
  const open: number[] = [];
  for (const match of code.matchAll(/[\w$#]+|=>|\S/g)) {
    const text = match[0];
    const opener = tokens[open.at(-1) ?? -1];
    if (CLOSING.has(text)) open.push(tokens.length);
    else if (opener !== undefined && CLOSING.get(opener.text) === text) {
      opener.pair = (open.pop(), tokens.length);
    }
    tokens.push({ text, at: match.index, pair: undefined });
  }
  return tokens;
}

/** `name => {` */
function bodyAfterName(tokens: readonly Token[], index: number): number | undefined {
  const [name, arrow, brace] = tokens.slice(index, index + 3).map((token) => token.text);
  return /^[\w$]+$/.test(name ?? "") && arrow === "=>" && brace === "{" ? index + 2 : undefined;
}

/** `(...) {`, `(...): Type {`, `(...) => {` and `(...): Type => {` */
function bodyAfterParameters(tokens: readonly Token[], index: number): number | undefined {
  if (NO_FUNCTION.has(tokens[index - 1]?.text ?? "")) return undefined;
  if (tokens[index - 2]?.text === "extends") return undefined; // class A extends mixin(B) {
  const after = (tokens[index]?.pair ?? tokens.length) + 1;
  switch (tokens[after]?.text) {
    case "{":
      return after;
    case "=>":
      return tokens[after + 1]?.text === "{" ? after + 1 : undefined;
    case ":":
      return bodyAfterType(tokens, after + 1);
    default:
      return undefined;
  }
}

/** Reads a return type, operand by operand. A brace where no operand can stand opens the body. */
function bodyAfterType(tokens: readonly Token[], start: number): number | undefined {
  let complete = false; // the type read so far could end here
  let parameters = false; // a parenthesis was read last: an arrow then belongs to a function type
  for (let index = start; index < tokens.length; index++) {
    const { text, pair } = tokens[index] ?? { text: "", pair: undefined };
    if (text === "{" && complete) return index;
    if (text === "=>" && !parameters) return tokens[index + 1]?.text === "{" ? index + 1 : undefined;
    if (text === "=>" || TYPE_OPERATORS.has(text)) complete = parameters = false;
    else if (CLOSING.has(text)) {
      if (pair === undefined) return undefined;
      index = pair;
      [complete, parameters] = [true, text === "("];
    } else if (text === "<") {
      index = afterAngles(tokens, index);
      [complete, parameters] = [true, false];
    } else if (text === '"' || text === "'" || text === "`") {
      index = tokens.findIndex((token, at) => at > index && token.text === text);
      if (index === -1) return undefined;
      [complete, parameters] = [true, false];
    } else if (/^[\w$]/.test(text) && !complete) [complete, parameters] = [true, false];
    else return undefined;
  }
  return undefined;
}

/** The index of the `>` that closes the `<` at `start`. */
function afterAngles(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let index = start; index < tokens.length; index++) {
    const { text, pair } = tokens[index] ?? { text: "", pair: undefined };
    if (text === "<") depth++;
    else if (text === ">" && --depth === 0) return index;
    else if (pair !== undefined) index = pair;
  }
  return tokens.length;
}
