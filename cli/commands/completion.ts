/** `neo completion` */
import type { Of } from "../answers.ts";
import * as is from "../answers.ts";
import type { Cli } from "../context.ts";
import { scripts, shells } from "../shells.ts";
import type { Shell } from "../shells.ts";

/** What `--json` prints. */
export const answer = is.object({ shell: is.word(...shells), script: is.text });

/** Prints a shell's script. */
export default function completion(
  { output }: Cli,
  _flags: { readonly json: boolean },
  name: string,
): Promise<void> {
  const shell = name as Shell;
  if (output.json) output.printJson<Of<typeof answer>>({ shell, script: scripts[shell] });
  else output.print(scripts[shell].trimEnd());
  return Promise.resolve();
}
