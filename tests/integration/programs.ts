/**
 * Programs that a test runs as processes of their own. Both sides speak in lines of JSON, over the child's input and output;
 * a child whose test has gone ends by itself. Bigints travel as `"123n"`.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { within } from "./kit.ts";

function encode(word: unknown): string {
  return `${JSON.stringify(word, (_, value) => typeof value === "bigint" ? `${value}n` : value)}\n`;
}

function decode(line: string): unknown {
  return JSON.parse(
    line,
    (_, value) => typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
  );
}

/** A program, as its test sees it. Disposing of it kills it. */
export class Program implements AsyncDisposable {
  readonly name: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<unknown[]>;

  /** Begins `file`, which stands beside this one, and tells it `start`. */
  constructor(file: string, start: unknown, name: string = file) {
    this.name = name;
    const path = fileURLToPath(new URL(file, import.meta.url));
    const isDeno = process.versions["deno"] !== undefined;
    const options = isDeno
      ? ["run", "-A", "--quiet", "--no-check"]
      : ["--disable-warning=ExperimentalWarning"];
    this.#child = spawn(process.execPath, [...options, path], { stdio: ["pipe", "pipe", "inherit"] });
    this.#ended = once(this.#child, "exit");
    this.#child.stdin.on("error", () => this.#child.stdin.destroy()); // it has ended: `hear` says so
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.tell(start);
  }

  /** Sends it a word. */
  tell(word: unknown): void {
    this.#child.stdin.write(encode(word));
  }

  /** Its next word. */
  async hear<T>(withinMs?: number): Promise<T> {
    const { done, value } = await within(`a word of ${this.name}`, this.#lines.next(), withinMs);
    assert.ok(!done, `${this.name} ends only when it has said everything`);
    return decode(value) as T;
  }

  /** Stops it, or lets it go on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    process.kill(this.#child.pid!, signal);
  }

  /** Waits until it has ended by itself. */
  async end(): Promise<void> {
    assert.deepEqual(await within(`the end of ${this.name}`, this.#ended), [0, null]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      process.kill(this.#child.pid!, "SIGKILL"); // child.kill() makes Deno report the signal, however the process ended
    }
    await this.#ended;
  }
}

/** How long a program that `runTogether` runs may take, in ms. */
const PROGRAM_MS_MAX = 1_800_000;

/**
 * Runs a program several times at once. Each says that it is ready, waits for a word, and says in the end what it has
 * come to.
 */
export async function runTogether<Result>(
  file: string,
  starts: readonly { readonly name: string }[],
): Promise<Result[]> {
  await using stack = new AsyncDisposableStack();
  const programs = starts.map((start) => stack.use(new Program(file, start, start.name)));
  for (const program of programs) assert.equal(await program.hear(), "ready");
  for (const program of programs) program.tell("go");
  const results = await Promise.all(programs.map((program) => program.hear<Result>(PROGRAM_MS_MAX)));
  for (const program of programs) await program.end();
  return results;
}

/** Who runs a program, as the program sees it. */
export class Parent {
  readonly #words: unknown[] = [];
  #heard: () => void = () => {};

  /** Says a word. */
  say(word: unknown): void {
    process.stdout.write(encode(word));
  }

  /** The next word from there. */
  async hear<T>(): Promise<T> {
    while (this.#words.length === 0) await new Promise<void>((resolve) => this.#heard = resolve);
    return this.#words.shift() as T;
  }

  /** Takes a word. */
  take(word: unknown): void {
    this.#words.push(word);
    this.#heard();
  }
}

/** Runs a program: the first word that it is told is what it starts from. */
export async function runProgram<Start>(
  main: (start: Start, parent: Parent) => Promise<void>,
): Promise<void> {
  const parent = new Parent();
  const input = createInterface({ input: process.stdin });
  let isDone = false;
  input.on("line", (line) => parent.take(decode(line)));
  input.on("close", () => {
    if (!isDone) process.exit(1); // nobody is left to hear of anything
  });
  await main(await parent.hear<Start>(), parent);
  isDone = true;
  input.close();
  process.stdin.destroy();
}
