/**
 * Who a certificate says that its holder is: `neo://CLUSTER/ROLE/NAME`, as a URI in its subject's alternative names. A node has its
 * role and name; whoever gives orders has role `admin`, a program that reads and writes role `client`.
 */

/** Whoever holds a certificate. */
export interface Identity {
  readonly cluster: string;
  readonly role: string;
  readonly name: string;
}

/**
 * What a transport knows of the other side, if it asks for proof: who it is and by which certificate (SHA-256 of its public key, 64
 * hexadecimal digits), or why it isn't believed.
 */
export type Proof =
  | { readonly identity: Identity; readonly fingerprint: string }
  | { readonly refusal: string };

/** Clusters, roles and names are letters, digits and `. _ -`; so nothing has to be escaped. */
const IDENTITY = /^neo:\/\/(?<cluster>[\w.-]{1,63})\/(?<role>[a-z]{1,20})\/(?<name>[\w.-]{1,63})$/;

/**
 * Writes an identity as certificates have it.
 *
 * @throws RangeError when a part of it couldn't be read back
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { identityUri, parseIdentity } from "./identity.ts";
 * const uri = identityUri({ cluster: "shop", role: "storage", name: "s1" });
 * assert.equal(uri, "neo://shop/storage/s1");
 * assert.deepEqual(parseIdentity(uri), { cluster: "shop", role: "storage", name: "s1" });
 * assert.equal(parseIdentity("neo://shop/s1"), undefined);
 * ```
 */
export function identityUri({ cluster, role, name }: Identity): string {
  const uri = `neo://${cluster}/${role}/${name}`;
  if (IDENTITY.test(uri)) return uri;
  throw new RangeError(
    `Cannot write ${JSON.stringify(uri)} into a certificate: a name has signs that it can't have`,
  );
}

/** Reads what `identityUri()` writes; undefined for anything else. */
export function parseIdentity(uri: string): Identity | undefined {
  const { cluster, role, name } = IDENTITY.exec(uri)?.groups ?? {};
  return cluster === undefined || role === undefined || name === undefined
    ? undefined
    : { cluster, role, name };
}
