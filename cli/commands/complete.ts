/** `neo complete` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import { completions } from "../completions.ts";
import type { Cli } from "../context.ts";

/** What `--json` prints. */
export const answer = is.object({ words: is.list(is.text) });

/** Prints what the last word may be, a line each; nothing where that isn't known. */
export default function complete(
  { output, world, commands }: Cli,
  _flags: { readonly json: boolean },
  ...words: string[]
): Promise<void> {
  const found = completions(words, world, commands);
  if (output.json) output.printJson<Of<typeof answer>>({ words: found });
  else for (const word of found) output.print(word);
  return Promise.resolve();
}
