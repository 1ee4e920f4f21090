/**
 * What can be configured: each key with its type, its default, who uses it and when a change counts. Values travel and are kept as
 * text, in one form each; what is set for a node counts more than what is set for its role, that more than what is set for the
 * cluster, and that more than the default.
 */
import type { ConfigKey, ConfigRole } from "./config_kinds.ts";
import { configKeys, TLS_REVOKED } from "./config_table.ts";

export { configRoles } from "./config_kinds.ts";
export type { ConfigKey, ConfigRole } from "./config_kinds.ts";
export { configKeys, NOTIFY_TO, NOTIFY_WORD, TLS_REVOKED } from "./config_table.ts";

/** A value that somebody has set. */
export interface Setting {
  /** `cluster`, `role:ROLE` or `node:NAME`. */
  readonly scope: string;
  readonly key: string;
  readonly value: string;
}

const byName = new Map(configKeys.map((key) => [key.key, key]));

/** A key; undefined: there is none of this name. */
export function configKey(name: string): ConfigKey | undefined {
  return byName.get(name);
}

/**
 * What is wrong with setting a key in a scope to a value; undefined: nothing. The sentence names key, rule and value.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { settingProblem } from "./config_keys.ts";
 * assert.equal(settingProblem({ scope: "cluster", key: "client.oidBatch", value: "10" }), undefined);
 * assert.equal(
 *   settingProblem({ scope: "cluster", key: "client.oidBatch", value: "0" }),
 *   'client.oidBatch: expected a whole number from 1 to 100000, found "0"',
 * );
 * ```
 */
export function settingProblem({ scope, key: name, value }: Setting): string | undefined {
  const key = byName.get(name);
  if (!key) return `${name}: there is no such key`;
  const [kind, of, ...more] = scope.split(":");
  if (kind === "role" && !key.roles.includes(of as ConfigRole)) {
    return `${name}: it is for ${key.roles.join(", ")}, not for role ${JSON.stringify(of)}`;
  }
  const isScope = scope === "cluster" || (kind === "role" && more.length === 0)
    || (kind === "node" && more.length === 0 && /^[A-Za-z0-9][\w.-]{0,62}$/.test(of ?? ""));
  if (!isScope) {
    return `${name}: expected scope cluster, role:ROLE or node:NAME, found ${JSON.stringify(scope)}`;
  }
  if (key.clusterOnly && scope !== "cluster") return `${name}: it is for the whole cluster, not for ${scope}`;
  if (key.type === "list") return listProblem(key, value);
  if (key.type === "choice") {
    return key.choices.includes(value)
      ? undefined
      : `${name}: expected one of ${key.choices.join(", ")}, found ${JSON.stringify(value)}`;
  }
  const number = Number(value);
  if (/^(0|[1-9]\d{0,15})$/.test(value) && key.least <= number && number <= key.most) return undefined;
  return `${name}: expected a whole number from ${key.least} to ${key.most}, found ${JSON.stringify(value)}`;
}

function listProblem({ key, word, most }: ConfigKey, value: string): string | undefined {
  const words = wordsOf(value);
  const wrong = words.find((one) => !word!.pattern.test(one));
  if (wrong !== undefined) return `${key}: expected ${word!.rule}, found ${JSON.stringify(wrong)}`;
  const names = words.map((one) => word!.pattern.exec(one)![1] ?? one);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) return `${key}: ${JSON.stringify(twice)} stands there twice`;
  return words.length <= most ? undefined : `${key}: expected ${most} words at most, found ${words.length}`;
}

/** What a value of a key may be, in words. */
export function ruleOf({ type, choices, least, most, unit, word }: ConfigKey): string {
  if (type === "choice") return choices.join(", ");
  if (type === "list") return `up to ${most} ${word!.rule}`;
  return `${least} to ${most}${unit === "" ? "" : ` ${unit}`}`;
}

/** A value as it is kept, of one that a person wrote: words of a list may have commas between them. */
export function asKept(name: string, value: string): string {
  if (byName.get(name)?.type !== "list") return value;
  return value.split(/[\s,]+/).filter((word) => word !== "").join(" ");
}

/** The words of a list. */
export function wordsOf(value: string): string[] {
  return value === "" ? [] : value.split(" ");
}

/** What counts of a whole number that is set for the cluster only. */
export function clusterNumber(settings: readonly Setting[], name: string): number {
  const found = settings.find(({ scope, key }) => scope === "cluster" && key === name);
  return Number(found?.value ?? byName.get(name)!.default);
}

/** The fingerprints that are revoked by what is set. */
export function revokedIn(settings: Iterable<Setting>): string[] {
  for (const { key, scope, value } of settings) {
    if (key === TLS_REVOKED && scope === "cluster") return wordsOf(value);
  }
  return [];
}

/** What is set for a node, by key, without what is as by default. */
export function effectiveSettings(
  settings: Iterable<Setting>,
  node: { readonly role: ConfigRole; readonly name: string },
): Map<string, string> {
  const ranks = ["cluster", `role:${node.role}`, `node:${node.name}`];
  const found = new Map<string, { readonly rank: number; readonly value: string }>();
  for (const { scope, key, value } of settings) {
    const rank = ranks.indexOf(scope);
    const isFor = byName.get(key)?.roles.includes(node.role) ?? false;
    if (rank >= 0 && isFor && rank >= (found.get(key)?.rank ?? 0)) found.set(key, { rank, value });
  }
  return new Map([...found].map(([key, { value }]) => [key, value]));
}
