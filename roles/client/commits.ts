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
 * the answer is `missing`. Where the answer is `incomplete` (no readable copy has locked all of it, since copies came or went
 * under its votes), it is given up everywhere and begun again, a few times.
 */
import { Deadlines } from "../../core/deadlines.ts";
import {
  AbortedError,
  ConflictError,
  type DatabaseError,
  OutcomePendingError,
  UnreachableError,
} from "../../core/errors.ts";
import { partitionOf, TTID_COUNTER_MAX, ttidOf } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Tid, Ttid } from "../../core/ids.ts";
import { LOSSES_MAX, RETRY_DELAY_MS_MAX } from "../../core/limits.ts";
import type { AnswerMessage, WireError } from "../../core/messages.ts";
import type { Calls, ClientWord, Commit } from "./calls.ts";
import { Contention } from "./contention.ts";
import { judge, lateError, markFailed } from "./failures.ts";
import type { Links } from "./links.ts";
import {
  dueOf,
  isAwaited,
  isBefore,
  isUncovered,
  isWorthAnother,
  itemsOf,
  newRunning,
  NO_COMMIT,
  restart,
  writtenBy,
} from "./plan.ts";
import type { Running, Voter } from "./plan.ts";
import { askForOutcome, askForTable, askToFinish, endSession, tellAborted } from "./primary.ts";
import { errorOf } from "./site.ts";
import type { ClientContext, Site } from "./site.ts";
import { partsLost, Streams } from "./streams.ts";
import { Votes } from "./votes.ts";

/** What is asked for commits. */
type CommitContext = Exclude<ClientContext, { of: "call" | "table" | "sync" | "read" | "digest" }>;

/** The commits that are under way. */
export class Commits {
  #site: Site;
  #links: Links;
  #running = new Map<number, Running>();
  #deadlines = new Deadlines<Running>();
  #counter = 0;
  #votes: Votes;
  #streams: Streams;
  #contention: Contention;

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
    this.#votes = new Votes(site, links, (running, voter, error) => {
      markFailed(this.#site.view, voter, error);
      this.#moved(running);
    });
    this.#streams = new Streams(site, this.#votes);
    this.#contention = new Contention(site, this.#votes);
  }

  /** Commits that aren't decided. */
  get size(): number {
    let size = 0;
    for (const { step } of this.#running.values()) if (step !== "filling") size += 1;
    return size;
  }

  /** When `due` wants to be called. */
  get dueMs(): number | undefined {
    return this.#deadlines.next();
  }

  /** Begins a commit. */
  begin(call: number, commit: Commit, untilMs: number): void {
    const draft = commit.draft === undefined ? undefined : this.#running.get(commit.draft);
    if (commit.draft !== undefined && !draft) {
      return this.#site.fail(call, partsLost("its session has ended"));
    }
    const running = draft ?? this.#new(call, commit.ageMs);
    const { partitions } = this.#site.view.table!;
    running.call = call;
    running.commit = commit;
    running.items = itemsOf(commit, partitions, this.#site.ports, running.streams);
    running.untilMs = untilMs;
    this.#arm(running);
    if (!draft) return this.#start(running);
    if (draft.refusal) return this.#abort(draft, draft.refusal);
    if (commit.restoreTid !== undefined) draft.home = partitionOf(commit.restoreTid, partitions);
    draft.step = "voting";
    this.#votes.spreadDraft(draft);
    this.#decide(draft);
  }

  /** Takes the next part of a value that a transaction streams before it commits. */
  part(call: number, request: Calls["part"]["request"], untilMs: number): void {
    const { draft, oid, ageMs } = request;
    let running = this.#running.get(draft);
    if (!running) {
      running = this.#new(draft, ageMs);
      if (!this.#begin(running, oid)) return this.#site.fail(call, partsLost("its session has ended"));
      running.step = "filling";
    }
    this.#streams.take(running, call, request, untilMs);
    this.#arm(running);
  }

  /** A transaction that has streamed values isn't committed. */
  discard(draft: number): void {
    const running = this.#running.get(draft);
    if (running?.step === "filling") this.#giveUp(running);
  }

  #new(id: number, ageMs: number | undefined): Running {
    const now = Math.max(0, Math.floor(this.#site.now.monoMs + this.#site.clockMs));
    const running = newRunning(id, NO_COMMIT, { items: new Map(), untilMs: Infinity, ageMs: ageMs ?? now });
    this.#running.set(id, running);
    return running;
  }

  /** A new session: what wasn't finished begins again, what was is asked for. */
  sessionBegan(): void {
    this.#counter = 0;
    for (const running of [...this.#running.values()]) {
      if (running.step === "outcome") askForOutcome(this.#site, running);
      else if (running.step === "waiting") this.#start(running);
    }
  }

  /** The session is over. */
  sessionEnded(): void {
    for (const running of [...this.#running.values()]) {
      if (running.step === "finishing") running.step = "outcome";
      else if (running.step === "filling") this.#streams.end(running, partsLost("its session has ended"));
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
        if (voter) this.#votes.answered(running, voter, context.bytes); // its vote says the same
        return running.step === "filling" ? this.#flow(running) : undefined;
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
        return running.step === "waiting" ? this.#start(running) : undefined;
    }
  }

  /** A question of a commit failed. */
  failed(context: CommitContext, error: WireError): void {
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
        if (error.code === "lost") return;
        running.retryMs = this.#site.now.monoMs + RETRY_DELAY_MS_MAX;
        return this.#arm(running);
    }
  }

  /** The commit that a question belongs to, unless it was begun again. */
  #attemptOf(context: CommitContext): Running | undefined {
    const running = this.#running.get(context.call);
    return "ttid" in context && context.ttid !== running?.ttid ? undefined : running;
  }

  /** An older transaction waits for an object of one of ours at a storage. */
  deadlock(conn: Conn, ttid: Ttid, oid: Oid): void {
    for (const running of this.#running.values()) {
      if (running.ttid === ttid) return this.#contention.deadlock(running, conn, oid);
    }
  }

  /** A program has resolved the conflicts that it was told of, or can't. */
  resolve(word: Extract<ClientWord, { type: "resolve" }>): void {
    const running = this.#of(word.call);
    if (running?.step !== "resolving" || running.resolving.round !== word.round) return;
    if (this.#contention.resolve(running, word.resolutions)) return this.#decide(running);
    this.#abort(running, new ConflictError([...running.conflicts.values()]));
  }

  /**
   * A call isn't wanted any more. Gives false when it is no commit. Before `finish` nothing of it stays; afterwards it is as
   * if its time were over.
   */
  cancel(call: number): boolean {
    const running = this.#of(call);
    if (!running) return this.#streams.cancel(call, this.#running.values());
    if (running.step === "finishing") this.#late(running);
    else if (running.step === "outcome") {
      running.late = true;
      running.untilMs = Math.min(running.untilMs, this.#site.now.monoMs + this.#site.outcomeWaitMs);
      this.#arm(running);
    } else this.#abort(running, new AbortedError("Cannot commit: its caller has given it up"));
    return true;
  }

  #of(call: number): Running | undefined {
    const running = this.#running.get(call);
    if (running?.call === call && running.step !== "filling") return running;
    return [...this.#running.values()].find((one) => one.call === call && one.step !== "filling");
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
    markFailed(this.#site.view, voter, error);
    this.#moved(running);
  }

  /** Something about its nodes is settled. */
  #moved(running: Running): void {
    if (running.step === "filling") this.#flow(running);
    else this.#decide(running);
  }

  #sendOnceMore(running: Running, voter: Voter): boolean {
    voter.losses += 1;
    if (running.streams.size > 0) running.refusal ??= partsLost("with a connection to a storage");
    const isThere = this.#site.view.nodes.get(voter.node)?.state === "running";
    if (running.streams.size > 0 || voter.losses > LOSSES_MAX || !isThere) return false;
    this.#votes.send(running, voter);
    return true;
  }

  /** Waits and commits whose time is over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const running of this.#deadlines.take(monoMs)) {
      if (monoMs >= running.untilMs) this.#late(running);
      else if (running.retryMs !== undefined && monoMs >= running.retryMs) {
        running.retryMs = undefined;
        this.#arm(running);
        if (isBefore(running)) this.#catchUp(running);
        if (running.step === "outcome") askForOutcome(this.#site, running);
      } else if (running.patientMs !== undefined && running.patientMs > 0 && monoMs >= running.patientMs) {
        running.patientMs = 0;
        this.#arm(running);
        this.#decide(running);
      } else this.#arm(running);
    }
  }

  #arm(running: Running): void {
    const dueMs = dueOf(running);
    if (dueMs === Infinity) this.#deadlines.delete(running);
    else this.#deadlines.set(running, dueMs);
  }

  #flow(running: Running): void {
    this.#streams.flow(running);
    this.#arm(running);
  }

  /** A finish can't be taken back: its outcome is asked for, for a while longer. */
  #late(running: Running): void {
    if (running.step === "filling") {
      return this.#streams.end(running, new UnreachableError("Cannot store a part of a value in time"));
    }
    if (running.step === "finishing") {
      running.step = "outcome";
      running.late = true;
      running.untilMs = this.#site.now.monoMs + this.#site.outcomeWaitMs;
      this.#arm(running);
      return askForOutcome(this.#site, running);
    }
    if (running.step === "outcome") {
      return this.#end(running, new OutcomePendingError(running.ttid, running.home));
    }
    this.#abort(running, lateError(running, this.#site.primary !== undefined));
  }

  #start(running: Running): void {
    const { writes, checks } = running.commit;
    // a partition that it writes, if there is one
    if (!this.#begin(running, writes[0]?.oid ?? checks[0]?.oid)) return;
    running.step = "voting";
    this.#spread(running);
  }

  /** Gives it its ttid and home. False: there is no session for it. */
  #begin(running: Running, first: Oid | undefined): boolean {
    const { view, primary } = this.#site;
    if (primary === undefined) return false;
    if (this.#counter >= TTID_COUNTER_MAX) {
      endSession(this.#site, "The session has no ttids left");
      return false;
    }
    running.ttid = ttidOf(view.session, ++this.#counter);
    const key = running.commit.restoreTid ?? first ?? (BigInt(running.ttid) as Oid);
    running.home = partitionOf(key, view.table!.partitions);
    return true;
  }

  /** Back to before the first store: the session that it was made under is over. */
  #reset(running: Running): void {
    if (running.streams.size > 0) return this.#end(running, partsLost("its session has ended"));
    restart(running);
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
    switch (judge(this.#site.view, running, voter, error)) {
      case "settled":
        return this.#moved(running);
      case "again":
        return this.#votes.send(running, voter);
      case "elsewhere":
        return this.#catchUp(running);
      case "lost": // each open question fails first, then the connection is told as lost
        return this.#links.isOpen(voter.node) ? undefined : this.#lost(running, voter, error);
    }
  }

  /** Hears the primary, so that its newest table is here, then chooses nodes again. */
  #catchUp(running: Running): void {
    if (running.catchingUp || this.#site.primary === undefined) return;
    running.catchingUp = true;
    askForTable(this.#site, running);
  }

  /** All nodes have answered that must: finishes, or gives up. */
  #decide(running: Running): void {
    if (running.step !== "voting" || running.catchingUp || running.retryMs !== undefined) return;
    if (isAwaited(running, this.#site.view.table!, this.#site.now.monoMs)) return this.#arm(running);
    if (running.refusal) return this.#abort(running, running.refusal);
    if (running.conflicts.size > 0) {
      if (this.#contention.tell(running)) return;
      return this.#abort(running, new ConflictError([...running.conflicts.values()]));
    }
    const { view, primary } = this.#site;
    if (primary === undefined) return;
    if (isUncovered(running, view.table!)) return this.#wait(running);
    running.step = "finishing";
    askToFinish(this.#site, running);
  }

  /** No copy of some partition answered: it may come back, or another may take over. */
  #wait(running: Running): void {
    for (const { node, state, problem } of [...running.voters.values()]) {
      if (problem?.code === "noSpace") return this.#abort(running, errorOf(problem));
      if (state === "failed") running.voters.delete(node);
    }
    running.retryMs = this.#site.now.monoMs + running.delayMs;
    running.delayMs = Math.min(2 * running.delayMs, RETRY_DELAY_MS_MAX);
    this.#arm(running);
  }

  #finishFailed(running: Running, error: WireError): void {
    switch (error.code) {
      case "missing": {
        running.step = "voting";
        if (running.streams.size > 0) return this.#abort(running, partsLost("a new copy lacks them"));
        this.#contention.obey(running);
        for (const { node } of error.detail.cells) running.voters.delete(node);
        // a notice of a deadlock couldn't reach us over a connection that was lost meanwhile
        for (const voter of [...running.voters.values()]) {
          if (voter.state === "voted" && !this.#links.isOpen(voter.node)) this.#sendOnceMore(running, voter);
        }
        return this.#catchUp(running);
      }
      case "lost":
      case "sessionEnded":
        running.step = "outcome"; // asked under the next session
        return;
      case "timedOut":
        running.step = "outcome";
        return askForOutcome(this.#site, running);
      case "incomplete":
      case "aborted":
        if (error.code === "incomplete" && isWorthAnother(running)) return this.#again(running);
        return this.#abort(running, new AbortedError(error.message));
      default:
        return this.#abort(running, errorOf(error));
    }
  }

  /** Nothing of it stays anywhere: told on the direct connections (in order behind the stores) and through the primary. */
  #abort(running: Running, error: DatabaseError): void {
    this.#giveUp(running);
    this.#end(running, error);
  }

  #giveUp(running: Running): void {
    this.#tellAborted(running);
    this.#forget(running);
  }

  #tellAborted(running: Running): void {
    const conns = [...running.sent].flatMap((node) => this.#links.conn(node) ?? []);
    tellAborted(this.#site, running, conns);
  }

  /** Nothing of it stays, and nobody was told so: it is stored again, at the copies of now, which compare its bases anew. */
  #again(running: Running): void {
    this.#tellAborted(running);
    running.incomplete += 1;
    restart(running);
    this.#start(running);
  }

  #committed(running: Running, tid: Tid): void {
    this.#forget(running);
    const isNewest = this.#site.publish(tid, running.commit.writes.map(({ oid }) => oid));
    if (isNewest) this.#site.keep(tid, writtenBy(running));
    this.#site.settle(running.call, { tid, ttid: running.ttid });
  }

  #forget(running: Running): void {
    this.#running.delete(running.id);
    this.#deadlines.delete(running);
    running.voters.clear(); // whoever waits for a connection sends nothing behind its end
  }

  #end(running: Running, error: DatabaseError): void {
    this.#forget(running);
    // A committer hears of its tid by that answer only: without it, a new session begins, and says where it begins.
    if (running.step === "outcome") endSession(this.#site, "An answer of the primary may have been missed");
    this.#site.fail(running.call, error);
  }
}
