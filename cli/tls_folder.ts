/**
 * The folder with a cluster's certificates, `tls/` unless `neo.toml` says otherwise:
 *
 * - `ca.crt`: the authorities that are believed; every node and client needs it. `ca.key`: signs new certificates; it needs to be on one
 *   machine only, and on none while nothing is signed.
 * - `ROLE-NAME.crt` and `ROLE-NAME.key`: one certificate each. `admin-operator` is what commands show on this machine.
 * - `old/`: certificates that were renewed, so that they can be revoked by name for as long as they are valid.
 */
import type { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import type { TcpTransport } from "../adapters/tcp.ts";
import { certificatesIn, fingerprintOf, identityOf } from "../adapters/tls_judge.ts";
import { AUTHORITY_DAYS } from "../core/limits.ts";
import type { Credentials } from "../core/uri.ts";
import type { Issued } from "./authority.ts";
import { CliError } from "./exit.ts";

/** Roles that certificates are for. */
export const holderRoles = ["master", "storage", "admin", "client"] as const;
/** Whom a certificate is for, within its cluster. */
export interface Holder {
  readonly role: typeof holderRoles[number];
  readonly name: string;
}

/** Who gives orders from this machine. */
export const OPERATOR: Holder = { role: "admin", name: "operator" };
/** What a new cluster has for its first program. */
export const FIRST_CLIENT: Holder = { role: "client", name: "app" };

/** A certificate in the folder. */
export interface Listed {
  readonly file: string;
  readonly role: string;
  readonly name: string;
  readonly fingerprint: string;
  readonly fromMs: number;
  readonly untilMs: number;
  /** Whether another one has taken its place. */
  readonly isOld: boolean;
}

/** Nobody but their owner may read keys. */
const SECRET = 0o600;
const PRIVATE_FOLDER = 0o700;

/** Paths of what a holder shows. */
export function credentialsOf(folder: string, { role, name }: Holder): Credentials {
  const path = (file: string): string => join(folder, file);
  return { ca: path("ca.crt"), cert: path(`${role}-${name}.crt`), key: path(`${role}-${name}.key`) };
}

/** Makes the authority of a cluster in its folder. */
export async function makeFolder(folder: string, cluster: string): Promise<void> {
  if (existsSync(join(folder, "ca.key")) || existsSync(join(folder, "ca.crt"))) {
    const hint = "use it: neo tls issue, neo tls renew; or move the folder away";
    throw new CliError("refused", `Cannot make an authority in ${folder}: there is one already`, { hint });
  }
  const { makeAuthority } = await import("./authority.ts");
  mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER });
  const made = await makeAuthority(cluster, { nowMs: Date.now(), days: AUTHORITY_DAYS });
  writeWhole(join(folder, "ca.key"), made.key, SECRET);
  writeWhole(join(folder, "ca.crt"), made.cert);
}

/** How certificates are made. */
export interface Issuing {
  readonly folder: string;
  readonly cluster: string;
  readonly days: number;
}

/**
 * Makes a certificate with a new key; one that the holder had before goes to `old/`, and stays valid.
 *
 * @throws CliError (`refused`) when the authority's key isn't here
 */
export async function issue(
  { folder, cluster, days }: Issuing,
  holder: Holder,
  hosts: readonly string[] = [],
): Promise<Listed> {
  const authority = authorityIn(folder);
  const { issueCertificate } = await import("./authority.ts");
  const nowMs = Date.now();
  const untilMs = Date.parse(certificatesIn(authority.cert)[0]!.validTo);
  const daysLeft = Math.floor((untilMs - nowMs) / DAY_MS);
  if (daysLeft < days) {
    const hint = `ask for ${daysLeft} days at most: --days ${daysLeft}`;
    throw new CliError("refused", `Cannot issue for ${days} days: the authority itself ends sooner`, {
      hint,
    });
  }
  const made = await issueCertificate(authority, { cluster, ...holder }, { nowMs, days, hosts });
  const { cert, key } = credentialsOf(folder, holder);
  if (existsSync(cert)) {
    const [before] = certificatesIn(readFileSync(cert, "utf8"));
    mkdirSync(join(folder, "old"), { recursive: true, mode: PRIVATE_FOLDER });
    const kept = `${basename(cert, ".crt")}-${fingerprintOf(before!).slice(0, 16)}.crt`;
    writeWhole(join(folder, "old", kept), readFileSync(cert, "utf8"));
  }
  // between the two, readers keep what they had: the two don't fit
  writeWhole(key, made.key, SECRET);
  writeWhole(cert, made.cert);
  return listed(cert, false);
}

const DAY_MS = 24 * 3_600_000;

function authorityIn(folder: string): Issued {
  const [cert, key] = [join(folder, "ca.crt"), join(folder, "ca.key")];
  const missing = [cert, key].find((file) => !existsSync(file));
  if (missing === undefined) return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  const hint = "do this on the machine that has it, and bring ca.crt, ROLE-NAME.crt and ROLE-NAME.key here";
  throw new CliError("refused", `Cannot sign a certificate: there is no ${missing}`, { hint });
}

/** All certificates of a folder but the authority's, by role and name; old ones behind those that took their place. */
export function list(folder: string): Listed[] {
  const inFolder = (path: string, isOld: boolean): Listed[] => {
    if (!existsSync(path)) return [];
    const files = readdirSync(path).filter((name) => name.endsWith(".crt") && name !== "ca.crt").sort();
    return files.map((file) => listed(join(path, file), isOld));
  };
  return [...inFolder(folder, false), ...inFolder(join(folder, "old"), true)];
}

/** A certificate that is to be used, read from its file. */
export function listed(file: string, isOld: boolean): Listed {
  let certificate: X509Certificate;
  try {
    certificate = certificatesIn(readFileSync(file, "utf8"))[0]!;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError("failed", `Cannot read the certificate ${file}: ${why}`, { cause: error });
  }
  const { role, name } = identityOf(certificate) ?? { role: "", name: basename(file, ".crt") };
  return {
    file,
    role,
    name,
    fingerprint: fingerprintOf(certificate),
    fromMs: Date.parse(certificate.validFrom),
    untilMs: Date.parse(certificate.validTo),
    isOld,
  };
}

/** Whether the authority's key is in a folder, so that certificates can be made. */
export function canSign(folder: string): boolean {
  return existsSync(join(folder, "ca.key"));
}

/** Replaces a file by one that is whole from the beginning. */
function writeWhole(path: string, text: string, mode = 0o644): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text, { mode });
  renameSync(temporary, path);
}

/** What a holder connects and listens by: TLS if there are certificates. Nothing of TLS is loaded without them. */
export async function transportWith(
  credentials: Credentials | undefined,
  warn: (text: string) => void,
): Promise<TcpTransport> {
  if (credentials === undefined) {
    const { TcpTransport } = await import("../adapters/tcp.ts");
    return new TcpTransport();
  }
  const { tlsTransport } = await import("../adapters/tls_files.ts");
  try {
    return tlsTransport(credentials, warn);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const hint = "make certificates with neo tls init and neo tls issue, or bring them here";
    throw new CliError("security", why, { cause: error, hint });
  }
}
