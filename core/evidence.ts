/** What a vote names, as both sides compute it: count and digest of all that a node must hold of a transaction. */
import type { Oid, Tid } from "./ids.ts";
import type { Digest } from "./ports.ts";

/** One object that a node must hold. `checksum` null: a deletion, or a check. */
export interface HeldObject {
  readonly oid: Oid;
  readonly base: Tid;
  readonly mode: "store" | "check";
  readonly checksum: Uint8Array | null;
}

/**
 * Digest over (oid, base, kind, checksum) in the order of oids.
 *
 * @param objects in any order, each oid once
 */
export function evidenceDigest(objects: readonly HeldObject[], digest: Digest): Uint8Array {
  const sorted = [...objects].sort((a, b) => (a.oid < b.oid ? -1 : a.oid > b.oid ? 1 : 0));
  const parts: Uint8Array[] = [];
  for (const { oid, base, mode, checksum } of sorted) {
    const head = new Uint8Array(17);
    const view = new DataView(head.buffer);
    view.setBigUint64(0, oid);
    view.setBigUint64(8, base);
    view.setUint8(16, mode === "check" ? 2 : checksum === null ? 1 : 0);
    parts.push(head);
    if (checksum !== null) parts.push(checksum);
  }
  return digest(...parts);
}
