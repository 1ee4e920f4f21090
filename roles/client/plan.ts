/** What a commit sends to whom: the objects of a transaction as they travel, and what each storage has of it. */
import type { DatabaseError } from "../../core/errors.ts";
import type { HeldObject } from "../../core/evidence.ts";
import { partitionOf } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import {
  COMPRESS_BYTES_MIN,
  COMPRESS_PROBE_BYTES,
  INCOMPLETE_ATTEMPTS_MAX,
  LAGGING_VOTE_MS,
  PART_BYTES_MAX,
  RETRY_DELAY_MS_MIN,
} from "../../core/limits.ts";
import type { Evidence, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { ReadonlyTable } from "../../core/partition_table.ts";
import { COMPRESSION_PARTS, manifestData } from "../../core/parts.ts";
import type { StoredData } from "../../core/ports.ts";
import type { Commit, Write } from "./calls.ts";
import type { ClientPorts } from "./site.ts";

/** One object as it travels. */
export interface Item extends HeldObject {
  readonly partition: Partition;
  /** As the program gave it; null for checks and deletions. */
  readonly data: Uint8Array | null;
  readonly stored: StoredData | null;
  /** What `stored` is the manifest of; undefined for values of one piece, and for those whose parts were sent before. */
  readonly parts: readonly StoredData[] | undefined;
  readonly link: Tid | null;
}

/** A value of which parts are given one by one. */
export interface Stream {
  size: number;
  readonly checksums: Uint8Array[];
}

/** What one storage has of a transaction. */
export interface Voter {
  readonly node: NodeIndex;
  /** Objects that it must hold. */
  oids: readonly Oid[];
  /** Whether it must keep what the transaction says about itself, by the table with which its objects were chosen. */
  isHome: boolean;
  /** Answers to stores of an earlier round, and to votes of an earlier ballot, are none of this one's. */
  round: number;
  ballot: number;
  state: "voting" | "voted" | "failed" | "refused";
  /** Objects that still have to be sent, the next one last, and bytes that were sent and not answered. */
  unsent: Oid[];
  /** Of the next one: how many parts were sent. */
  nextPart: number;
  unanswered: number;
  isVoteSent: boolean;
  evidence: Evidence | undefined;
  /** The node's session at the primary, when it failed. */
  failedSession: number;
  lacks: number;
  /** How often its connection was lost. */
  losses: number;
  problem: WireError | undefined;
}

/** An object that changed since its base. */
export type Conflict = { readonly oid: Oid; readonly base: Tid; readonly saved: Tid };

/** A commit that is under way. */
export interface Running {
  /** What its questions carry: its call, or that of the first part of a value. */
  readonly id: number;
  /** The call that waits for its end. */
  call: number;
  commit: Commit;
  /** A resolved conflict replaces its object's. */
  items: Map<Oid, Item>;
  /** Values that were given in parts, which only the storages have. */
  readonly streams: Map<Oid, Stream>;
  /** Calls that wait until more parts may be given. */
  readonly flowing: number[];
  untilMs: number;
  /** When nodes are chosen again, after a wait. */
  retryMs: number | undefined;
  delayMs: number;
  /** Until when votes of out-of-date copies are waited for; `0`: no longer; undefined: others are missing still. */
  patientMs: number | undefined;
  readonly ageMs: number;
  step: "filling" | "waiting" | "voting" | "resolving" | "finishing" | "outcome";
  ttid: Ttid;
  home: Partition;
  readonly voters: Map<NodeIndex, Voter>;
  /** Nodes that may have seen the transaction. */
  readonly sent: Set<NodeIndex>;
  readonly conflicts: Map<Oid, Conflict>;
  /** Which conflicts its program is resolving: a resolution of an earlier round is void. */
  resolving: { readonly round: number; readonly conflicts: readonly Conflict[] };
  /** Objects to relock should its finish turn out not to be the last. */
  readonly deadlocks: { readonly conn: Conn; readonly oid: Oid }[];
  refusal: DatabaseError | undefined;
  /** The table is asked anew before nodes are chosen again. */
  catchingUp: boolean;
  /** How often its copies changed so under its votes that none had locked all of it. */
  incomplete: number;
  /** Its caller's time is over: only the outcome of its finish is waited for. */
  late: boolean;
}

/** A commit that begins. */
export function newRunning(
  id: number,
  commit: Commit,
  start: Pick<Running, "items" | "untilMs" | "ageMs">,
): Running {
  return {
    id,
    call: id,
    commit,
    ...start,
    streams: new Map(),
    flowing: [],
    retryMs: undefined,
    delayMs: RETRY_DELAY_MS_MIN,
    patientMs: undefined,
    step: "waiting",
    ttid: 0n as Ttid,
    home: 0 as Partition,
    voters: new Map(),
    sent: new Set(),
    conflicts: new Map(),
    resolving: { round: 0, conflicts: [] },
    deadlocks: [],
    refusal: undefined,
    catchingUp: false,
    incomplete: 0,
    late: false,
  };
}

/** Back to before the first store: the session that it was made under is over. */
export function restart(running: Running): void {
  running.step = "waiting";
  running.voters.clear();
  running.sent.clear();
  running.conflicts.clear();
  running.deadlocks.length = 0;
  running.refusal = undefined;
  running.catchingUp = false;
  running.retryMs = undefined;
  running.patientMs = undefined;
}

/** When something is to be done about a commit, if nobody answers. */
export function dueOf({ untilMs, retryMs = untilMs, patientMs = 0 }: Running): number {
  return Math.min(untilMs, retryMs, patientMs === 0 ? untilMs : patientMs);
}

/** Whether the fate of a commit is in our hands: nothing of it can be committed yet. */
export function isBefore({ step }: Running): boolean {
  return step === "filling" || step === "voting" || step === "resolving";
}

/** What a commit made current, as far as it is worth keeping: a history that is imported isn't. */
export function* writtenBy({ items, commit }: Running): Generator<Pick<Item, "oid" | "data">> {
  if (commit.restoreTid !== undefined) return;
  for (const item of items.values()) {
    const isWhole = item.mode === "store" && item.link === null
      && item.stored?.compression !== COMPRESSION_PARTS;
    if (isWhole) yield item;
  }
}

/** Whether some vote that a commit needs isn't there yet: that of a copy which readers may read. */
function isVoteNeeded({ home, items, voters }: Running, table: ReadonlyTable): boolean {
  return [...voters.values()].some(({ node, state, oids, isHome }) => {
    if (state !== "voting") return false;
    const partitions = oids.map((oid) => items.get(oid)!.partition);
    return [...(isHome ? [home] : []), ...partitions].some((partition) =>
      isReadable(table.cell(partition, node))
    );
  });
}

/**
 * Whether votes are to be waited for. Out-of-date copies hold no commit up (B13): without its vote, such a copy has missed
 * the transaction, which costs it another look; so it gets a moment more than the others.
 */
export function isAwaited(running: Running, table: ReadonlyTable, nowMs: number): boolean {
  if (![...running.voters.values()].some(({ state }) => state === "voting")) return false;
  if (isVoteNeeded(running, table)) return true;
  running.patientMs ??= nowMs + LAGGING_VOTE_MS;
  return nowMs < running.patientMs;
}

/**
 * Whether a commit that no readable copy had locked whole is begun again. Its copies became readable, or went, between its
 * votes and its `finish`, as in a rolling restart; parts of streamed values are nowhere else.
 */
export function isWorthAnother({ incomplete, late, streams }: Running): boolean {
  return incomplete < INCOMPLETE_ATTEMPTS_MAX && !late && streams.size === 0;
}

/** Whether a partition of a commit has no readable copy that voted. */
export function isUncovered({ home, items, voters }: Running, table: ReadonlyTable): boolean {
  const partitions = new Set([home]);
  for (const { partition } of items.values()) partitions.add(partition);
  return [...partitions].some((partition) =>
    !table.cells(partition).some((cell) => isReadable(cell) && voters.get(cell.node)?.state === "voted")
  );
}

const NO_BYTES = new Uint8Array();
/** What a transaction commits that still streams its values. */
export const NO_COMMIT: Commit = {
  writes: [],
  checks: [],
  user: NO_BYTES,
  description: NO_BYTES,
  extension: NO_BYTES,
  status: " ",
};

/** The objects of a transaction, each once: a write counts for its check, the last write for the earlier ones. */
export function itemsOf(
  { writes, checks }: Commit,
  partitions: number,
  ports: ClientPorts,
  streams: ReadonlyMap<Oid, Stream>,
): Map<Oid, Item> {
  const items = new Map<Oid, Item>();
  for (const { oid, base } of checks) {
    items.set(oid, {
      oid,
      base,
      mode: "check",
      checksum: null,
      partition: partitionOf(oid, partitions),
      data: null,
      stored: null,
      parts: undefined,
      link: null,
    });
  }
  for (const write of writes) {
    const stream = write.streamed === true ? streams.get(write.oid) : undefined;
    items.set(write.oid, itemOf(write, partitions, ports, stream));
  }
  return items;
}

/** A write as it travels. */
export function itemOf(write: Write, partitions: number, ports: ClientPorts, stream?: Stream): Item {
  const { oid, base, data, link = null } = write;
  const content = stream ? { stored: streamedOf(stream, ports), parts: undefined } : contentOf(data, ports);
  const checksum = content.stored?.checksum ?? null;
  const partition = partitionOf(oid, partitions);
  return { oid, base, mode: "store", checksum, partition, data, ...content, link };
}

function contentOf(data: Uint8Array | null, ports: ClientPorts): Pick<Item, "stored" | "parts"> {
  if (data === null) return { stored: null, parts: undefined };
  if (data.length <= PART_BYTES_MAX) return { stored: storedOf(data, ports), parts: undefined };
  const parts: StoredData[] = [];
  for (let at = 0; at < data.length; at += PART_BYTES_MAX) {
    parts.push(storedOf(data.subarray(at, at + PART_BYTES_MAX), ports));
  }
  const checksums = parts.map(({ checksum }) => checksum);
  return { stored: streamedOf({ size: data.length, checksums }, ports), parts };
}

/** What stands for a value in parts. */
function streamedOf({ size, checksums }: Stream, { digest }: ClientPorts): StoredData {
  return manifestData({ size, partBytes: PART_BYTES_MAX, checksums }, digest);
}

/**
 * Data as it travels: compressed when that makes it smaller; the checksum is over what travels. Of long data a piece is tried
 * first: most of what is long (pictures, archives) is compressed already, and trying it all would cost more than sending it.
 */
export function storedOf(
  data: Uint8Array,
  { digest, compression, compressBytesMin = COMPRESS_BYTES_MIN }: ClientPorts,
): StoredData {
  const probe = data.subarray(0, COMPRESS_PROBE_BYTES);
  const isWorthIt = probe.length === data.length || compression.compress(1, probe).length < probe.length;
  if (data.length >= compressBytesMin && isWorthIt) {
    const small = compression.compress(1, data);
    if (small.length < data.length) return { compression: 1, checksum: digest(small), data: small };
  }
  return { compression: 0, checksum: digest(data), data };
}
