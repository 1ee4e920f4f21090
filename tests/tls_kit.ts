/** Certificates for tests: of an authority that is made once a file, good ones and bad ones. */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import type { TlsMaterial } from "../adapters/tls.ts";
import { issueCertificate, type Issued, makeAuthority } from "../cli/authority.ts";
import type { Identity } from "../core/identity.ts";

/** A day in milliseconds. */
export const DAY_MS = 24 * 3_600_000;

/** An authority, and what it makes. */
export class Authority {
  readonly own: Issued;
  readonly cluster: string;

  constructor(cluster: string, own: Issued) {
    this.cluster = cluster;
    this.own = own;
  }

  static async of(cluster: string): Promise<Authority> {
    return new Authority(cluster, await makeAuthority(cluster, { nowMs: Date.now(), days: 100 }));
  }

  /** What a holder of this role and name has; it begins and ends as told, in days from now. */
  async material(
    who: Pick<Identity, "role" | "name"> & Partial<Identity>,
    { fromDays = 0, days = 10 }: { readonly fromDays?: number; readonly days?: number } = {},
  ): Promise<TlsMaterial> {
    const nowMs = Date.now() + fromDays * DAY_MS;
    const made = await issueCertificate(this.own, { cluster: this.cluster, ...who }, { nowMs, days });
    return { ca: this.own.cert, ...made };
  }
}

/**
 * A key file that says that it belongs to the certificate of `victim`, and doesn't: what somebody has who saw the certificate pass by
 * (RFC 5915: a private key with another's public key).
 */
export function forgedKey(victim: TlsMaterial, own: TlsMaterial): string {
  const { d } = createPrivateKey(own.key).export({ format: "jwk" });
  const shown = createPublicKey(victim.cert).export({ format: "der", type: "spki" }).subarray(-65);
  const secret = Buffer.from(d!, "base64url");
  const curve = Buffer.from("a00a06082a8648ce3d030107a144034200", "hex");
  const body = Buffer.concat([Buffer.from("0201010420", "hex"), secret, curve, shown]);
  const text = Buffer.concat([Uint8Array.of(0x30, body.length), body]).toString("base64").replace(
    /.{64}/g,
    "$&\n",
  );
  return `-----BEGIN EC PRIVATE KEY-----\n${text}\n-----END EC PRIVATE KEY-----\n`;
}

/** The order of the group of the curve P-256. */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** An element of DER with a content of less than 64 KiB. */
function der(tag: number, ...content: Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  const head = body.length < 128 ? [tag, body.length] : [tag, 0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Uint8Array.from(head), body]);
}

/** What a number looks like in DER. */
function derInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.padStart(hex.length + hex.length % 2, "0"), "hex");
  return der(2, bytes[0]! < 128 ? bytes : Buffer.concat([Uint8Array.of(0), bytes]));
}

/** The same certificate with the authority's signature written another way, as its holder can: (r, n - s) for (r, s). */
export function otherSignature(pem: string): string {
  const { raw } = new X509Certificate(pem);
  const signedEnd = 4 + 4 + raw.readUInt16BE(6);
  const algorithmEnd = signedEnd + 2 + raw[signedEnd + 1]!;
  const signature = raw.subarray(algorithmEnd + 5);
  const r = signature.subarray(0, 2 + signature[1]!);
  const s = BigInt(`0x${signature.subarray(r.length + 2).toString("hex")}`);
  const bits = der(3, Uint8Array.of(0), der(0x30, r, derInteger(ORDER - s)));
  const made = der(0x30, raw.subarray(4, algorithmEnd), bits);
  return `-----BEGIN CERTIFICATE-----\n${
    made.toString("base64").replace(/.{64}/g, "$&\n")
  }\n-----END CERTIFICATE-----\n`;
}
