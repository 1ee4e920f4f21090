/** Asks before something is done that can't be taken back. */
import type { Cli } from "./context.ts";
import { CliError } from "./exit.ts";

/** What is asked. */
export interface Question {
  readonly cluster: string;
  /** What will be, in words that may stand behind a colon. */
  readonly what: string;
  /** What a program is told that hasn't said `--yes`. */
  readonly refusal: CliError;
}

/**
 * Whoever sits at a terminal types the name of the cluster; everybody else must have said `--yes`.
 *
 * @throws CliError the refusal, where there is no terminal; `refused` when something else is typed
 */
export async function confirm(
  { output, world }: Pick<Cli, "output" | "world">,
  { cluster, what, refusal }: Question,
): Promise<void> {
  if (world.ask === undefined || output.json) throw refusal;
  const sentence = what.charAt(0).toUpperCase() + what.slice(1);
  const typed = await world.ask(`${sentence}.\nType the name of the cluster, ${cluster}, to go on: `);
  if (typed?.trim() === cluster) return;
  const why = typed?.trim() ? `the cluster's name is ${cluster}` : "nobody confirmed it";
  throw new CliError("refused", `Nothing was done: ${why}`);
}
