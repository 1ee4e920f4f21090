/** What peers in a test's hand say: ids of small numbers, and the stores, votes and finishes of a transaction. */
import { sha256 } from "../../adapters/system.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import type { HeldObject } from "../../core/evidence.ts";
import type { ClientSession, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { ttidOf } from "../../core/ids.ts";
import type { Body, Evidence } from "../../core/messages.ts";

/** The ttid of a session's transaction. */
export function ttidAt(session: number, counter: number): Ttid {
  return ttidOf(session as ClientSession, counter);
}

/** One write of a puppet client. */
export interface PuppetWrite {
  readonly ttid: Ttid;
  readonly oid: number;
  readonly text?: string;
  readonly base?: bigint;
  readonly version?: number;
  readonly ageMs?: number;
}

/** A store, as a client sends it. */
export function storeOf(
  { ttid, oid, text = "x", base = 0n, version = 1, ageMs = 1 }: PuppetWrite,
): Body<"store"> {
  const data = new TextEncoder().encode(text);
  return {
    ttid,
    version,
    ageMs,
    oid: BigInt(oid) as Oid,
    base: base as Tid,
    compression: 0,
    checksum: sha256(data),
    data,
    link: null,
    restore: false,
  };
}

/** The vote over these stores, as a client sends it. */
export function voteOf(stores: readonly Body<"store">[], more: Partial<Body<"vote">> = {}): Body<"vote"> {
  const objects: HeldObject[] = stores.map(({ oid, base, checksum, data }) => ({
    oid,
    base,
    mode: "store",
    checksum: data === null ? null : checksum,
  }));
  const oids = stores.map(({ oid }) => oid);
  const none = new Uint8Array();
  return {
    ttid: stores[0]!.ttid,
    version: stores[0]!.version,
    home: 0 as Partition,
    count: objects.length,
    digest: evidenceDigest(objects, sha256),
    note: { status: " ", user: none, description: none, extension: none, oids },
    ...more,
  };
}

/** A finish, as a client sends it. */
export function finishOf(
  stores: readonly Body<"store">[],
  evidence: readonly Evidence[],
  more: Partial<Body<"finish">> = {},
): Body<"finish"> {
  return {
    ttid: stores[0]!.ttid,
    home: 0 as Partition,
    explicit: null,
    stored: stores.map(({ oid }) => oid),
    checked: [],
    evidence,
    sent: evidence.map(({ node }) => node),
    failed: [],
    behind: null,
    ...more,
  };
}

/** Bytes of a text. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The text of bytes. */
export function textOf(bytes: Uint8Array | null | undefined): string | undefined {
  return bytes ? new TextDecoder().decode(bytes) : undefined;
}

/** A tid of a small number. */
export function tidAt(value: number): Tid {
  return BigInt(value) as Tid;
}

/** An oid of a small number. */
export function oidAt(value: number): Oid {
  return BigInt(value) as Oid;
}
