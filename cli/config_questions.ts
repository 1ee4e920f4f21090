/** What commands ask of the configuration service. */
import type { Setting } from "../core/config_keys.ts";
import type { Answer } from "../core/messages.ts";
import { askPrimary } from "./ask.ts";
import type { ValueChange } from "./config_view.ts";
import { CliError } from "./exit.ts";
import type { Target } from "./target.ts";

export type Revision = Answer<"configHistory">["revisions"][number];

/** All that is set, and the newest revision. */
export function currentConfig(target: Target, withinMs: number): Promise<Answer<"getConfig">> {
  return askPrimary("getConfig", { after: null }, target, { withinMs });
}

/** Revisions above one, newest first. */
export async function revisionsAbove(target: Target, above: number, withinMs: number): Promise<Revision[]> {
  const revisions: Revision[] = [];
  for (let before: number | null = null;;) {
    const page: Answer<"configHistory"> = await askPrimary("configHistory", { before, count: 100 }, target, {
      withinMs,
    });
    revisions.push(...page.revisions.filter(({ number }) => number > above));
    const last = page.revisions.at(-1);
    if (last === undefined || last.number <= above + 1) return revisions;
    before = last.number;
  }
}

/**
 * The settings at a revision.
 *
 * @throws CliError (`notFound`) when the masters don't keep it any more, or there is none
 */
export async function configAt(
  target: Target,
  revision: number,
  withinMs: number,
): Promise<{ readonly newest: number; readonly settings: Setting[]; readonly now: readonly Setting[] }> {
  const { settingsAt } = await import("./config_view.ts");
  const { revision: newest, settings: now } = await currentConfig(target, withinMs);
  if (revision < 0 || revision > newest) {
    throw new CliError("notFound", `Cannot find revision ${revision}: the newest one is ${newest}`);
  }
  const later = await revisionsAbove(target, revision, withinMs);
  if (later.length < newest - revision) {
    const oldest = later.at(-1)?.number ?? newest;
    throw new CliError(
      "notFound",
      `Cannot go back to revision ${revision}: the oldest that is kept is ${oldest - 1}`,
    );
  }
  return { newest, settings: settingsAt(now, later), now };
}

/** Changes values; gives the revision. */
export async function changeConfig(
  target: Target,
  change: {
    readonly changes: readonly ValueChange[];
    readonly base: number | null;
    readonly author: string;
    readonly reason: string;
  },
  withinMs: number,
): Promise<number> {
  const { revision } = await askPrimary("changeConfig", change, target, { withinMs, once: true });
  return revision;
}
