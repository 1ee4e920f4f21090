/** What a commit sends to whom: the objects of a transaction as they travel, and what each storage has of it. */
import type { DatabaseError } from "../../core/errors.ts";
import type { HeldObject } from "../../core/evidence.ts";
import { partitionOf } from "../../core/ids.ts";
import type { NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import { COMPRESS_BYTES_MIN } from "../../core/limits.ts";
import type { Evidence, WireError } from "../../core/messages.ts";
import type { StoredData } from "../../core/ports.ts";
import type { Commit } from "./calls.ts";
import type { ClientPorts } from "./site.ts";

/** One object as it travels. */
export interface Item extends HeldObject {
  readonly partition: Partition;
  readonly stored: StoredData | null;
  readonly link: Tid | null;
}

/** What one storage has of a transaction. */
export interface Voter {
  readonly node: NodeIndex;
  /** Answers of an earlier round are none of this one's. */
  round: number;
  items: readonly Item[];
  state: "voting" | "voted" | "failed" | "refused";
  evidence: Evidence | undefined;
  /** The node's session at the primary, when it failed. */
  failedSession: number;
  lacks: number;
  problem: WireError | undefined;
}

/** A commit that is under way. */
export interface Running {
  readonly call: number;
  readonly commit: Commit;
  readonly items: readonly Item[];
  untilMs: number;
  /** When nodes are chosen again, after a wait. */
  retryMs: number | undefined;
  delayMs: number;
  readonly ageMs: number;
  step: "waiting" | "voting" | "finishing" | "outcome";
  ttid: Ttid;
  home: Partition;
  readonly voters: Map<NodeIndex, Voter>;
  /** Nodes that may have seen the transaction. */
  readonly sent: Set<NodeIndex>;
  readonly conflicts: Map<Oid, { readonly oid: Oid; readonly base: Tid; readonly saved: Tid }>;
  refusal: DatabaseError | undefined;
  /** The table is asked anew before nodes are chosen again. */
  catchingUp: boolean;
  /** Its caller's time is over: only the outcome of its finish is waited for. */
  late: boolean;
}

/** The objects of a transaction, each once: a write counts for its check, the last write for the earlier ones. */
export function itemsOf({ writes, checks }: Commit, partitions: number, ports: ClientPorts): Item[] {
  const items = new Map<Oid, Item>();
  for (const { oid, base } of checks) {
    items.set(oid, {
      oid,
      base,
      mode: "check",
      checksum: null,
      partition: partitionOf(oid, partitions),
      stored: null,
      link: null,
    });
  }
  for (const { oid, base, data, link } of writes) {
    const stored = data === null ? null : storedOf(data, ports);
    const checksum = stored?.checksum ?? null;
    items.set(oid, {
      oid,
      base,
      mode: "store",
      checksum,
      partition: partitionOf(oid, partitions),
      stored,
      link: link ?? null,
    });
  }
  return [...items.values()];
}

/** Data as it travels: compressed when that makes it smaller; the checksum is over what travels. */
function storedOf(data: Uint8Array, { digest, compression }: ClientPorts): StoredData {
  if (data.length >= COMPRESS_BYTES_MIN) {
    const small = compression.compress(1, data);
    if (small.length < data.length) return { compression: 1, checksum: digest(small), data: small };
  }
  return { compression: 0, checksum: digest(data), data };
}
