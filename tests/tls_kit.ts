/** Certificates for tests: of an authority that is made once a file, good ones and bad ones. */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey } from "node:crypto";
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
