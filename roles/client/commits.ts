/**
 * A commit, as its client drives it: `store` and `vote` on every cell of every object, then `finish` at the primary.
 *
 * Steps of one: `waiting` (no session), `voting` (each node must answer its vote, or fail), `finishing` (the primary
 * decides), `outcome` (its answer was lost: it is asked what became of the transaction). Until `finish` is sent, a session
 * that ends only means to begin again under a new one; after it, only the primary's word counts. A transaction
 * whose outcome is "aborted" is begun again as well: bases are checked again, so nothing can be done twice.
 */
import {
  AbortedError,
  ConflictError,
  type DatabaseError,
  LockTimeoutError,
  OutcomePendingError,
  UnreachableError,
} from "../../core/errors.ts";
import { evidenceDigest } from "../../core/evidence.ts";
import type { HeldObject } from "../../core/evidence.ts";
import { partitionOf, TTID_COUNTER_MAX, ttidOf } from "../../core/ids.ts";
import type { Conn, NodeIndex, Oid, Partition, Tid, Ttid } from "../../core/ids.ts";
import {
  LACKS_ATTEMPTS_MAX,
  OUTCOME_WAIT_MS,
  RETRY_DELAY_MS_MAX,
  RETRY_DELAY_MS_MIN,
} from "../../core/limits.ts";
import { tell } from "../../core/machine.ts";
import type { AnswerMessage, Body, WireError } from "../../core/messages.ts";
import { isReadable } from "../../core/partition_table.ts";
import type { Commit } from "./calls.ts";
import type { Links } from "./links.ts";
import { itemsOf } from "./plan.ts";
import type { Item, Running, Voter } from "./plan.ts";
import { errorOf, isNodeFailure } from "./site.ts";
import type { ClientContext, Site } from "./site.ts";

const NO_BYTES = new Uint8Array();

/** What is asked for commits. */
type CommitContext = Exclude<ClientContext, { of: "call" | "table" | "read" | "digest" }>;

/** The commits that are under way. */
export class Commits {
  #site: Site;
  #links: Links;
  #running = new Map<number, Running>();
  #counter = 0;
  #rounds = 0;

  constructor(site: Site, links: Links) {
    this.#site = site;
    this.#links = links;
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
    const running: Running = {
      call,
      commit,
      items: itemsOf(commit, this.#site.view.table!.partitions, this.#site.ports),
      untilMs,
      retryMs: undefined,
      delayMs: RETRY_DELAY_MS_MIN,
      ageMs: commit.ageMs ?? Math.max(0, Math.floor(this.#site.now.monoMs + this.#site.clockMs)),
      step: "waiting",
      ttid: 0n as Ttid,
      home: 0 as Partition,
      voters: new Map(),
      sent: new Set(),
      conflicts: new Map(),
      refusal: undefined,
      catchingUp: false,
      late: false,
    };
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
      case "store":
        return; // its vote says the same
      case "vote": {
        const voter = this.#voter(running, context);
        if (!voter || message.name !== "vote") return;
        voter.state = "voted";
        voter.evidence = message.body.evidence;
        return this.#decide(running);
      }
      case "catchUp":
        running.catchingUp = false;
        return running.step === "voting" ? this.#spread(running) : undefined;
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
        // the vote's answer names all conflicts of its node
        if (context.of === "store" && error.code === "conflict") return;
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

  /** Waits and commits whose time is over. */
  due(): void {
    const { monoMs } = this.#site.now;
    for (const running of [...this.#running.values()]) {
      if (monoMs >= running.untilMs) this.#late(running);
      else if (running.retryMs !== undefined && monoMs >= running.retryMs) {
        running.retryMs = undefined;
        if (running.step === "voting") this.#catchUp(running);
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
    const { commit, items } = running;
    running.ttid = ttidOf(view.session, ++this.#counter);
    // a partition that it writes, if there is one
    const first = commit.writes[0]?.oid ?? items[0]?.oid ?? (BigInt(running.ttid) as Oid);
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
    running.refusal = undefined;
    running.catchingUp = false;
    running.retryMs = undefined;
  }

  /** Sends stores and votes to every node of the table that must have them and hasn't. */
  #spread(running: Running): void {
    const { table } = this.#site.view;
    const plan = new Map<NodeIndex, Item[]>();
    for (const { node } of table!.cells(running.home)) plan.set(node, []);
    for (const item of running.items) {
      for (const { node } of table!.cells(item.partition)) {
        const items = plan.get(node);
        if (items) items.push(item);
        else plan.set(node, [item]);
      }
    }
    for (const [node, items] of plan) {
      const known = running.voters.get(node);
      if (known || this.#site.view.nodes.get(node)?.state !== "running") continue;
      const voter: Voter = {
        node,
        round: 0,
        items,
        state: "voting",
        evidence: undefined,
        failedSession: 0,
        lacks: 0,
        problem: undefined,
      };
      running.voters.set(node, voter);
      this.#sendTo(running, voter);
    }
    this.#decide(running);
  }

  #sendTo(running: Running, voter: Voter): void {
    const round = ++this.#rounds;
    voter.round = round;
    voter.state = "voting";
    running.sent.add(voter.node);
    this.#links.with(voter.node, (conn, error) => {
      if (this.#running.get(running.call) !== running || voter.round !== round) return;
      if (conn === undefined) {
        return this.#nodeFailed(running, voter, error ?? { code: "lost", message: "Lost the storage" });
      }
      for (const item of voter.items) this.#store(running, voter, conn, item);
      this.#vote(running, voter, conn);
    });
  }

  #store(running: Running, { node, round }: Voter, conn: Conn, item: Item): void {
    const { ttid, ageMs, call, untilMs, commit } = running;
    const { oid, base, mode, stored, link } = item;
    const { version } = this.#site.view.table!;
    const options = {
      context: { of: "store", call, node, round, oid } as const,
      withinMs: this.#patienceOf(untilMs),
    };
    if (mode === "check") return this.#site.ask(conn, "check", { ttid, version, ageMs, oid, base }, options);
    const { compression, checksum, data } = stored ?? { compression: 0, checksum: NO_BYTES, data: null };
    const restore = commit.restoreTid !== undefined;
    this.#site.ask(conn, "store", {
      ttid,
      version,
      ageMs,
      oid,
      base,
      compression,
      checksum,
      data,
      link,
      restore,
    }, options);
  }

  #vote(running: Running, { node, round, items }: Voter, conn: Conn): void {
    const { ttid, home, call, commit, untilMs } = running;
    const { table } = this.#site.view;
    const { status, user, description, extension, writes } = commit;
    const note = table!.cell(home, node)
      ? { status, user, description, extension, oids: writes.map(({ oid }) => oid) }
      : null;
    const digest = evidenceDigest(items, this.#site.ports.digest);
    const body: Body<"vote"> = { ttid, version: table!.version, home, count: items.length, digest, note };
    const options = {
      context: { of: "vote", call, node, round } as const,
      withinMs: this.#patienceOf(untilMs),
    };
    this.#site.ask(conn, "vote", body, options);
  }

  /** Questions of a commit outlast it: that its caller's time is over must not look like a storage that fails. */
  #patienceOf(untilMs: number): number {
    return Math.max(untilMs - this.#site.now.monoMs, 1) + OUTCOME_WAIT_MS;
  }

  #voter(running: Running, context: { node: NodeIndex; round: number }): Voter | undefined {
    const voter = running.voters.get(context.node);
    return voter?.round === context.round && running.step === "voting" ? voter : undefined;
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
        if (voter.lacks <= LACKS_ATTEMPTS_MAX) return this.#sendTo(running, voter);
        running.refusal ??= errorOf(error); // no node's failure: one of us two counts wrongly
        voter.state = "refused";
        break;
      case "notAssigned":
        running.voters.delete(voter.node);
        return this.#catchUp(running);
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
    if (running.conflicts.size > 0) {
      return this.#abort(running, new ConflictError([...running.conflicts.values()]));
    }
    const { view, primary } = this.#site;
    const uncovered = [running.home, ...running.items.map(({ partition }) => partition)].some((partition) =>
      !view.table!.cells(partition).some((cell) =>
        isReadable(cell) && running.voters.get(cell.node)?.state === "voted"
      )
    );
    if (primary === undefined) return;
    if (uncovered) return this.#wait(running);
    running.step = "finishing";
    this.#finish(running, primary, voters);
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

  #finish(running: Running, primary: Conn, voters: readonly Voter[]): void {
    const { ttid, home, items, call, untilMs, commit, sent } = running;
    const oids = (mode: HeldObject["mode"]): Oid[] =>
      items.flatMap((item) => (item.mode === mode ? [item.oid] : []));
    const body: Body<"finish"> = {
      ttid,
      home,
      explicit: commit.restoreTid ?? null,
      stored: oids("store"),
      checked: oids("check"),
      evidence: voters.flatMap(({ evidence, state }) => (evidence && state === "voted" ? [evidence] : [])),
      sent: [...sent],
      failed: voters.flatMap((
        { node, state, failedSession },
      ) => (state === "failed" ? [{ node, session: failedSession }] : [])),
    };
    const withinMs = this.#patienceOf(untilMs);
    this.#site.ask(primary, "finish", body, { context: { of: "finish", call, ttid }, withinMs });
  }

  #finishFailed(running: Running, error: WireError): void {
    switch (error.code) {
      case "missing": {
        running.step = "voting";
        for (const { node } of error.detail.cells) running.voters.delete(node);
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
    this.#site.publish(tid, running.commit.writes.map(({ oid }) => oid));
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
