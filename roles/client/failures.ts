/** What a storage's refusal, or its silence, means for a commit: is the node at fault, the transaction, or only the moment? */
import { LockTimeoutError, UnreachableError } from "../../core/errors.ts";
import { LACKS_ATTEMPTS_MAX } from "../../core/limits.ts";
import type { WireError } from "../../core/messages.ts";
import type { View } from "../view.ts";
import type { Conflict, Running, Voter } from "./plan.ts";
import { errorOf, isNodeFailure } from "./site.ts";
import { partsLost } from "./streams.ts";

/**
 * What is to be done: nothing (what it means stands in the voter and the commit), send all of it again, choose nodes by a newer
 * table, or wait for the end of the connection.
 */
export type Verdict = "settled" | "again" | "elsewhere" | "lost";

/** Judges why a question of a commit failed at a storage. */
export function judge(view: View, running: Running, voter: Voter, error: WireError): Verdict {
  const isStreamed = running.streams.size > 0;
  switch (error.code) {
    case "conflict":
      for (const conflict of error.detail.conflicts) note(running, conflict);
      voter.state = "refused";
      return "settled";
    case "lockTimeout":
      running.refusal ??= new LockTimeoutError(error.detail.oid, error.detail.holder);
      voter.state = "refused";
      return "settled";
    case "lacks":
      voter.lacks += 1;
      if (!isStreamed && voter.lacks <= LACKS_ATTEMPTS_MAX) return "again";
      // else no node's failure: one of us two counts wrongly
      running.refusal ??= isStreamed ? partsLost("a storage lacks them") : errorOf(error);
      voter.state = "refused";
      return "settled";
    case "notAssigned":
      running.voters.delete(voter.node);
      if (!isStreamed) return "elsewhere";
      running.refusal ??= partsLost("a storage has no copy of them any more");
      return "settled";
    case "lost":
      return "lost";
    case "sessionEnded": // the storage was fenced again; if it is over everywhere, the primary says so too
      markFailed(view, voter, error);
      return "settled";
    default:
      if (isNodeFailure(error)) markFailed(view, voter, error);
      else {
        running.refusal ??= errorOf(error);
        voter.state = "refused";
      }
      return "settled";
  }
}

/** The storage counts as failed for this commit; the primary is told of which of its sessions. */
export function markFailed(view: View, voter: Voter, problem: WireError): void {
  voter.state = "failed";
  voter.problem = problem;
  voter.failedSession = view.nodes.get(voter.node)?.session ?? 0;
}

/** What stood in the way of a commit whose time is over. */
export function lateError({ voters }: Running, isPrimaryThere: boolean): UnreachableError {
  const problem = [...voters.values()].find((voter) => voter.problem)?.problem;
  const why = problem ? `: ${problem.message}` : isPrimaryThere ? "" : ": no primary is there";
  return new UnreachableError(`Cannot commit in time${why}`);
}

/** One copy may lag behind another: the newest revision counts. */
function note({ conflicts }: Running, conflict: Conflict): void {
  const known = conflicts.get(conflict.oid);
  if (known === undefined || known.saved < conflict.saved) conflicts.set(conflict.oid, conflict);
}
