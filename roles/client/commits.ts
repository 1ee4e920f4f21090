/**
 * A commit, as its client drives it: `store` and `vote` on every cell of every object, then `finish` at the primary.
 *
 * Steps of one: `waiting` (no session), `voting` (each node must answer its vote, or fail), `resolving` (its program makes
 * new writes of those in conflict; their locks stay), `finishing` (the primary decides), `outcome` (its answer was lost:
 * it is asked what became of the transaction). Until `finish` is sent, a session that ends only means to begin again under
 * a new one; after it, only the primary's word counts. A transaction whose outcome is "aborted" is begun again as
 * well: bases are checked again, so nothing can be done twice.
 *
 * A storage that says `deadlock` is obeyed (`relock`, and vote there again) in any step before `finish`, and in that one once
 * the answer is `missing`.
 */
import {
  AbortedError,
  ConflictError,
  type DatabaseError,
  LockTimeoutError,
  OutcomePendingError,
  UnreachableError,
} from "../../core/errors.ts";
import { partitionOf, TTID_COUNTER_MAX, ttidOf } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import {
  LACKS_ATTEMPTS_MAX,
  LOSSES_MAX,
  OUTCOME_WAIT_MS,
  RETRY_DELAY_MS_MAX,
  RETRY_DELAY_MS_MIN,
} from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { AnswerMessage, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { ClientWord, Commit } from "./calls.ts";
import type { Links } from "./links.ts";
import { finishOf, isBefore, itemOf, itemsOf, newRunning, partitionsOf, writtenBy } from "./plan.ts";
import type { Conflict, Running, Voter } from "./plan.ts";
import { errorOf, isNodeFailure } from "./site.ts";
import type { ClientContext, Site } from "./site.ts";
import { Votes } from "./votes.ts";

/** What is asked for commits. */
type CommitContext = Exclude<ClientContext, { of: "call" | "table" | "sync" | "read" | "digest" }>;

/** The commits that are under way. */
export class Commits {
  #site: Site;
  #links: Links;
  #running = new Map<number, Running>();
  #counter = 0;
  #votes: Votes;

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
    this.#votes = new Votes(site, links, (running, voter, error) => {
      this.#markFailed(voter, error);
      this.#decide(running);
    });
  }

  /** Commits that aren't decided. */
  get size(): number {
    return this.#running.size;
  }

  /** The earliest deadline. */
  get dueMs(): number | undefined {
    let due: number | undefined;
    for (const { untilMs, retryMs } of this.#running.values()) {
      const at = Math.min(untilMs, retryMs ?? untilMs);
      if (due === undefined || at < due) due = at;
    }
    return due;
  }

  /** Begins a commit. */
  begin(call: number, commit: Commit, untilMs: number): void {
    const { monoMs } = this.#site.now;
    const running = newRunning(call, commit, {
      items: itemsOf(commit, this.#site.view.table!.partitions, this.#site.ports),
      untilMs,
      ageMs: commit.ageMs ?? Math.max(0, Math.floor(monoMs + this.#site.clockMs)),
    });
    this.#running.set(call, running);
    this.#start(running);
  }

  /** A new session: what wasn't finished begins again, what was is asked for. */
  sessionBegan(): void {
    this.#counter = 0;
    for (const running of [...this.#running.values()]) {
      if (running.step === "outcome") this.#askOutcome(running);
      else this.#start(running);
    }
  }

  /** The session is over. */
  sessionEnded(): void {
    for (const running of this.#running.values()) {
      if (running.step === "finishing") running.step = "outcome";
      else if (running.step !== "outcome") this.#reset(running);
    }
  }

  /** A storage or the primary has answered. */
  answered(
    context: CommitContext,
    message: AnswerMessage,
  ): void {
    const running = this.#attemptOf(context);
    if (!running) return;
    switch (context.of) {
      case "store": {
        const voter = this.#voter(running, context);
        return voter && this.#votes.answered(running, voter, context.bytes); // its vote says the same
      }
      case "vote": {
        const voter = this.#voter(running, context);
        if (!voter || message.name !== "vote") return;
        voter.state = "voted";
        voter.evidence = message.body.evidence;
        return this.#decide(running);
      }
      case "catchUp":
        running.catchingUp = false;
        return isBefore(running) ? this.#spread(running) : undefined;
      case "finish":
        if (message.name === "finish") this.#committed(running, message.body.tid);
        return;
      case "outcome":
        if (message.name !== "outcome") return;
        if (message.body.tid !== null) return this.#committed(running, message.body.tid);
        if (running.late) {
          return this.#end(running, new UnreachableError("Cannot commit in time: nothing of it is stored"));
        }
        this.#reset(running);
        return this.#start(running);
    }
  }

  /** A question of a commit failed. */
  failed(
    context: CommitContext,
    error: WireError,
  ): void {
    const running = this.#attemptOf(context);
    if (!running) return;
    switch (context.of) {
      case "store":
      case "vote": {
        const voter = this.#voter(running, context);
        if (voter?.state !== "voting") return;
        // the vote's answer names all conflicts of its node, and says whether it has given the transaction up
        if (context.of === "store" && (error.code === "conflict" || error.code === "aborted")) {
          return this.#votes.answered(running, voter, context.bytes);
        }
        return this.#nodeFailed(running, voter, error);
      }
      case "catchUp":
        return; // the primary is lost: a new session begins
      case "finish":
        return this.#finishFailed(running, error);
      case "outcome": // asked again, under the next session if the primary is lost
        if (error.code !== "lost") running.retryMs = this.#site.now.monoMs + RETRY_DELAY_MS_MAX;
        return;
    }
  }

  /** The commit that a question belongs to, unless it was begun again since. */
  #attemptOf(context: CommitContext): Running | undefined {
    const running = this.#running.get(context.call);
    return "ttid" in context && context.ttid !== running?.ttid ? undefined : running;
  }

  /** An older transaction waits for an object of one of ours at a storage. */
  deadlock(conn: Conn, ttid: Ttid, oid: Oid): void {
    for (const running of this.#running.values()) {
      if (running.ttid !== ttid) continue;
      const voter = [...running.voters.values()].find(({ node }) => this.#links.conn(node) === conn);
      if (!voter) return;
      if (running.step === "finishing") running.deadlocks.push({ node: voter.node, oid });
      else if (isBefore(running) && voter.state !== "failed") this.#votes.relock(running, voter, oid);
      return;
    }
  }

  /** A program has resolved the conflicts that it was told of, or can't. */
  resolve({ call, round, resolutions }: Extract<ClientWord, { type: "resolve" }>): void {
    const running = this.#running.get(call);
    if (running?.step !== "resolving" || running.resolving.round !== round) return;
    const { conflicts, items } = running;
    const data = new Map(resolutions?.map((resolution) => [resolution.oid, resolution.data]));
    const again = new Set<Oid>();
    for (const { oid, saved } of running.resolving.conflicts) {
      const resolved = data.get(oid);
      if (resolved === undefined) return this.#abort(running, new ConflictError([...conflicts.values()]));
      if (conflicts.get(oid)?.saved !== saved) continue; // it has changed once more
      const { partitions } = this.#site.view.table!;
      items.set(oid, itemOf({ oid, base: saved, data: resolved }, partitions, this.#site.ports));
      conflicts.delete(oid);
      again.add(oid);
    }
    running.step = "voting";
    for (const voter of [...running.voters.values()]) {
      const own = voter.oids.filter((oid) => again.has(oid));
      if (own.length > 0 && voter.state !== "failed") this.#votes.sendAgain(running, voter, own);
    }
    this.#decide(running);
  }

  /**
   * A call isn't wanted any more. Gives false when it is no commit. Before `finish` nothing of it stays; afterwards it is as
   * if its time were over.
   */
  cancel(call: number): boolean {
    const running = this.#running.get(call);
    if (!running) return false;
    if (running.step === "finishing") this.#late(running);
    else if (running.step === "outcome") {
      running.late = true;
      running.untilMs = Math.min(running.untilMs, this.#site.now.monoMs + OUTCOME_WAIT_MS);
    } else this.#abort(running, new AbortedError("Cannot commit: its caller has given it up"));
    return true;
  }

  /** The connection to a storage ended: what was promised there stays, but nobody could tell us of a deadlock. */
  linkLost(node: NodeIndex): void {
    for (const running of [...this.#running.values()]) {
      const voter = running.voters.get(node);
      if (!voter || !isBefore(running)) continue;
      if (voter.state === "voting") {
        this.#lost(running, voter, { code: "lost", message: `Lost storage ${node}` });
      } else if (voter.state === "voted") this.#sendOnceMore(running, voter);
    }
  }

  /** What wasn't voted is gone at the storage; a connection alone is no failure of the node. */
  #lost(running: Running, voter: Voter, error: WireError): void {
    if (this.#sendOnceMore(running, voter)) return;
    this.#markFailed(voter, error);
    this.#decide(running);
  }

  #sendOnceMore(running: Running, voter: Voter): boolean {
    voter.losses += 1;
    if (voter.losses > LOSSES_MAX || this.#site.view.nodes.get(voter.node)?.state !== "running") return false;
    this.#votes.send(running, voter);
    return true;
  }

  /** Waits and commits whose time is over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const running of [...this.#running.values()]) {
      if (monoMs >= running.untilMs) this.#late(running);
      else if (running.retryMs !== undefined && monoMs >= running.retryMs) {
        running.retryMs = undefined;
        if (isBefore(running)) this.#catchUp(running);
        if (running.step === "outcome") this.#askOutcome(running);
      }
    }
  }

  /** A finish can't be taken back: its outcome is asked for, for a while longer. */
  #late(running: Running): void {
    if (running.step === "finishing") {
      running.step = "outcome";
      running.late = true;
      running.untilMs = this.#site.now.monoMs + OUTCOME_WAIT_MS;
      return this.#askOutcome(running);
    }
    if (running.step === "outcome") {
      return this.#end(running, new OutcomePendingError(running.ttid, running.home));
    }
    const problem = [...running.voters.values()].find((voter) => voter.problem)?.problem;
    const why = problem
      ? `: ${problem.message}`
      : this.#site.primary === undefined
      ? ": no primary is there"
      : "";
    this.#abort(running, new UnreachableError(`Cannot commit in time${why}`));
  }

  #start(running: Running): void {
    const { view, primary } = this.#site;
    if (primary === undefined) return;
    if (this.#counter >= TTID_COUNTER_MAX) {
      const message = "The session has no ttids left: a new one is begun";
      return this.#site.emit({
        do: "close",
        conn: primary,
        error: { code: "sessionEnded", message, detail: { session: view.session } },
      });
    }
    const { commit } = running;
    running.ttid = ttidOf(view.session, ++this.#counter);
    // a partition that it writes, if there is one
    const first = commit.writes[0]?.oid ?? commit.checks[0]?.oid ?? (BigInt(running.ttid) as Oid);
    running.home = partitionOf(commit.restoreTid ?? first, view.table!.partitions);
    running.step = "voting";
    this.#spread(running);
  }

  /** Back to before the first store: the session that it was made under is over. */
  #reset(running: Running): void {
    running.step = "waiting";
    running.voters.clear();
    running.sent.clear();
    running.conflicts.clear();
    running.deadlocks.length = 0;
    running.refusal = undefined;
    running.catchingUp = false;
    running.retryMs = undefined;
  }

  #spread(running: Running): void {
    this.#votes.spread(running);
    this.#decide(running);
  }

  /** The voter that an answer is from, unless it was asked anew since. */
  #voter(
    running: Running,
    context: Extract<CommitContext, { of: "store" | "vote" }>,
  ): Voter | undefined {
    const voter = running.voters.get(context.node);
    if (!voter || !isBefore(running)) return undefined;
    const isNow = context.of === "vote" ? voter.ballot === context.ballot : voter.round === context.round;
    return isNow ? voter : undefined;
  }

  #nodeFailed(running: Running, voter: Voter, error: WireError): void {
    switch (error.code) {
      case "conflict":
        for (const conflict of error.detail.conflicts) running.conflicts.set(conflict.oid, conflict);
        voter.state = "refused";
        break;
      case "lockTimeout":
        running.refusal ??= new LockTimeoutError(error.detail.oid, error.detail.holder);
        voter.state = "refused";
        break;
      case "lacks":
        voter.lacks += 1;
        if (voter.lacks <= LACKS_ATTEMPTS_MAX) return this.#votes.send(running, voter);
        running.refusal ??= errorOf(error); // no node's failure: one of us two counts wrongly
        voter.state = "refused";
        break;
      case "notAssigned":
        running.voters.delete(voter.node);
        return this.#catchUp(running);
      case "lost": // each open question fails first, then the connection is told as lost
        return this.#links.isOpen(voter.node) ? undefined : this.#lost(running, voter, error);
      case "sessionEnded": // the storage was fenced again; if it is over everywhere, the primary says so too
        this.#markFailed(voter, error);
        break;
      default:
        if (isNodeFailure(error)) this.#markFailed(voter, error);
        else {
          running.refusal ??= errorOf(error);
          voter.state = "refused";
        }
    }
    this.#decide(running);
  }

  #markFailed(voter: Voter, problem: WireError): void {
    voter.state = "failed";
    voter.problem = problem;
    voter.failedSession = this.#site.view.nodes.get(voter.node)?.session ?? 0;
  }

  /** Hears the primary, so that its newest table is here, then chooses nodes again. */
  #catchUp(running: Running): void {
    if (running.catchingUp || this.#site.primary === undefined) return;
    running.catchingUp = true;
    const withinMs = Math.max(running.untilMs - this.#site.now.monoMs, 1);
    this.#site.ask(this.#site.primary, "sync", {}, {
      context: { of: "catchUp", call: running.call, ttid: running.ttid },
      withinMs,
    });
  }

  /** All nodes have answered: finishes, or gives up. */
  #decide(running: Running): void {
    const voters = [...running.voters.values()];
    if (
      running.step !== "voting" || running.catchingUp || running.retryMs !== undefined
      || voters.some(({ state }) => state === "voting")
    ) return;
    if (running.refusal) return this.#abort(running, running.refusal);
    if (running.conflicts.size > 0) return this.#conflicted(running);
    const { view, primary } = this.#site;
    const uncovered = [running.home, ...partitionsOf(running)].some((partition) =>
      !view.table!.cells(partition).some((cell) =>
        isReadable(cell) && running.voters.get(cell.node)?.state === "voted"
      )
    );
    if (primary === undefined) return;
    if (uncovered) return this.#wait(running);
    running.step = "finishing";
    this.#finish(running, primary);
  }

  /** All nodes have answered, some with conflicts: its program resolves them, if it can. */
  #conflicted(running: Running): void {
    const { conflicts, items, commit, call } = running;
    const all: Conflict[] = [...conflicts.values()];
    const isWrite = ({ oid }: Conflict) => items.get(oid)?.mode === "store" && items.get(oid)!.link === null;
    if (commit.resolves !== true || !all.every(isWrite)) return this.#abort(running, new ConflictError(all));
    running.step = "resolving";
    const round = running.resolving.round + 1;
    running.resolving = { round, conflicts: all };
    this.#site.emit({ do: "output", output: { type: "conflict", call, round, conflicts: all } });
  }

  /** No copy of some partition answered: it may come back, or another may take over. */
  #wait(running: Running): void {
    for (const { node, state, problem } of [...running.voters.values()]) {
      if (problem?.code === "noSpace") return this.#abort(running, errorOf(problem));
      if (state === "failed") running.voters.delete(node);
    }
    running.retryMs = this.#site.now.monoMs + running.delayMs;
    running.delayMs = Math.min(2 * running.delayMs, RETRY_DELAY_MS_MAX);
  }

  #finish(running: Running, primary: Conn): void {
    const { ttid, call, untilMs } = running;
    const withinMs = Math.max(untilMs - this.#site.now.monoMs, 1) + OUTCOME_WAIT_MS;
    const context = { of: "finish", call, ttid } as const;
    this.#site.ask(primary, "finish", finishOf(running), { context, withinMs });
  }

  #finishFailed(running: Running, error: WireError): void {
    switch (error.code) {
      case "missing": {
        running.step = "voting";
        for (const { node } of error.detail.cells) running.voters.delete(node);
        for (const { node, oid } of running.deadlocks.splice(0)) {
          const voter = running.voters.get(node);
          if (voter && voter.state !== "failed") this.#votes.relock(running, voter, oid);
        }
        return this.#catchUp(running);
      }
      case "lost":
      case "sessionEnded":
        running.step = "outcome"; // asked under the next session
        return;
      case "timedOut":
        running.step = "outcome";
        return this.#askOutcome(running);
      case "incomplete":
      case "aborted":
        return this.#abort(running, new AbortedError(error.message));
      default:
        return this.#abort(running, errorOf(error));
    }
  }

  #askOutcome(running: Running): void {
    const { primary, now } = this.#site;
    if (primary === undefined) return;
    const { ttid, home, call, untilMs } = running;
    const withinMs = Math.max(untilMs - now.monoMs, 1);
    this.#site.ask(primary, "outcome", { ttid, home }, { context: { of: "outcome", call, ttid }, withinMs });
  }

  /** Nothing of it stays anywhere: told on the direct connections (in order behind the stores) and through the primary. */
  #abort(running: Running, error: DatabaseError): void {
    const { ttid, sent } = running;
    const conns = [...sent].flatMap((node) => this.#links.conn(node) ?? []);
    if (conns.length > 0) this.#site.emit(tell(conns, "abort", { ttid, epoch: 0, nodes: [] }));
    const { primary } = this.#site;
    if (primary !== undefined && sent.size > 0) {
      this.#site.emit(tell(primary, "abort", { ttid, epoch: 0, nodes: [...sent] }));
    }
    this.#end(running, error);
  }

  #committed(running: Running, tid: Tid): void {
    this.#running.delete(running.call);
    const isNewest = this.#site.publish(tid, running.commit.writes.map(({ oid }) => oid));
    if (isNewest) this.#site.keep(tid, writtenBy(running));
    this.#site.settle(running.call, { tid, ttid: running.ttid });
  }

  #end(running: Running, error: DatabaseError): void {
    this.#running.delete(running.call);
    const { primary, view } = this.#site;
    // A committer hears of its tid by that answer only: without it, a new session begins, and says where it begins.
    if (running.step === "outcome" && primary !== undefined) {
      const message = "An answer of the primary may have been missed: a new session is begun";
      const gone: WireError = { code: "sessionEnded", message, detail: { session: view.session } };
      this.#site.emit({ do: "close", conn: primary, error: gone });
    }
    this.#site.fail(running.call, error);
  }
}
