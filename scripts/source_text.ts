/**
 * Source text as `tidy.ts` looks at it: code without what comments, strings, templates and regular
 * expressions say, so that a rule never mistakes words for code. No parser: enough for formatted,
 * type-checked TypeScript, and every character keeps its place.
 *
 * @module
 */

/** One file of the repository. */
export interface SourceFile {
  /** Path from the repository's root, with `/`. */
  readonly path: string;
  readonly text: string;
  /** `text` after {@link mask}; equal to `text` for what is not TypeScript. */
  readonly code: string;
}

/** A module that a file names. */
export interface Import {
  readonly specifier: string;
  /** Line of the specifier, from 1. */
  readonly line: number;
  /** True for `import(...)`, in code and in types. */
  readonly dynamic: boolean;
}

/** Makes the file that rules read. `path` decides whether its text is TypeScript. */
export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, code: path.endsWith(".ts") ? mask(text) : text };
}

/** The line of the character at `index`, from 1. */
export function lineAt(text: string, index: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < index; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

/**
 * Blanks comments and the contents of strings, templates and regular expressions. Quotes, code inside
 * `${}` and line ends stay, so that positions and line numbers hold for the original too.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(mask("f('a') // b"), "f(' ')     ");
 * ```
 */
export function mask(source: string): string {
  return new Masker(source).run();
}

/** Every module named by `import`, `export ... from` or `import()` with a literal. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (const match of file.code.matchAll(/\b(from\s*|import\s*(\(\s*)?)(["'`])/g)) {
    const start = match.index + match[0].length;
    const end = file.code.indexOf(match[3] ?? "", start);
    const specifier = file.text.slice(start, end);
    found.push({ specifier, line: lineAt(file.text, start), dynamic: match[2] !== undefined });
  }
  return found;
}

/** The literal titles of the tests in a file. */
export function testTitlesOf(file: SourceFile): string[] {
  const titles: string[] = [];
  for (
    const match of file.code.matchAll(
      /\b(?:test|testWith|it|describe|suite)(?:\.\w+)?\s*\(\s*(?:\w+,\s*)?(["'`])/g,
    )
  ) {
    const start = match.index + match[0].length;
    titles.push(file.text.slice(start, endOfLiteral(file.code, start, match[1] ?? "")));
  }
  return titles;
}

/** Code inside `${}` may hold quotes of its own; a title never holds a template within a template. */
function endOfLiteral(code: string, start: number, quote: string): number {
  const end = code.indexOf(quote, start);
  return end === -1 ? code.length : end;
}

/** After these words a `/` starts a regular expression. */
const OPERATOR_WORDS = new Set(
  "await case delete do else in instanceof new of return throw typeof void yield".split(" "),
);

class Masker {
  readonly #source: string;
  readonly #out: string[];
  /** For each `${` not closed yet, how many braces were open around it. */
  readonly #templates: number[] = [];
  #at = 0;
  #depth = 0;
  /** The last word or sign, to tell a division from a regular expression. */
  #previous = "";

  constructor(source: string) {
    this.#source = source;
    this.#out = source.split("");
  }

  run(): string {
    if (this.#source.startsWith("#!")) this.#blankTo(this.#find("\n", 0));
    while (this.#at < this.#source.length) this.#step();
    return this.#out.join("");
  }

  #step(): void {
    const sign = this.#source[this.#at] ?? "";
    const two = this.#source.slice(this.#at, this.#at + 2);
    if (two === "//") this.#blankTo(this.#find("\n", this.#at));
    else if (two === "/*") this.#blankTo(this.#find("*/", this.#at + 2) + 2);
    else if (sign === '"' || sign === "'") this.#quoted(sign);
    else if (sign === "`") this.#template();
    else if (sign === "}" && this.#templates.at(-1) === this.#depth) this.#resumeTemplate();
    else if (sign === "/" && this.#startsRegExp()) this.#regExp();
    else this.#plain(sign);
  }

  /** Code that stays. Remembers what was read. */
  #plain(sign: string): void {
    if (/[\w$#]/.test(sign)) {
      const word = /[\w$#]+/y;
      word.lastIndex = this.#at;
      this.#previous = word.exec(this.#source)?.[0] ?? sign;
      this.#at += this.#previous.length;
      return;
    }
    if (sign === "{") this.#depth++;
    if (sign === "}") this.#depth--;
    if (!/\s/.test(sign)) this.#previous = this.#isPostfix(sign) ? ")" : sign;
    this.#at++;
  }

  /** `x++` and `x!` end a value, as `)` does. */
  #isPostfix(sign: string): boolean {
    const before = this.#source[this.#at - 1] ?? "";
    if (sign === "+" || sign === "-") return before === sign;
    return sign === "!" && /[\w$)\]]/.test(before);
  }

  #startsRegExp(): boolean {
    const afterValue = /^[\w$#]/.test(this.#previous)
      ? !OPERATOR_WORDS.has(this.#previous)
      : [")", "]", "}", '"', "`"].includes(this.#previous);
    return !afterValue && this.#endOfRegExp() !== -1;
  }

  #endOfRegExp(): number {
    const literal = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y;
    literal.lastIndex = this.#at;
    return literal.test(this.#source) ? literal.lastIndex : -1;
  }

  #regExp(): void {
    this.#blankTo(this.#endOfRegExp());
    this.#previous = ")";
  }

  #quoted(quote: string): void {
    let end = this.#at + 1;
    while (end < this.#source.length && this.#source[end] !== quote && this.#source[end] !== "\n") {
      end += this.#source[end] === "\\" ? 2 : 1;
    }
    this.#at++;
    this.#blankTo(end);
    this.#at++;
    this.#previous = '"';
  }

  #template(): void {
    this.#at++;
    this.#templateText();
  }

  #resumeTemplate(): void {
    this.#templates.pop();
    this.#depth--;
    this.#at++;
    this.#templateText();
  }

  /** Blanks up to the closing backtick, or to a `${` whose code then stays. */
  #templateText(): void {
    let end = this.#at;
    while (end < this.#source.length && this.#source[end] !== "`" && !this.#source.startsWith("${", end)) {
      end += this.#source[end] === "\\" ? 2 : 1;
    }
    this.#blankTo(end);
    if (this.#source[this.#at] === "$") {
      this.#at += 2;
      this.#depth++;
      this.#templates.push(this.#depth);
      this.#previous = "{";
    } else {
      this.#at++;
      this.#previous = "`";
    }
  }

  #find(text: string, from: number): number {
    const found = this.#source.indexOf(text, from);
    return found === -1 ? this.#source.length : found;
  }

  #blankTo(end: number): void {
    const last = Math.min(end, this.#source.length);
    for (let at = this.#at; at < last; at++) if (this.#out[at] !== "\n") this.#out[at] = " ";
    this.#at = last;
  }
}
