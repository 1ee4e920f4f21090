/**
 * Certificates from files, read again when the files have changed: whoever asks for them gets what counts now. What can't be used (a
 * key that isn't that of its certificate, because the two are being replaced; half a file) changes nothing, and is told.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { TcpTransport } from "./tcp.ts";
import { type TlsMaterial, TlsSockets, type TlsSource } from "./tls.ts";
import { certificatesIn } from "./tls_judge.ts";

/** A key, its certificate and the authorities: each a text in PEM, or the path of a file with it. */
export type TlsGiven = TlsMaterial;

/** How a text in PEM begins. */
const PEM = "-----BEGIN ";

/**
 * Reads certificates, and checks that they fit.
 *
 * @throws Error naming the file and what is wrong with it
 */
export function readMaterial(given: TlsGiven): TlsMaterial {
  const { ca, cert, key } = given;
  const material = { ca: contentOf(ca), cert: contentOf(cert), key: contentOf(key) };
  const names = { ca: nameOf(ca, "authority"), cert: nameOf(cert, "certificate"), key: nameOf(key, "key") };
  checkMaterial(material, names);
  return material;
}

function contentOf(given: string): string {
  return given.startsWith(PEM) ? given : readFileSync(given, "utf8");
}

function nameOf(given: string, what: string): string {
  return given.startsWith(PEM) ? `the ${what}` : given;
}

function checkMaterial(material: TlsMaterial, names: { readonly [K in keyof TlsMaterial]: string }): void {
  const told = <T>(name: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`Cannot use ${name}: ${why}`, { cause: error });
    }
  };
  told(names.ca, () => certificatesIn(material.ca));
  const certificate = told(names.cert, () => new X509Certificate(material.cert));
  const key = told(names.key, () => createPrivateKey(material.key));
  if (certificate.checkPrivateKey(key)) return;
  throw new Error(`Cannot use ${names.key}: it isn't the key of the certificate ${names.cert}`);
}

/**
 * A source of certificates.
 *
 * @param warn hears of contents that can't be used, once for each state of the files
 * @throws Error when they can't be used now
 */
export function sourceOf(given: TlsGiven, warn: (text: string) => void): TlsSource {
  let seen = stateOf(given);
  let material = readMaterial(given);
  return () => {
    const state = stateOf(given);
    if (state === seen) return material;
    seen = state;
    try {
      material = readMaterial(given);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      warn(`Keeps the certificate that it has: ${why}`);
    }
    return material;
  };
}

/** A transport over TLS; parameters and errors as of `sourceOf()`. */
export function tlsTransport(given: TlsGiven, warn: (text: string) => void): TcpTransport {
  return new TcpTransport({ sockets: new TlsSockets(sourceOf(given, warn)) });
}

/** Differs when a file has been written or replaced. */
function stateOf({ ca, cert, key }: TlsGiven): string {
  return [ca, cert, key].map((given) => {
    if (given.startsWith(PEM)) return "";
    try {
      const { ino, size, mtimeMs } = statSync(given);
      return `${ino} ${size} ${mtimeMs}`;
    } catch (error) {
      return String(error); // what can't be reached can't be read either, which is told
    }
  }).join(", ");
}
