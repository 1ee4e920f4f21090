/** What each role says of itself on its node's pages. */
import { metric } from "../core/metrics.ts";
import type { AdminMachine } from "../roles/admin/admin.ts";
import type { MemberMachine } from "../roles/master/member.ts";
import type { StorageMachine } from "../roles/storage/storage.ts";
import { clusterFamilies } from "./pages.ts";
import type { NodeFigures } from "./pages.ts";

/** A master is ready when it is the primary of a cluster that runs, or follows a leader. */
export function masterFigures(machine: Pick<MemberMachine, "part" | "view" | "report">): NodeFigures {
  const { part, view, report } = machine;
  const isFollower = view === undefined && part.leader !== undefined;
  const state = view?.phase ?? (isFollower ? "follower" : "noPrimary");
  return {
    ready: isFollower || state === "running",
    state,
    details: { raft: part, ...(report && { cluster: report }) },
    families: [
      metric("gauge", "neo_primary", "Whether this master is the primary", view === undefined ? 0 : 1),
      metric("gauge", "neo_raft_term", "Term of the masters' agreement", part.term),
      metric("gauge", "neo_raft_commit_index", "Entries of the masters' log that are held", part.commit),
      ...(view === undefined
        ? []
        : [metric("gauge", "neo_transactions", "Finished transactions that aren't published", view.pending)]),
      // only the primary speaks for the cluster, so that sums over nodes are right
      ...(view === undefined || report === undefined ? [] : clusterFamilies(report, Date.now())),
    ],
  };
}

/** A storage is ready when a primary has let it serve. */
export function storageFigures(
  machine: Pick<StorageMachine, "load" | "hello">,
  freeBytes: number | undefined,
): NodeFigures {
  const { transactions, parked, reads, phase, copies } = machine.load;
  const { epoch } = machine.hello();
  return {
    ready: phase === "serving",
    state: phase,
    details: { epoch, transactions, waitingRequests: parked, waitingReads: reads, copies, freeBytes },
    families: [
      metric("gauge", "neo_epoch", "Epoch that the storage obeys", epoch),
      metric("gauge", "neo_transactions", "Transactions that have something here", transactions),
      metric("gauge", "neo_waiting_requests", "Requests that wait for a table or a table's change", parked),
      metric("gauge", "neo_waiting_reads", "Reads that wait for a locked object", reads),
      metric("gauge", "neo_copying", "Whether it copies what it lacks from others", copies ? 1 : 0),
      ...(freeBytes === undefined
        ? []
        : [metric("gauge", "neo_free_bytes", "Bytes that the database may still take", freeBytes)]),
    ],
  };
}

/** An admin is ready when it follows a primary. */
export function adminFigures(machine: Pick<AdminMachine, "seen">): NodeFigures {
  const { follows, phase } = machine.seen;
  const help = "Whether the admin follows a primary";
  return {
    ready: follows,
    state: phase,
    details: {},
    families: [metric("gauge", "neo_follows_primary", help, follows ? 1 : 0)],
  };
}
