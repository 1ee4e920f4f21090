/**
 * What a cluster goes on with when its masters' log is lost, or older than what a storage has seen (T39, B12).
 *
 * Each node says what it knows: a storage its table, the metadata that a primary sent last, and the newest ids; a master its log.
 * Each distinct table is a candidate. Nothing is guessed: every storage that is named anywhere is there or was declared lost, and
 * each row of the chosen table has a readable copy on one that is there. What is built then has a higher generation and epoch than
 * anything found, and marks above everything that was given, so that nothing older can serve and no id is given twice.
 */
import { ID_MAX, sessionOf, ZERO_TID } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { RECOVER_EPOCHS, RECOVER_OIDS, RECOVER_SESSIONS, WEIGHT_DEFAULT } from "../../core/limits.ts";
import { isReadable, PartitionTable } from "../../core/partition_table.ts";
import type { Cell } from "../../core/partition_table.ts";
import type { Digest } from "../../core/ports.ts";
import type { Metadata } from "./metadata.ts";

/** What one node knows. */
export interface Finding {
  readonly name: string;
  readonly role: "master" | "storage";
  readonly diskId: string;
  readonly epoch: number;
  readonly table: PartitionTable | undefined;
  readonly metadata: Metadata | undefined;
  readonly newest: readonly { readonly partition: Partition; readonly tid: Tid }[];
  readonly lastOid: Oid | null;
  readonly lastTtid: Ttid | null;
  /** Truncations that were done there. */
  readonly truncations: number;
  /** Up to where history may have been packed there. */
  readonly packBound: Tid;
}

/** A table with which the cluster could go on. */
export interface Candidate {
  /** Generation, version and the beginning of the digest. */
  readonly id: string;
  readonly table: PartitionTable;
  /** The highest epoch of those that know it. */
  readonly epoch: number;
  readonly holders: readonly string[];
  /** Rows without a readable copy on a storage that is here. */
  readonly unreadable: readonly Partition[];
  /** The newest tid on its readable cells; `ZERO_TID`: none. */
  readonly newestTid: Tid;
  /** A readable cell of this table that a newer one calls out of date, on the only copy that is here: it may lack commits. */
  readonly doubtful: readonly Partition[];
}

/** All that was found, put together. */
export interface Situation {
  /** Newest first. */
  readonly candidates: readonly Candidate[];
  /** The newest metadata; undefined: no node knows the members. */
  readonly metadata: Metadata | undefined;
  /** Storages that are members and weren't found. */
  readonly absent: readonly string[];
  readonly findings: readonly Finding[];
}

/** Puts together what the nodes know. */
export function situationOf(findings: readonly Finding[], digest: Digest): Situation {
  const metadata = newestMetadata(findings);
  const here = new Map<NodeIndex, Finding>();
  for (const finding of findings) {
    const member = finding.role === "storage" ? metadata?.storageOf(finding.diskId) : undefined;
    if (member) here.set(member.index as NodeIndex, finding);
  }
  const tables = tablesOf(findings, digest);
  const candidates = tables.map((found) => candidateOf(found, tables[0]!.table, here));
  const storages = metadata?.nodes.filter(({ role }) => role === "storage") ?? [];
  const absent = storages.filter(({ index }) => !here.has(index as NodeIndex)).map(({ name }) => name);
  return { candidates, metadata, absent, findings };
}

type Found = Pick<Candidate, "id" | "table" | "epoch"> & { readonly holders: string[] };

function tablesOf(findings: readonly Finding[], digest: Digest): Found[] {
  const found = new Map<string, Found>();
  for (const { table, name, epoch } of findings) {
    if (!table) continue;
    const bytes = table.digest(digest).subarray(0, 4);
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const id = `${table.generation}.${table.version}-${hex}`;
    const known = found.get(id);
    const highest = Math.max(known?.epoch ?? 0, epoch);
    found.set(id, { id, table, epoch: highest, holders: [...known?.holders ?? [], name] });
  }
  return [...found.values()].sort((a, b) => -compareTables(a, b));
}

/** A table of a later generation or version is newer, whatever epochs an old disk has climbed to since. */
function compareTables(a: Pick<Found, "table" | "epoch">, b: Pick<Found, "table" | "epoch">): number {
  return a.table.generation - b.table.generation || a.table.version - b.table.version || a.epoch - b.epoch;
}

function newestMetadata(findings: readonly Finding[]): Metadata | undefined {
  return findings.flatMap(({ metadata }) => metadata ?? []).reduce<Metadata | undefined>((best, one) => {
    if (!best) return one;
    const order = one.nodeMark - best.nodeMark || one.truncations - best.truncations
      || compareTables(one, best);
    return order > 0 ? one : best;
  }, undefined);
}

function candidateOf(
  found: Found,
  newest: PartitionTable,
  here: ReadonlyMap<NodeIndex, Finding>,
): Candidate {
  const unreadable: Partition[] = [];
  const doubtful: Partition[] = [];
  let newestTid = ZERO_TID;
  for (let row = 0; row < found.table.partitions; row++) {
    const partition = row as Partition;
    const readable = found.table.cells(partition).filter((cell) => isReadable(cell) && here.has(cell.node));
    if (readable.length === 0) unreadable.push(partition);
    else if (!readable.some(({ node }) => isReadable(newest.cell(partition, node)))) doubtful.push(partition);
    for (const { node } of readable) {
      for (const { partition: at, tid } of here.get(node)!.newest) {
        if (at === partition && tid > newestTid) newestTid = tid;
      }
    }
  }
  return { ...found, unreadable, doubtful, newestTid };
}

/** Why nothing may be decided with this choice; undefined: it may. */
export function objection(
  { metadata, absent, candidates, findings }: Situation,
  choice: Candidate,
  lost: readonly string[],
): { readonly why: string; readonly todo: string } | undefined {
  if (!metadata) {
    return {
      why: "no node that is here knows the cluster's members",
      todo: "bring a master's old disk back, or a storage that has served with this version of neo",
    };
  }
  const silent = absent.filter((name) => !lost.includes(name));
  if (silent.length > 0) {
    return {
      why: `storages ${
        silent.join(", ")
      } aren't here, and may know a newer table or have commits that others lack`,
      todo: `bring them here, or say that they are gone for ever: ${
        silent.map((name) => `--lost ${name}`).join(" ")
      }`,
    };
  }
  const unknown = lost.filter((name) => !absent.includes(name));
  if (unknown.length > 0) {
    return { why: `${unknown.join(", ")} isn't a storage that is absent`, todo: "leave that --lost away" };
  }
  if (findings.some(({ truncations }) => truncations > metadata.truncations)) {
    return {
      why: "a storage has done a truncation that no metadata here knows",
      todo: "bring a master's old disk back",
    };
  }
  if (choice.unreadable.length > 0) {
    const others = candidates.filter(({ unreadable }) => unreadable.length === 0).map(({ id }) => id);
    return {
      why: `${choice.unreadable.length} partitions have no readable copy here with table ${choice.id}`,
      todo: others.length > 0
        ? `bring the storages that have them, or go back to an older table: --table ${others[0]}`
        : "bring the storages that have them",
    };
  }
  return undefined;
}

/** A master that the cluster goes on with. */
export interface NewMaster {
  readonly name: string;
  readonly address: string;
  readonly diskId: string;
}

/**
 * The metadata with which the masters begin anew, and the epoch that storages must know before. The choice must have no
 * `objection`.
 */
export function rebuild(
  { metadata, findings, candidates }: Situation & { readonly metadata: Metadata },
  choice: Candidate,
  masters: readonly NewMaster[],
): { readonly image: Uint8Array; readonly epoch: number } {
  const all = findings.flatMap((one) => [one.epoch, one.metadata?.epoch ?? 0]);
  const epoch = Math.max(...all) + RECOVER_EPOCHS;
  const sessions = findings.flatMap(({ lastTtid, metadata }) => [
    lastTtid === null ? 0 : sessionOf(lastTtid),
    metadata?.sessionMark ?? 0,
  ]);
  const oids = findings.flatMap(({ lastOid, metadata }) => [lastOid ?? 0n, metadata?.oidMark ?? 0n]);
  const oid = oids.reduce((highest, one) => (one > highest ? one : highest), 0n) + BigInt(RECOVER_OIDS);
  const tables = findings.flatMap(({ table, metadata }) => [table ?? [], metadata?.table ?? []].flat());
  const used = findings.flatMap(({ metadata }) => metadata?.nodeMark ?? 0);
  const first = Math.max(...used, ...tables.flatMap((table) => table.nodes())) + 1;
  const wishes = { role: "master", weight: WEIGHT_DEFAULT, path: [], draining: false };
  const image = metadata.rebuilt({
    table: nextTable({ metadata, candidates }, choice, tables),
    epoch,
    oidMark: (oid < ID_MAX ? oid : ID_MAX) as Oid,
    sessionMark: Math.max(...sessions) + RECOVER_SESSIONS,
    packBound: findings.reduce((most, { packBound }) => (packBound > most ? packBound : most), ZERO_TID),
    masters: masters.map((master, at) => ({ ...wishes, ...master, index: first + at })),
  });
  return { image, epoch };
}

/**
 * The chosen table under a new generation. Cells that a newer table calls out of date stay so where their row has another: they lack
 * commits.
 */
function nextTable(
  { metadata, candidates }: Pick<Situation, "candidates"> & { readonly metadata: Metadata },
  { table, doubtful }: Candidate,
  all: readonly PartitionTable[],
): PartitionTable {
  const newest = candidates[0]!.table;
  const version = Math.max(...all.map((one) => one.version)) + 1;
  const members = new Set(metadata.nodes.map(({ index }) => index));
  const rows = Array.from({ length: table.partitions }, (_, row): Cell[] => {
    const partition = row as Partition;
    const cells = table.cells(partition).filter(({ node }) => members.has(node));
    if (doubtful.includes(partition)) return cells;
    return cells.map((cell) =>
      isReadable(cell) && !isReadable(newest.cell(partition, cell.node))
        ? { ...cell, state: "outOfDate", since: version }
        : cell
    );
  });
  const generation = Math.max(...all.map((one) => one.generation)) + 1;
  return new PartitionTable({ generation, version, replicas: table.replicas, rows });
}
