/**
 * A cluster's own authority: makes certificates, on the curve P-256. Only `neo tls` and what makes clusters load this, because
 * the library behind it takes a moment.
 */
import "reflect-metadata"; // its decorators must stand before the next line's
import * as x509 from "@peculiar/x509";
import { randomBytes, webcrypto } from "node:crypto";
import { identityUri } from "../core/identity.ts";
import type { Identity } from "../core/identity.ts";
import { CERTIFICATE_BACKDATE_MS } from "../core/limits.ts";

/** A certificate and its key, in PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

/** From when and for how long something is valid. */
export interface Validity {
  readonly nowMs: number;
  readonly days: number;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const DAY_MS = 24 * 3_600_000;

/** Makes an authority for a cluster. */
export async function makeAuthority(cluster: string, validity: Validity): Promise<Issued> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...termsOf(validity),
    name: [{ CN: [`${cluster} authority`] }, { O: [cluster] }],
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: await pemOf(keys.privateKey) };
}

/**
 * Makes a certificate with a key of its own.
 *
 * @param hosts names and addresses where the holder listens; for programs that look at them, neo itself doesn't
 * @throws RangeError when the identity can't stand in a certificate
 */
export async function issueCertificate(
  authority: Issued,
  identity: Identity,
  { hosts = [], ...validity }: Validity & { readonly hosts?: readonly string[] },
): Promise<Issued> {
  const issuer = new x509.X509Certificate(authority.cert);
  const keys = await newKeys();
  const names = [
    { type: "url" as const, value: identityUri(identity) },
    ...hosts.map((value) => ({ type: isAddress(value) ? "ip" as const : "dns" as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    ...termsOf(validity),
    subject: [{ CN: [identity.name] }, { OU: [identity.role] }, { O: [identity.cluster] }],
    issuer: issuer.subjectName,
    publicKey: keys.publicKey,
    signingKey: await keyIn(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { cert: `${certificate.toString("pem")}\n`, key: await pemOf(keys.privateKey) };
}

/** An hour back, because clocks differ. */
function termsOf({ nowMs, days }: Validity) {
  return {
    serialNumber: `01${randomBytes(15).toString("hex")}`, // positive, and nobody else's
    notBefore: new Date(nowMs - CERTIFICATE_BACKDATE_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
    signingAlgorithm: ALGORITHM,
  };
}

async function newKeys(): Promise<CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

async function pemOf(key: CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey("pkcs8", key);
  return `${x509.PemConverter.encode(bytes, "PRIVATE KEY")}\n`;
}

async function keyIn(pem: string): Promise<CryptoKey> {
  const bytes = x509.PemConverter.decodeFirst(pem);
  return await webcrypto.subtle.importKey("pkcs8", bytes, ALGORITHM, false, ["sign"]);
}

function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+(\.\d+){3}$/.test(host);
}
