/** `neo config watch` */
import type { Of } from "../answers.ts";
import { askPrimary } from "../ask.ts";
import { currentConfig, revisionsAbove } from "../config_questions.ts";
import { changeLine, shownRevision, viewOfRevision } from "../config_view.ts";
import type { Cli, CommonFlags } from "../context.ts";
import { exitCodes } from "../exit.ts";
import { inLine } from "../output.ts";
import { resolveTarget } from "../target.ts";

/** What `--json` prints. */
export const answer = shownRevision;

/** Prints each revision as it comes, until it is interrupted or has seen enough. */
export default async function configWatch(
  { output, world }: Cli,
  flags: CommonFlags & { readonly wait: number; readonly count: number | undefined },
): Promise<number> {
  const target = resolveTarget(flags.cluster, world);
  let giveUp: () => void = () => {};
  const given = new Promise<void>((done) => giveUp = done);
  let isOver = false;
  const unlisten = world.onSignal(() => {
    isOver = true;
    giveUp();
  });
  try {
    let { revision } = await currentConfig(target, flags.wait);
    output.note(`Revision ${revision}; waits for the next one`);
    for (let seen = 0; !isOver && seen < (flags.count ?? Infinity);) {
      await askPrimary("getConfig", { after: revision }, target, { withinMs: WATCH_MS, giveUp: given });
      for (const one of (await revisionsAbove(target, revision, flags.wait)).reverse()) {
        revision = one.number;
        seen += 1;
        if (output.json) output.printJson<Of<typeof answer>>(viewOfRevision(one));
        else {
          output.print(
            inLine(`revision ${one.number} by ${one.author}${one.reason === "" ? "" : `: ${one.reason}`}`),
          );
          for (const change of one.changes) output.print(changeLine(change));
        }
      }
    }
    return exitCodes.ok;
  } catch (error) {
    if (isOver) return exitCodes.interrupted;
    throw error;
  } finally {
    unlisten();
  }
}

/** As long as a timer can wait. */
const WATCH_MS = 2 ** 31 - 1;
