/** What a commit sends to whom: the objects of a transaction as they travel, and what each storage has of it. */
import type { DatabaseError } from "../../core/errors.ts";
import type { HeldObject } from "../../core/evidence.ts";
import { partitionOf } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { COMPRESS_BYTES_MIN, RETRY_DELAY_MS_MIN } from "../../core/limits.ts";
import type { Body, Evidence, WireError } from "../../core/messages.ts";
import type { StoredData } from "../../core/ports.ts";
import type { Commit, Write } from "./calls.ts";
import type { ClientPorts } from "./site.ts";

/** One object as it travels. */
export interface Item extends HeldObject {
  readonly partition: Partition;
  /** As the program gave it; null for checks and deletions. */
  readonly data: Uint8Array | null;
  readonly stored: StoredData | null;
  readonly link: Tid | null;
}

/** What one storage has of a transaction. */
export interface Voter {
  readonly node: NodeIndex;
  /** Objects that it must hold. */
  readonly oids: readonly Oid[];
  /** Answers to stores of an earlier round, and to votes of an earlier ballot, are none of this one's. */
  round: number;
  ballot: number;
  state: "voting" | "voted" | "failed" | "refused";
  /** Objects that still have to be sent, the next one last, and bytes that were sent and not answered. */
  unsent: Oid[];
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
  readonly call: number;
  readonly commit: Commit;
  /** A resolved conflict replaces its object's. */
  readonly items: Map<Oid, Item>;
  untilMs: number;
  /** When nodes are chosen again, after a wait. */
  retryMs: number | undefined;
  delayMs: number;
  readonly ageMs: number;
  step: "waiting" | "voting" | "resolving" | "finishing" | "outcome";
  ttid: Ttid;
  home: Partition;
  readonly voters: Map<NodeIndex, Voter>;
  /** Nodes that may have seen the transaction. */
  readonly sent: Set<NodeIndex>;
  readonly conflicts: Map<Oid, Conflict>;
  /** Which conflicts its program is resolving: a resolution of an earlier round is void. */
  resolving: { readonly round: number; readonly conflicts: readonly Conflict[] };
  /** Objects to relock should its finish turn out not to be the last. */
  readonly deadlocks: { readonly node: NodeIndex; readonly oid: Oid }[];
  refusal: DatabaseError | undefined;
  /** The table is asked anew before nodes are chosen again. */
  catchingUp: boolean;
  /** Its caller's time is over: only the outcome of its finish is waited for. */
  late: boolean;
}

/** A commit that begins. */
export function newRunning(
  call: number,
  commit: Commit,
  start: Pick<Running, "items" | "untilMs" | "ageMs">,
): Running {
  return {
    call,
    commit,
    ...start,
    retryMs: undefined,
    delayMs: RETRY_DELAY_MS_MIN,
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
    late: false,
  };
}

/** Whether the fate of a commit is in our hands: nothing of it can be committed yet. */
export function isBefore({ step }: Running): boolean {
  return step === "voting" || step === "resolving";
}

/** What the primary is told of a commit. */
export function finishOf({ ttid, home, commit, items, voters, sent }: Running): Body<"finish"> {
  const all = [...voters.values()];
  const oids = (mode: HeldObject["mode"]): Oid[] =>
    [...items.values()].flatMap((item) => (item.mode === mode ? [item.oid] : []));
  return {
    ttid,
    home,
    explicit: commit.restoreTid ?? null,
    stored: oids("store"),
    checked: oids("check"),
    evidence: all.flatMap(({ evidence, state }) => (evidence && state === "voted" ? [evidence] : [])),
    sent: [...sent],
    failed: all.flatMap(({ node, state, failedSession }) =>
      state === "failed" ? [{ node, session: failedSession }] : []
    ),
  };
}

/** What a commit made current, as far as it is worth keeping: a history that is imported isn't. */
export function* writtenBy({ items, commit }: Running): Generator<Pick<Item, "oid" | "data">> {
  if (commit.restoreTid !== undefined) return;
  for (const item of items.values()) if (item.mode === "store" && item.link === null) yield item;
}

/** Partitions of a commit's objects. */
export function* partitionsOf({ items }: Running): Generator<Partition> {
  for (const { partition } of items.values()) yield partition;
}

/** The objects of a transaction, each once: a write counts for its check, the last write for the earlier ones. */
export function itemsOf({ writes, checks }: Commit, partitions: number, ports: ClientPorts): Map<Oid, Item> {
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
      link: null,
    });
  }
  for (const write of writes) items.set(write.oid, itemOf(write, partitions, ports));
  return items;
}

/** A write as it travels. */
export function itemOf({ oid, base, data, link }: Write, partitions: number, ports: ClientPorts): Item {
  const stored = data === null ? null : storedOf(data, ports);
  const checksum = stored?.checksum ?? null;
  const partition = partitionOf(oid, partitions);
  return { oid, base, mode: "store", checksum, partition, data, stored, link: link ?? null };
}

/** Data as it travels: compressed when that makes it smaller; the checksum is over what travels. */
function storedOf(data: Uint8Array, { digest, compression }: ClientPorts): StoredData {
  if (data.length >= COMPRESS_BYTES_MIN) {
    const small = compression.compress(1, data);
    if (small.length < data.length) return { compression: 1, checksum: digest(small), data: small };
  }
  return { compression: 0, checksum: digest(data), data };
}
