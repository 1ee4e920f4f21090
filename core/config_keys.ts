/**
 * What can be configured: each key with its type, its default, who uses it and when a change counts. Values travel and are kept as
 * text, in one form each; what is set for a node counts more than what is set for its role, that more than what is set for the
 * cluster, and that more than the default.
 */
import {
  CACHE_BYTES_DEFAULT,
  CALL_TIMEOUT_MS_MAX,
  COMPRESS_BYTES_MIN,
  COPY_BYTES_PER_S_MIN,
  FAILOVER_GRACE_MS,
  KEEPALIVE_MS,
  LOCK_TIMEOUT_MS,
  NODE_EXPIRY_MS,
  OBJECT_BYTES_MAX,
  OID_BATCH,
  POSTGRES_READERS,
  POSTGRES_RECONNECT_MS,
  POSTGRES_STATEMENT_TIMEOUT_MS,
  PRIMARY_KEEPALIVE_MS,
  RESERVE_BYTES,
  REVOKED_COUNT_MAX,
  SCRUB_BYTES_PER_S,
  SCRUB_PASS_MS,
  SQLITE_CACHE_BYTES,
  STARTUP_GRACE_MS,
  STOP_DEADLINE_MS,
  TRANSACTION_TIMEOUT_MS,
  TRANSACTION_TIMEOUT_MS_MIN,
  WRITE_TIMEOUT_MS,
} from "./limits.ts";

/** Roles for which something can be configured. */
export const configRoles = ["master", "storage", "admin", "client"] as const;
/** One of them. */
export type ConfigRole = (typeof configRoles)[number];

/** One key. */
export interface ConfigKey {
  readonly key: string;
  readonly type: "integer" | "choice" | "list";
  /** Of integers: `bytes`, `ms`, `bytes/s`, or nothing. */
  readonly unit: string;
  /** Of integers. */
  readonly least: number;
  readonly most: number;
  /** Of lists: what each of its words must be; the words are separated by spaces, and `most` can stand there. */
  readonly word?: { readonly pattern: RegExp; readonly rule: string };
  /** Whether it is for the whole cluster only. */
  readonly clusterOnly?: true;
  /** Of choices. */
  readonly choices: readonly string[];
  /** In text, as all values. */
  readonly default: string;
  /** Who uses it. */
  readonly roles: readonly ConfigRole[];
  /** Whether a change counts at once; else when the node starts again. */
  readonly live: boolean;
  readonly description: string;
}

/** A value that somebody has set. */
export interface Setting {
  /** `cluster`, `role:ROLE` or `node:NAME`. */
  readonly scope: string;
  readonly key: string;
  readonly value: string;
}

const BYTES_MAX = 2 ** 50;
const YEAR_MS = 365 * 24 * 3_600_000;

type Bounds = Pick<ConfigKey, "unit" | "least" | "most">;

function integer(
  key: string,
  fallback: number,
  { unit, least, most }: Bounds,
  rest: Pick<ConfigKey, "roles" | "description"> & { readonly live?: boolean },
): ConfigKey {
  return {
    key,
    type: "integer",
    unit,
    least,
    most,
    choices: [],
    default: String(fallback),
    live: true,
    ...rest,
  };
}

function choice(
  key: string,
  choices: readonly string[],
  rest: Pick<ConfigKey, "roles" | "description" | "default">,
): ConfigKey {
  return { key, type: "choice", unit: "", least: 0, most: 0, choices, live: true, ...rest };
}

/** Of the same for all, so that it can be set for the cluster only. */
function list(
  key: string,
  word: NonNullable<ConfigKey["word"]>,
  rest: Pick<ConfigKey, "roles" | "description" | "most">,
): ConfigKey {
  const what = { type: "list", unit: "", least: 0, choices: [], default: "", live: true } as const;
  return { key, word, clusterOnly: true, ...what, ...rest };
}

const storages = ["storage"] as const;
const masters = ["master"] as const;
const clients = ["client"] as const;

/** The key with the fingerprints of certificates that are revoked. */
export const TLS_REVOKED = "tls.revoked";

/** All keys, by name. */
export const configKeys: readonly ConfigKey[] = [
  integer("client.cacheBytes", CACHE_BYTES_DEFAULT, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: clients,
    description: "Memory of a client's cache, where its program doesn't say",
  }),
  integer(
    "client.compressBytesMin",
    COMPRESS_BYTES_MIN,
    { unit: "bytes", least: 0, most: OBJECT_BYTES_MAX },
    {
      roles: clients,
      description: "Smaller data isn't compressed",
    },
  ),
  choice("client.compression", ["deflate", "none"], {
    default: "deflate",
    roles: clients,
    description: "How clients compress what they store",
  }),
  choice("client.hedgedReads", ["true", "false"], {
    default: "false",
    roles: clients,
    description: "Whether a slow read asks a second copy, where the program doesn't say",
  }),
  integer("client.oidBatch", OID_BATCH, { unit: "", least: 1, most: 100_000 }, {
    roles: clients,
    description: "Object ids that a client takes from the primary at once",
  }),
  choice("log.level", ["debug", "info", "warning", "error"], {
    default: "info",
    roles: ["master", "storage", "admin"],
    description: "The lowest level that a node logs; a master takes it when it is the primary",
  }),
  integer("master.failoverGraceMs", FAILOVER_GRACE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long absent storages are waited for when operation was lost",
  }),
  integer("master.lockTimeoutMs", LOCK_TIMEOUT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "A storage that doesn't lock an accepted transaction for this long is lost",
  }),
  integer("master.nodeExpiryMs", NODE_EXPIRY_MS, { unit: "ms", least: 1_000, most: 10 * YEAR_MS }, {
    roles: masters,
    description: "A storage without cells that isn't there is forgotten after this time",
  }),
  integer("master.startupGraceMs", STARTUP_GRACE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long absent storages are waited for when the cluster starts",
  }),
  integer("master.stopDeadlineMs", STOP_DEADLINE_MS, { unit: "ms", least: 0, most: CALL_TIMEOUT_MS_MAX }, {
    roles: masters,
    description: "How long finishes are served after a stop was asked for",
  }),
  integer("peer.keepaliveMs", KEEPALIVE_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: configRoles,
    description:
      "Silence after which a peer is asked whether it is there; three times unanswered, it is lost",
  }),
  integer("peer.primaryKeepaliveMs", PRIMARY_KEEPALIVE_MS, { unit: "ms", least: 100, most: 60_000 }, {
    roles: configRoles,
    description: "The same of a primary, where there are several masters, and between masters",
  }),
  integer("peer.writeTimeoutMs", WRITE_TIMEOUT_MS, { unit: "ms", least: 100, most: CALL_TIMEOUT_MS_MAX }, {
    roles: configRoles,
    description: "A peer that takes nothing of what is sent to it for this long is dropped",
  }),
  integer("storage.copyBytesPerS", 0, { unit: "bytes/s", least: 0, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast a storage copies what it lacks; 0 is as fast as it can",
  }),
  integer("storage.copyBytesPerSMin", COPY_BYTES_PER_S_MIN, { unit: "bytes/s", least: 1, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast it copies at least when a partition has one readable copy left",
  }),
  integer("storage.postgresReaders", POSTGRES_READERS, { unit: "", least: 1, most: 64 }, {
    roles: storages,
    live: false,
    description: "Connections to PostgreSQL that only read",
  }),
  integer("storage.postgresReconnectMs", POSTGRES_RECONNECT_MS, {
    unit: "ms",
    least: 0,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    description: "How long a storage waits for a PostgreSQL server that is gone, before it ends",
  }),
  integer("storage.postgresStatementTimeoutMs", POSTGRES_STATEMENT_TIMEOUT_MS, {
    unit: "ms",
    least: 1_000,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    live: false,
    description: "A statement in PostgreSQL that takes longer fails, and with it the storage",
  }),
  integer("storage.reserveBytes", RESERVE_BYTES, { unit: "bytes", least: 0, most: BYTES_MAX }, {
    roles: storages,
    description: "Free bytes of the disk below which a storage takes no new store",
  }),
  integer("storage.scrubBytesPerS", SCRUB_BYTES_PER_S, { unit: "bytes/s", least: 1_024, most: BYTES_MAX }, {
    roles: storages,
    description: "How fast a storage looks whether its data still matches the checksums",
  }),
  integer("storage.scrubPassMs", SCRUB_PASS_MS, { unit: "ms", least: 60_000, most: YEAR_MS }, {
    roles: storages,
    description: "It looks at everything once in this time",
  }),
  integer(
    "storage.sqliteCacheBytes",
    SQLITE_CACHE_BYTES,
    { unit: "bytes", least: 2 ** 20, most: BYTES_MAX },
    {
      roles: storages,
      live: false,
      description: "Memory for pages of a storage's SQLite file",
    },
  ),
  integer("storage.transactionTimeoutMs", TRANSACTION_TIMEOUT_MS, {
    unit: "ms",
    least: TRANSACTION_TIMEOUT_MS_MIN,
    most: CALL_TIMEOUT_MS_MAX,
  }, {
    roles: storages,
    description: "How long a hanging client may hold locks; where it isn't set, neo.toml says it",
  }),
  list(TLS_REVOKED, { pattern: /^[0-9a-f]{64}$/, rule: "SHA-256 fingerprints, 64 hexadecimal digits" }, {
    most: REVOKED_COUNT_MAX,
    roles: configRoles,
    description: "Certificates that aren't believed any more; `neo tls revoke` adds to them",
  }),
];

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
  const [kind, of] = scope.split(":", 2);
  if (kind === "role" && !key.roles.includes(of as ConfigRole)) {
    return `${name}: it is for ${key.roles.join(", ")}, not for role ${JSON.stringify(of)}`;
  }
  const isScope = scope === "cluster" || kind === "role"
    || (kind === "node" && /^[A-Za-z0-9][\w.-]{0,62}$/.test(of ?? ""));
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
  return words.length <= most ? undefined : `${key}: expected ${most} words at most, found ${words.length}`;
}

/** What a value of a key may be, in words. */
export function ruleOf({ type, choices, least, most, unit, word }: ConfigKey): string {
  if (type === "choice") return choices.join(", ");
  if (type === "list") return `up to ${most} ${word!.rule}`;
  return `${least} to ${most}${unit === "" ? "" : ` ${unit}`}`;
}

/** The words of a list. */
export function wordsOf(value: string): string[] {
  return value === "" ? [] : value.split(" ");
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
