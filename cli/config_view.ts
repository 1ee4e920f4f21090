/** How the configuration service is shown, and what a person may write of it. */
import { stringify } from "smol-toml";
import { asKept, configKeys, revokedIn, settingProblem, TLS_REVOKED } from "../core/config_keys.ts";
import type { Setting } from "../core/config_keys.ts";
import type { Answer } from "../core/messages.ts";
import type { Of } from "./answers.ts";
import * as is from "./answers.ts";
import { CliError } from "./exit.ts";
import type { Output } from "./output.ts";

/** A change of one value; null: it is set no more. */
export interface ValueChange {
  readonly scope: string;
  readonly key: string;
  readonly value: string | null;
}

/** A change of one value, as commands show it. */
export const shownChange = is.object({
  scope: is.said("cluster, role:ROLE or node:NAME", is.text),
  key: is.text,
  before: is.nullable(is.text),
  after: is.said("Null: it is set no more", is.nullable(is.text)),
});
/** A revision, as commands show it. */
export const shownRevision = is.object({
  revision: is.count,
  time: is.time,
  author: is.text,
  reason: is.text,
  changes: is.list(shownChange),
});

type Revision = Answer<"configHistory">["revisions"][number];

/** A revision for `--json`. */
export function viewOfRevision({ number, atMs, ...rest }: Revision): Of<typeof shownRevision> {
  return { revision: number, time: new Date(atMs).toISOString(), ...rest };
}

/** The scope that flags name. */
export function scopeOf(
  { role, node }: { readonly role: string | undefined; readonly node: string | undefined },
): string {
  if (role !== undefined && node !== undefined) {
    throw new CliError("usage", "Cannot use --role and --node together: name one of them");
  }
  return role !== undefined ? `role:${role}` : node !== undefined ? `node:${node}` : "cluster";
}

/** Takes `KEY=VALUE` apart, and checks it before anybody is asked. */
export function assignmentOf(text: string, scope: string): ValueChange & { readonly value: string } {
  const at = text.indexOf("=");
  if (at < 1) throw new CliError("usage", `Cannot set ${JSON.stringify(text)}: expected KEY=VALUE`);
  const key = text.slice(0, at);
  const setting = { scope, key, value: asKept(key, text.slice(at + 1)) };
  checkSetting(setting);
  return setting;
}

/**
 * Checks a setting before anybody is asked.
 *
 * @throws CliError (`usage`) naming key, rule and value
 */
export function checkSetting(setting: Setting): void {
  const problem = settingProblem(setting);
  if (problem === undefined) return;
  const near = configKeys.map(({ key }) => key).filter((key) => key.includes(setting.key.split(".").at(-1)!));
  const hint = problem.endsWith("no such key")
    ? near.length > 0 ? `did you mean ${near.join(", ")}?` : "all keys: neo config list"
    : "";
  throw new CliError("usage", `Cannot set ${problem}`, { hint });
}

/** Settings as `apply` reads them. */
export function tomlOfSettings(settings: readonly Setting[]): string {
  const tables: { cluster?: object; role?: Record<string, object>; node?: Record<string, object> } = {};
  for (const { scope, key, value } of settings) {
    const [kind, of] = scope.split(":", 2) as ["cluster" | "role" | "node", string];
    const typed = /^\d+$/.test(value) ? Number(value) : value;
    if (kind === "cluster") tables.cluster = { ...tables.cluster, [key]: typed };
    else tables[kind] = { ...tables[kind], [of]: { ...tables[kind]?.[of], [key]: typed } };
  }
  return stringify(tables);
}

/**
 * What a file or an earlier revision asks for, with all that is revoked now: only who means just that makes anybody believe a
 * certificate again. Says so where it differs.
 */
export function stillRevoking(
  wanted: readonly Setting[],
  now: readonly Setting[],
  output: Output,
): Setting[] {
  const [asked, revoked] = [revokedIn(wanted), revokedIn(now)];
  if (revoked.every((one) => asked.includes(one))) return [...wanted];
  output.warn("what is revoked stays so; neo config set, or unset, tls.revoked takes it back");
  const others = wanted.filter(({ key }) => key !== TLS_REVOKED);
  const value = [...new Set([...revoked, ...asked])].join(" ");
  return [...others, { scope: "cluster", key: TLS_REVOKED, value }];
}

/** What makes one set of settings of another. */
export function changesTo(wanted: readonly Setting[], now: readonly Setting[]): ValueChange[] {
  const keyOf = ({ scope, key }: Pick<Setting, "scope" | "key">): string => `${scope} ${key}`;
  const [will, has] = [wanted, now].map((all) => new Map(all.map((setting) => [keyOf(setting), setting])));
  const set = wanted.filter((setting) => has!.get(keyOf(setting))?.value !== setting.value);
  const unset = now.filter((setting) => !will!.has(keyOf(setting)));
  return [...set, ...unset.map(({ scope, key }) => ({ scope, key, value: null }))];
}

/**
 * The settings as they were at a revision, by undoing the later ones.
 *
 * @param later revisions above it, newest first
 */
export function settingsAt(now: readonly Setting[], later: readonly Pick<Revision, "changes">[]): Setting[] {
  const settings = new Map(now.map((setting) => [`${setting.scope} ${setting.key}`, setting]));
  for (const { changes } of later) {
    for (const { scope, key, before } of changes) {
      if (before === null) settings.delete(`${scope} ${key}`);
      else settings.set(`${scope} ${key}`, { scope, key, value: before });
    }
  }
  return [...settings.values()];
}

/** A change in words: what was, what is. */
export function changeLine(
  { scope, key, before, after }: { scope: string; key: string; before: string | null; after: string | null },
): string {
  return `  ${key} (${scope}): ${before ?? "not set"} -> ${after ?? "not set"}`;
}
