/**
 * Whether a certificate is believed, and whose it is. The runtimes are asked to let everybody in, because what they say of those
 * whom they turn away is not what an operator could use; so it is judged here, before the first frame.
 *
 * A certificate is believed when one of the cluster's authorities has signed it, its dates hold, it is no authority itself, and it names
 * its holder. Authorities sign nodes and clients directly: there are no certificates between.
 *
 * @module
 */
import { createHash, X509Certificate } from "node:crypto";
import { parseIdentity } from "../core/identity.ts";
import type { Identity, Proof } from "../core/identity.ts";

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * Reads the certificates of a text in PEM.
 *
 * @throws Error when there is none, or one can't be read
 */
export function certificatesIn(pem: string): X509Certificate[] {
  const found = pem.match(PEM) ?? [];
  if (found.length === 0) throw new Error("Cannot find a certificate: expected -----BEGIN CERTIFICATE-----");
  return found.map((text) => new X509Certificate(text));
}

/**
 * SHA-256 of a certificate's public key, which no other certificate has: 64 hexadecimal digits in lower case. Not of the certificate
 * itself: its holder can write the authority's signature another way (for ECDSA, s and n - s both verify), which would make another
 * certificate of one that is revoked.
 */
export function fingerprintOf({ publicKey }: X509Certificate): string {
  return createHash("sha256").update(publicKey.export({ format: "der", type: "spki" })).digest("hex");
}

/** Who a certificate says that its holder is; undefined: nobody of a cluster. */
export function identityOf({ subjectAltName }: X509Certificate): Identity | undefined {
  for (const name of subjectAltName?.split(", ") ?? []) {
    const identity = name.startsWith("URI:") ? parseIdentity(name.slice("URI:".length)) : undefined;
    if (identity !== undefined) return identity;
  }
  return undefined;
}

/**
 * Judges what the other side has shown (DER; undefined: nothing), whatever that is; `authorities` are those of the cluster. Runtimes throw
 * at some contents, at each step: that is the sender's fault, and a refusal too.
 */
export function judge(
  shown: Uint8Array | undefined,
  authorities: readonly X509Certificate[],
  nowMs: number,
): Proof {
  if (shown === undefined) return { refusal: "it shows no certificate" };
  try {
    return judged(new X509Certificate(shown), authorities, nowMs);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { refusal: `its certificate can't be judged: ${why}` };
  }
}

function judged(shown: X509Certificate, authorities: readonly X509Certificate[], nowMs: number): Proof {
  const identity = identityOf(shown);
  const name = identity === undefined ? JSON.stringify(shown.subject) : `${identity.role} ${identity.name}`;
  const issuers = authorities.filter((authority) => authority.ca && shown.checkIssued(authority));
  if (shown.ca || !issuers.some((authority) => shown.verify(authority.publicKey))) {
    return { refusal: `its certificate (${name}) isn't signed by this cluster's authority` };
  }
  const [from, until] = [Date.parse(shown.validFrom), Date.parse(shown.validTo)];
  if (!(nowMs >= from)) return { refusal: `its certificate (${name}) is valid from ${shown.validFrom} only` };
  if (!(nowMs <= until)) return { refusal: `its certificate (${name}) has expired: ${shown.validTo}` };
  if (identity === undefined) return { refusal: `its certificate (${name}) names no node of a cluster` };
  return { identity, fingerprint: fingerprintOf(shown) };
}
