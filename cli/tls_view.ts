/** What commands about certificates have in common. */
import { revokedIn } from "../core/config_keys.ts";
import type { Setting } from "../core/config_keys.ts";
import { DatabaseError } from "../core/errors.ts";
import { CERTIFICATE_WARN_DAYS } from "../core/limits.ts";
import * as is from "./answers.ts";
import { uriOf } from "./config.ts";
import type { ClusterConfig } from "./config.ts";
import { currentConfig } from "./config_questions.ts";
import type { Cli, CommonFlags } from "./context.ts";
import { CliError } from "./exit.ts";
import { nextCommand } from "./next.ts";
import { resolveFolder } from "./target.ts";
import type { Listed } from "./tls_folder.ts";

const DAY_MS = 24 * 3_600_000;

/**
 * The cluster of this machine that a command means, with its certificates.
 *
 * @throws CliError (`refused`) when it has none
 */
export function clusterWithTls(
  flags: CommonFlags,
  world: Cli["world"],
): {
  readonly config: ClusterConfig;
  readonly cluster: string;
  readonly tls: string;
  readonly nodes: ClusterConfig["nodes"];
} {
  const config = resolveFolder(flags.cluster, world);
  const { cluster, tls, nodes } = config;
  if (tls !== undefined) return { config, cluster, tls, nodes };
  const hint = `make them: ${nextCommand("tls init", flags)}`;
  throw new CliError("refused", `Cannot find certificates of ${cluster}: its neo.toml names none`, { hint });
}

/** How a certificate is; `revoked` undefined: that isn't known. */
export type State = "valid" | "ends soon" | "old" | "expired" | "revoked";

/** A certificate as commands show it. */
export interface Shown extends Listed {
  readonly state: State;
}

/** Fields of a certificate, as commands show it. */
export const certificateFields = {
  file: is.text,
  role: is.text,
  name: is.text,
  fingerprint: is.text,
  fromMs: is.said("Milliseconds since 1970", is.number),
  untilMs: is.said("Milliseconds since 1970", is.number),
  isOld: is.said("Whether another one has taken its place", is.flag),
  state: is.word("valid", "ends soon", "old", "expired", "revoked"),
};
/** A certificate, as commands show it. */
export const certificate = is.object(certificateFields);

/** Judges a certificate of the folder. */
export function shownOf(one: Listed, nowMs: number, revoked: ReadonlySet<string> | undefined): Shown {
  return { ...one, state: stateOf(one, nowMs, revoked) };
}

function stateOf(
  { fingerprint, untilMs, isOld }: Listed,
  nowMs: number,
  revoked: ReadonlySet<string> | undefined,
): State {
  if (untilMs <= nowMs) return "expired";
  if (revoked?.has(fingerprint)) return "revoked";
  if (isOld) return "old";
  return untilMs - nowMs < CERTIFICATE_WARN_DAYS * DAY_MS ? "ends soon" : "valid";
}

/** The day on which something ends. */
export function dayOf(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 10);
}

/**
 * Certificates by the name of their holder (`s1`, or `client-app` where two roles have the name), or by the beginning of a fingerprint.
 *
 * @throws CliError (`notFound`) when there is none, (`usage`) when it may mean several holders
 */
export function selected(known: readonly Listed[], name: string): Listed[] {
  const found = known.filter((one) => one.name === name || `${one.role}-${one.name}` === name);
  const matches = found.length > 0 || !/^[0-9a-f]{8,64}$/.test(name)
    ? found
    : known.filter(({ fingerprint }) => fingerprint.startsWith(name));
  const holders = [...new Set(matches.map((one) => `${one.role}-${one.name}`))];
  if (holders.length === 1) return matches;
  if (holders.length === 0) {
    const names = [...new Set(known.map((one) => `${one.role}-${one.name}`))].join(", ");
    throw new CliError("notFound", `Cannot find a certificate of ${name}`, { hint: `there are: ${names}` });
  }
  throw new CliError("usage", `Cannot tell which certificate is meant by ${name}`, {
    hint: `say ${holders.join(" or ")}`,
  });
}

/** Fingerprints that are revoked by what is set. */
export function revokedOf(settings: readonly Setting[]): ReadonlySet<string> {
  return new Set(revokedIn(settings));
}

/** The same of a cluster; undefined: it doesn't answer. */
export async function revokedNow(
  config: ClusterConfig,
  withinMs: number,
): Promise<ReadonlySet<string> | undefined> {
  try {
    const { settings } = await currentConfig({ kind: "folder", config, uri: uriOf(config) }, withinMs);
    return revokedOf(settings);
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return undefined;
  }
}
