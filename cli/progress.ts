/** How far a transfer is: one line that changes on a terminal, else a line now and then. */
import { PROGRESS_PLAIN_MS, PROGRESS_TERMINAL_MS } from "../core/limits.ts";
import type { CopyProgress } from "../roles/client/restoring.ts";
import type { Output } from "./output.ts";
import { monoMs } from "./wait.ts";

/** Shows a progress on stderr. */
export class ProgressLine {
  readonly #output: Output;
  readonly #verb: string;
  #nextMs: number;

  /** @param verb what is done: "Imported" */
  constructor(output: Output, verb: string) {
    this.#output = output;
    this.#verb = verb;
    this.#nextMs = monoMs() + this.#pauseMs;
  }

  get #pauseMs(): number {
    return this.#output.isErrorTerminal ? PROGRESS_TERMINAL_MS : PROGRESS_PLAIN_MS;
  }

  /** Called as often as one likes. */
  update(progress: CopyProgress): void {
    if (monoMs() < this.#nextMs) return;
    this.#nextMs = monoMs() + this.#pauseMs;
    this.#output.progress(`${this.#verb} ${inWords(progress)}`);
  }
}

/** A progress in words. */
export function inWords({ transactions, objects, bytes }: CopyProgress): string {
  return `${transactions} transactions, ${objects} objects, ${bytes} bytes`;
}
