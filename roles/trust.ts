/**
 * Whom a node believes. A transport with certificates says who is at the other end (`core/identity.ts`); what the other side then says of itself
 * must fit that, and its certificate must not be revoked. Transports without certificates say nothing, and nothing is asked.
 */
import type { Identity, Proof } from "../core/identity.ts";
import type { Hello, WireError } from "../core/messages.ts";
import type { TransportEvent } from "../core/ports.ts";

/** Roles whose names are those of nodes; a client's name is what its program likes, and an operator at a terminal has none. */
const NAMED: readonly string[] = ["master", "storage", "admin"];

/** Why the other side isn't believed before it has said anything; undefined: it may speak. */
export function distrustOf(proof: Proof | undefined, revoked: ReadonlySet<string>): WireError | undefined {
  if (proof === undefined) return undefined;
  if ("refusal" in proof) return untrusted("the other side", proof.refusal);
  const { identity, fingerprint } = proof;
  return revoked.has(fingerprint) ? untrusted(nameOf(identity), "its certificate is revoked") : undefined;
}

/** Why what it says of itself isn't what its certificate says; undefined: it is. An operator may also read and write. */
export function impostureOf(proof: Proof | undefined, ours: Hello, theirs: Hello): WireError | undefined {
  if (proof === undefined || "refusal" in proof) return undefined;
  const { identity } = proof;
  const { cluster, role, name } = identity;
  const shown = nameOf(identity);
  if (cluster !== ours.cluster) {
    return untrusted(shown, `its certificate is for cluster "${cluster}", this one is "${ours.cluster}"`);
  }
  if (role !== theirs.role && !(role === "admin" && theirs.role === "client")) {
    return untrusted(shown, `its certificate is for role ${role}, and it says that it is a ${theirs.role}`);
  }
  const isNameless = theirs.role === "admin" && theirs.name === "";
  if (NAMED.includes(theirs.role) && !isNameless && theirs.name !== name) {
    return untrusted(shown, `its certificate is for ${name}, and it says that it is ${theirs.name}`);
  }
  return undefined;
}

/**
 * Why a node isn't the one that its disk id says: its certificate shows another; undefined: it is, or there are no certificates. Disk ids
 * are no secret of their node.
 */
export function substituteOf(
  holder: string | undefined,
  registered: { readonly role: string; readonly name: string },
): WireError | undefined {
  if (holder === undefined || holder === nameOf(registered)) return undefined;
  return untrusted(holder, `its disk id is that of ${nameOf(registered)}`);
}

/** Whom a certificate shows. */
export function holderIn(proof: Proof | undefined): { readonly holder?: string } {
  return proof && "identity" in proof ? { holder: nameOf(proof.identity) } : {};
}

/** Why the transport has ended a connection. */
export function endOf({ reason, untrusted }: Extract<TransportEvent, { type: "closed" }>): WireError {
  return { code: untrusted ? "untrusted" : "lost", message: `Lost the connection: ${reason}` };
}

function nameOf({ role, name }: Pick<Identity, "role" | "name">): string {
  return `${role} ${name}`;
}

function untrusted(who: string, why: string): WireError {
  return { code: "untrusted", message: `Cannot trust ${who}: ${why}` };
}
