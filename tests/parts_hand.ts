/** What clients of a storage say and hear about values in parts. */
import assert from "node:assert/strict";
import { sha256 } from "../adapters/system.ts";
import { evidenceDigest } from "../core/evidence.ts";
import { toOid, ttidOf, ZERO_TID } from "../core/ids.ts";
import type { ClientSession, Conn, Tid } from "../core/ids.ts";
import type { Body } from "../core/messages.ts";
import { manifestData } from "../core/parts.ts";
import type { StorageMachine } from "../roles/storage/storage.ts";
import {
  answersOf,
  asPartition,
  asTid,
  errorsOf,
  helloAs,
  serveStorage,
  storageBench,
  storageDisk,
  tableOf,
} from "./machines.ts";
import type { BenchOf } from "./machines.ts";

/** A transaction of session 1, and one of session 2. */
export const ttid = ttidOf(1 as ClientSession, 1);
export const other = ttidOf(2 as ClientSession, 1);
/** The parts of a value. */
export const texts = ["first", "secnd", "end"];
export const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A part, as a client sends it: of `texts` unless told. */
export function partOf(
  oid: number,
  seq: number,
  more: Partial<Body<"part">> & { text?: string } = {},
): Body<"part"> {
  const { text = texts[seq] ?? "more", ...rest } = more;
  const data = bytesOf(text);
  const content = { compression: 0, checksum: sha256(data), data };
  return { ttid, version: 1, ageMs: 5, oid: toOid(oid), seq, ...content, ...rest };
}

/** The manifest of parts that have 5 bytes, the last one fewer. */
export function manifestOf(parts: readonly string[]) {
  const checksums = parts.map((text) => sha256(bytesOf(text)));
  return manifestData(
    { size: 5 * (parts.length - 1) + parts.at(-1)!.length, partBytes: 5, checksums },
    sha256,
  );
}

/** The store of a manifest. */
export function storeOf(
  oid: number,
  parts: readonly string[] = texts,
  more: Partial<Body<"store">> = {},
): Body<"store"> {
  const rest = { base: ZERO_TID, link: null, restore: false };
  return { ttid, version: 1, ageMs: 5, oid: toOid(oid), ...rest, ...manifestOf(parts), ...more };
}

/** The store of a value as a whole. */
export function wholeOf(oid: number, more: Partial<Body<"store">> = {}): Body<"store"> {
  const data = bytesOf("whole");
  return storeOf(oid, texts, { compression: 0, checksum: sha256(data), data, ...more });
}

/** The vote over these stores, which stand on nothing. */
export function voteOf(stores: readonly Body<"store">[]): Body<"vote"> {
  const held = stores.map(({ oid, base, checksum }) => ({ oid, base, mode: "store", checksum } as const));
  const digest = evidenceDigest(held, sha256);
  const { ttid } = stores[0]!;
  return { ttid, version: 1, home: asPartition(0), count: stores.length, digest, note: null };
}

/** A storage, its primary, and two clients. */
export interface Scene {
  readonly bench: BenchOf<StorageMachine>;
  readonly primary: Conn;
  /** Of session 1, and of session 2. */
  readonly client: Conn;
  readonly rival: Conn;
}

/** Storage s1 of two without replicas: it has the even partitions of four. */
export function scene(disk = storageDisk(1)): Scene {
  const bench = storageBench(disk);
  const primary = serveStorage(bench, { table: tableOf({ replicas: 0 }) });
  const [client, rival] = [1, 2].map((session) => bench.comes(helloAs("client", { session, epoch: 1 })).conn);
  return { bench, primary, client: client!, rival: rival! };
}

/** Sends all parts of a value; gives the codes of errors. */
export function sendParts({ bench, client }: Scene, oid = 2, parts: readonly string[] = texts): string[] {
  return parts.flatMap((text, seq) => {
    const effects = bench.asked(client, "part", partOf(oid, seq, { text }));
    const errors = errorsOf(effects);
    assert.equal(answersOf(effects, "part").length + errors.length, 1, "a part is answered once");
    return errors.map(({ code }) => code);
  });
}

/** What an ask was refused with. */
export const codeOf = (effects: readonly never[] | ReturnType<Scene["bench"]["give"]>) =>
  errorsOf(effects)[0]?.code;

/** Votes and locks what is stored of object 2; publishes it under `tid`. */
export function publish({ bench, primary, client }: Scene, store: Body<"store">, tid: number): void {
  assert.equal(answersOf(bench.asked(client, "vote", voteOf([store])), "vote").length, 1);
  bench.asked(primary, "lock", { epoch: 1, ttid: store.ttid, tid: asTid(tid) });
  bench.told(primary, "unlock", { epoch: 1, ttid: store.ttid, tid: asTid(tid) });
}

/** The texts of the parts that a storage gives of a revision of object 2. */
export function loadedParts({ bench, client }: Scene, tid: Tid): string[] {
  const found: string[] = [];
  for (let seq = 0;; seq++) {
    const effects = bench.asked(client, "loadPart", { oid: toOid(2), tid, seq, version: 1 });
    const [answer] = answersOf(effects, "loadPart");
    if (answer === undefined) return found;
    assert.deepEqual([answer.compression, answer.checksum], [0, sha256(answer.data)]);
    found.push(new TextDecoder().decode(answer.data));
  }
}
