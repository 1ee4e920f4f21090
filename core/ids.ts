/**
 * The names of things: branded numbers, each with one gate that makes it. Past the gate a value is trusted,
 * and two kinds of id can't be swapped by accident.
 */
declare const kind: unique symbol;

/** Names an object for ever: 0 to 2^63-1; 0 is the root object of a ZODB database. */
export type Oid = bigint & { readonly [kind]: "oid" };
/** A commit's place in the one cluster-wide order, 1 to 2^63-1; its high bits are a date (see `tid.ts`). */
export type Tid = bigint & { readonly [kind]: "tid" };
/** Names a transaction from its first message until it has a tid: client session * 2^24 + counter. */
export type Ttid = bigint & { readonly [kind]: "ttid" };
/** A node's index in the cluster's registry: 1 and up, never used again for another node. */
export type NodeIndex = number & { readonly [kind]: "node" };
/** A client's stay: given by the primary from a held block, never used again. */
export type ClientSession = number & { readonly [kind]: "clientSession" };
/** One connection on its host: 1 and up, never used again in that process. */
export type Conn = number & { readonly [kind]: "conn" };
/** Number of a partition: 0 to partitions - 1. */
export type Partition = number & { readonly [kind]: "partition" };

/** The highest value of oids, tids and ttids: what a signed 64-bit column holds. */
export const ID_MAX = (1n << 63n) - 1n;
/** "Before everything": the base of a new object and the last tid of an empty database. */
export const ZERO_TID = 0n as Tid;
/** Above every tid that is ever given. */
export const MAX_TID = ID_MAX as Tid;
/** Counter bits of a ttid. */
export const TTID_COUNTER_BITS = 24n;
/** Transactions that one client session may begin; then it identifies again. */
export const TTID_COUNTER_MAX = (1 << 24) - 1;
/** The highest client session: 39 bits. */
export const CLIENT_SESSION_MAX = 2 ** 39 - 1;

function gate(name: string, value: bigint, least: bigint): bigint {
  if (least <= value && value <= ID_MAX) return value;
  throw new RangeError(`Cannot use ${value} as ${name}: expected ${least} to ${ID_MAX}`);
}

/**
 * The one way from a number to an object id.
 *
 * @throws RangeError when it isn't within 0 to 2^63-1
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { toOid } from "./ids.ts";
 * assert.equal(toOid(7n), 7n);
 * assert.throws(() => toOid(-1n), RangeError);
 * ```
 */
export function toOid(value: bigint | number): Oid {
  return gate("an oid", BigInt(value), 0n) as Oid;
}

/** The one way from a number to a transaction id; 0 means "before everything". */
export function toTid(value: bigint | number): Tid {
  return gate("a tid", BigInt(value), 0n) as Tid;
}

/** The one way from a number to a temporary transaction id. */
export function toTtid(value: bigint | number): Ttid {
  return gate("a ttid", BigInt(value), 1n) as Ttid;
}

/** Makes the ttid of the `counter`th transaction of a client session. */
export function ttidOf(session: ClientSession, counter: number): Ttid {
  return toTtid((BigInt(session) << TTID_COUNTER_BITS) + BigInt(counter));
}

/** The client session that made a ttid. */
export function sessionOf(ttid: Ttid): ClientSession {
  return Number(ttid >> TTID_COUNTER_BITS) as ClientSession;
}

/** The partition of an object or a tid among `partitions`. */
export function partitionOf(id: Oid | Tid, partitions: number): Partition {
  return Number(id % BigInt(partitions)) as Partition;
}

/** Prints an id as ZODB tools do: 16 hexadecimal digits. */
export function hexOf(id: bigint): string {
  return id.toString(16).padStart(16, "0");
}
