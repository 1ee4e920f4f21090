/**
 * Agreement of masters on one log, by Raft's rules, over entries that are opaque here. Decides; its owner saves and sends
 * what it gives, saves first.
 *
 * A master is `follower`, `trial` (it asks whether it would be elected), `candidate`, or `leader`. Invariants: at most one leader
 * in a term; a vote, a term and an entry are durable before anybody hears of them, and count here only after `saved`; a
 * leader counts only entries of its own term, which hold all before them; what is held is in the log of every later leader; one
 * change of the roster at a time. There are no leases: `confirm` asks a majority. A master that was frozen listens
 * before it judges, and asks before it disturbs. A master without a snapshot, or that isn't in its own roster, takes
 * a log and gives no vote (B7, B8).
 */
import { invariant } from "../../core/errors.ts";
import {
  CANVASS_MS,
  ELECTION_MS,
  ELECTION_SPREAD_MS,
  LOG_ENTRIES_MAX,
  STAND_MS_MAX,
  STAND_MS_MIN,
} from "../../core/limits.ts";
import type { Now } from "../../core/machine.ts";
import type { Body, TellMessage } from "../../core/messages.ts";
import type { LogEntry, MetadataState, MetadataWrite, Random } from "../../core/ports.ts";
import { Leading } from "./raft_leader.ts";
import { RaftLog } from "./raft_log.ts";
import type { Reading, Voters } from "./raft_log.ts";

/** What masters say to each other. */
export type RaftMessage = Extract<
  TellMessage,
  { readonly name: "canvass" | "ballot" | "append" | "install" | "appended" | "stand" }
>;
/** What a master is at the moment. */
export type RaftRole = "follower" | "trial" | "candidate" | "leader";

/** What it starts from. */
export interface RaftStart<R extends Voters> {
  readonly state: MetadataState;
  readonly random: Random;
  readonly reading: Reading<R> & {
    /** This master's index in a roster, 0 when it isn't there. */
    self(roster: R): number;
  };
}

/** What must be done: first all writes, durably, then the messages. */
export interface RaftWork {
  readonly writes: readonly MetadataWrite[];
  readonly sends: readonly { readonly to: number; readonly message: RaftMessage }[];
}

/** What has become held since the last time: another's snapshot, then entries behind it. */
export interface Held {
  readonly image: Uint8Array | undefined;
  readonly entries: readonly LogEntry[];
}

/** Stands in a ballot for a master of which no roster here knows. */
const STRANGER = 0;

/** One master's part. */
export class Raft<R extends Voters> {
  #log: RaftLog<R>;
  #random: Random;
  #selfIn: (roster: R) => number;
  #term: number;
  #votedFor: number | null;
  #role: RaftRole = "follower";
  #leading: Leading<R> | undefined;
  #leader: number | undefined;
  #heardMs = -Infinity; // of the leader
  #votes = new Set<number>();
  #resigns = false; // somebody else is to lead
  #dueMs: number | undefined; // when it stands for election
  #connected = new Set<number>();
  #heard = new Map<number, number>(); // when
  #stable: number;
  #commit: number;
  #delivered: number;
  #installed = false;
  #writes: MetadataWrite[] = [];
  #sends: { to: number; message: RaftMessage }[] = [];

  constructor({ state, random, reading }: RaftStart<R>) {
    this.#log = new RaftLog(state, reading);
    this.#random = random;
    this.#selfIn = (roster) => reading.self(roster);
    this.#term = state.ballot.term;
    this.#votedFor = state.ballot.votedFor;
    this.#stable = this.#log.lastIndex;
    this.#commit = this.#log.first;
    this.#delivered = this.#log.first;
  }

  get role(): RaftRole {
    return this.#role;
  }

  get term(): number {
    return this.#term;
  }

  /** Up to here everything is held. */
  get commit(): number {
    return this.#commit;
  }

  /** The newest roster in the log, held or not. */
  get roster(): R | undefined {
    return this.#log.roster;
  }

  /** The newest roster, and with it older ones for as long as one behind them isn't known to be held; newest first. */
  get rosters(): readonly R[] {
    return this.#log.rosters(this.#commit);
  }

  /** This master's index; 0: it is in no roster. */
  get self(): number {
    for (const roster of this.rosters) {
      const self = this.#selfIn(roster);
      if (self !== 0) return self;
    }
    return 0;
  }

  /** The leader of this term, if it is known and hasn't gone. */
  get leader(): number | undefined {
    return this.#leader;
  }

  /** Whether this is the leader, and everything that earlier leaders held is held here. */
  get isReady(): boolean {
    return this.#leading !== undefined && this.#commit >= this.#leading.opening;
  }

  /** Whether a change of the roster isn't held yet. */
  get isChanging(): boolean {
    return this.#log.rosterIndex > this.#commit;
  }

  /** The newest round of questions that a majority has answered. */
  get confirmed(): number {
    return this.#leading?.confirmed ?? 0;
  }

  get dueMs(): number | undefined {
    return this.#leading ? this.#leading.dueMs : this.#dueMs;
  }

  /** How many entries could be replaced by their result. */
  get isLong(): boolean {
    return this.#delivered - this.#log.first >= LOG_ENTRIES_MAX;
  }

  /** Begins. A master that is alone stands at once. */
  begin(now: Now): void {
    this.#soon(now);
    if (this.#isAlone) this.#stand(now);
  }

  /** What is to be saved and sent; it is given once. */
  taken(): RaftWork {
    const work = { writes: this.#writes, sends: this.#sends };
    this.#writes = [];
    this.#sends = [];
    return work;
  }

  /** What has become held; it is given once. */
  held(): Held {
    const image = this.#installed ? this.#log.snapshot!.image : undefined;
    if (this.#installed) this.#delivered = this.#log.first;
    this.#installed = false;
    const entries = this.#log.between(this.#delivered, this.#commit).filter(({ entry }) => entry.length > 0);
    this.#delivered = this.#commit;
    return { image, entries };
  }

  /** Replaces everything that was delivered by its result. */
  compact(image: Uint8Array): void {
    this.#writes.push(this.#log.compact(this.#delivered, image));
  }

  /** All writes so far are durable. */
  saved(now: Now): void {
    this.#stable = this.#log.lastIndex;
    if (this.#role === "candidate") this.#vote(this.self, now);
    this.#leading?.stable(this.#stable);
    this.#advance(now);
  }

  /** Adds an entry to the log; a leader does, and a change of the roster only when the one before is held. */
  propose(entry: Uint8Array): void {
    invariant(this.#leading !== undefined, "the leader proposes");
    const mayChange = this.isReady && !this.isChanging;
    invariant(mayChange || !this.#log.isRoster(entry), "the roster changes once at a time");
    const [index, term] = [this.#log.lastIndex + 1, this.#term];
    this.#writes.push(this.#log.append([{ index, term, entry }]));
    this.#leading.replicate(this.#commit);
  }

  /** Begins a round of questions to a majority, or joins the next; gives the number that `confirmed` reaches. */
  confirm(): number {
    invariant(this.#leading !== undefined, "the leader confirms");
    return this.#leading.ask(this.#commit);
  }

  /** Wall time by the median of the masters' clocks. */
  medianMs(now: Now): number {
    return this.#leading?.medianMs(now) ?? now.wallMs;
  }

  /** Voters that haven't been heard of lately. */
  silent(now: Now): number[] {
    const { self, roster } = this;
    return (roster?.voters ?? []).filter((peer) => {
      const heardMs = this.#connected.has(peer) ? this.#heard.get(peer) : undefined;
      return peer !== self && (heardMs === undefined || now.monoMs >= heardMs + ELECTION_MS);
    });
  }

  /** Whether a master's log is as long as what is held. */
  isCaughtUp(peer: number): boolean {
    return (this.#leading?.matchOf(peer) ?? -1) >= this.#commit;
  }

  /**
   * Will ask a caught-up master to be elected in our place; false: there is none. It is asked when the next answer of a master
   * comes: what this round still adds to the log would be missing there, and nobody would vote for it.
   */
  stepDown(): boolean {
    this.#resigns = this.#successor !== undefined;
    return this.#resigns;
  }

  /** A voter that has all of the log. */
  get #successor(): number | undefined {
    return this.roster?.voters.find((peer) =>
      peer !== this.self && this.#connected.has(peer) && this.#leading?.matchOf(peer) === this.#log.lastIndex
    );
  }

  #resign(): void {
    const next = this.#resigns ? this.#successor : undefined;
    if (next === undefined) return;
    this.#resigns = false;
    this.#send(next, { name: "stand", body: { term: this.#term } });
  }

  /** A master is connected. */
  connected(peer: number, now: Now): void {
    this.#connected.add(peer);
    this.#leading?.connected(peer, this.#commit, now);
    if ((this.#role === "trial" || this.#role === "candidate") && !this.#votes.has(peer)) this.#canvass(peer);
  }

  /** A connection has ended. */
  disconnected(peer: number, now: Now): void {
    this.#connected.delete(peer);
    if (this.#leader !== peer) return;
    this.#leader = undefined;
    this.#soon(now);
  }

  /** A deadline may have come. */
  due(now: Now): void {
    if (this.#leading) {
      if (!this.#leading.due(this.#commit, now)) this.#follow(this.#term, now);
      return;
    }
    if (this.#dueMs === undefined || now.monoMs < this.#dueMs) return;
    // it was us who slept: the leader is listened for again
    if (now.monoMs > this.#dueMs + ELECTION_MS / 2) return this.#soon(now);
    this.#leader = undefined;
    this.#try(now);
  }

  /** Takes what another master says. */
  receive(from: number, message: RaftMessage, now: Now): void {
    const { term } = message.body;
    this.#heard.set(from, now.monoMs);
    if (message.name === "canvass" && message.body.trial) return this.#asked(from, message.body, now);
    if (message.name === "ballot" && message.body.trial && message.body.granted) {
      if (this.#role === "trial" && term === this.#term + 1) this.#vote(from, now);
      return;
    }
    if (term > this.#term) this.#follow(term, now);
    switch (message.name) {
      case "canvass":
        return this.#canvassed(from, message.body, now);
      case "ballot":
        if (this.#role === "candidate" && term === this.#term && message.body.granted) this.#vote(from, now);
        return;
      case "append":
        if (this.#hears(from, message.body, now)) this.#append(from, message.body, now);
        return this.#advance(now);
      case "install":
        if (this.#hears(from, message.body, now)) this.#install(from, message.body, now);
        return;
      case "appended":
        if (term === this.#term) this.#leading?.answered(from, message.body, this.#commit, now);
        this.#resign();
        return this.#advance(now);
      case "stand":
        if (term === this.#term && from === this.#leader && this.#isVoter) this.#stand(now);
        return;
    }
  }

  /** Whether it may be leader. One that was taken out is needed until that is held: it may be the only one to know. */
  get #isVoter(): boolean {
    const { self } = this;
    return this.#log.rosters(this.#commit).some(({ voters }) => voters.includes(self));
  }

  get #isAlone(): boolean {
    const { voters = [] } = this.roster ?? {};
    return voters.length === 1 && voters[0] === this.self;
  }

  #send(to: number, message: RaftMessage): void {
    if (this.#connected.has(to)) this.#sends.push({ to, message });
  }

  #saveBallot(): void {
    this.#writes.push({ op: "ballot", term: this.#term, votedFor: this.#votedFor });
  }

  /** Sets the time to stand for election, between two pauses from now. */
  #wait(now: Now, leastMs: number, spreadMs: number): void {
    this.#dueMs = this.#isVoter ? now.monoMs + leastMs + spreadMs * this.#random.next() : undefined;
  }

  #soon(now: Now): void {
    this.#wait(now, STAND_MS_MIN, STAND_MS_MAX - STAND_MS_MIN);
  }

  /** Becomes a follower, in a term that isn't older. */
  #follow(term: number, now: Now): void {
    const before = this.#role;
    this.#role = "follower";
    this.#leading = undefined;
    this.#resigns = false;
    if (before === "leader" || term > this.#term) this.#leader = undefined;
    if (term > this.#term) {
      this.#term = term;
      this.#votedFor = null;
      this.#saveBallot();
    }
    if (before === "trial") this.#soon(now); // nobody was elected yet: it only was behind
    else if (before !== "follower") this.#wait(now, ELECTION_MS, ELECTION_SPREAD_MS);
  }

  /** Asks whether it would be elected: who is cut off, or slept, doesn't disturb the others with a new term. */
  #try(now: Now): void {
    if (!this.#isVoter) return this.#wait(now, 0, 0);
    if (this.#isAlone) return this.#stand(now);
    this.#role = "trial";
    this.#votes = new Set([this.self]);
    this.#wait(now, CANVASS_MS, CANVASS_MS);
    for (const peer of this.roster!.voters) this.#canvass(peer);
  }

  /** Stands for election. Its own vote counts when it is durable. */
  #stand(now: Now): void {
    this.#role = "candidate";
    this.#leader = undefined;
    this.#term += 1;
    this.#votedFor = this.self;
    this.#votes = new Set();
    this.#saveBallot();
    this.#wait(now, CANVASS_MS, CANVASS_MS);
    for (const peer of this.roster!.voters) this.#canvass(peer);
  }

  #canvass(peer: number): void {
    if (peer === this.self || !this.roster!.voters.includes(peer)) return;
    const trial = this.#role === "trial";
    const { lastIndex, lastTerm } = this.#log;
    const body = { term: this.#term + (trial ? 1 : 0), lastIndex, lastTerm, trial };
    this.#send(peer, { name: "canvass", body });
  }

  /** A vote for us. */
  #vote(from: number, now: Now): void {
    this.#votes.add(from);
    const { voters } = this.roster!;
    if (2 * voters.filter((voter) => this.#votes.has(voter)).length <= voters.length) return;
    if (this.#role === "trial") this.#stand(now);
    else if (this.#role === "candidate") this.#lead(now);
  }

  #lead(now: Now): void {
    this.#role = "leader";
    this.#leader = this.self;
    this.#dueMs = undefined;
    this.#leading = new Leading({
      term: this.#term,
      self: this.self,
      log: this.#log,
      connected: this.#connected,
      stable: this.#stable,
      send: (to, message) => this.#send(to, message as RaftMessage),
      now,
    });
    const entry = { index: this.#leading.opening, term: this.#term, entry: new Uint8Array(0) };
    this.#writes.push(this.#log.append([entry]));
    for (const peer of this.#connected) this.#leading.connected(peer, this.#commit, now);
  }

  /** Whether a candidate's log has everything that may be held. */
  #isCurrent({ lastIndex, lastTerm }: Body<"canvass">): boolean {
    const own = this.#log;
    if (own.snapshot === undefined) return false; // an emptied disk may have voted already
    return lastTerm > own.lastTerm || (lastTerm === own.lastTerm && lastIndex >= own.lastIndex);
  }

  /** Whether it would vote for a master: not while it hears the leader. */
  #asked(from: number, body: Body<"canvass">, now: Now): void {
    const led = this.#leading !== undefined
      || (this.#leader !== undefined && now.monoMs < this.#heardMs + ELECTION_MS);
    const granted = body.term > this.#term && !led && this.#isCurrent(body);
    const term = granted ? body.term : this.#term;
    this.#send(from, { name: "ballot", body: { term, trial: true, granted } });
  }

  #canvassed(from: number, body: Body<"canvass">, now: Now): void {
    const free = this.#votedFor === null || this.#votedFor === from; // never a stranger's once more: who is it?
    const granted = body.term === this.#term && this.#role === "follower" && free
      && this.#leader === undefined && this.#isCurrent(body);
    if (granted && this.#votedFor === null) {
      this.#votedFor = Math.max(from, STRANGER);
      this.#saveBallot();
    }
    if (granted) this.#wait(now, ELECTION_MS, ELECTION_SPREAD_MS);
    this.#send(from, { name: "ballot", body: { term: this.#term, trial: false, granted } });
  }

  /** Whether a message is from the leader of this term. */
  #hears(from: number, body: Body<"append"> | Body<"install">, now: Now): boolean {
    if (body.term < this.#term) {
      this.#answer(from, false, this.#log.lastIndex + 1, 0, now);
      return false;
    }
    invariant(this.#role !== "leader", "a term has one leader");
    this.#role = "follower";
    this.#leader = from;
    this.#heardMs = now.monoMs;
    this.#wait(now, ELECTION_MS, ELECTION_SPREAD_MS);
    return true;
  }

  #append(from: number, { prevIndex, prevTerm, entries, commit, round }: Body<"append">, now: Now): void {
    const log = this.#log;
    if (log.snapshot === undefined) return this.#answer(from, false, 0, round, now);
    const known = log.termAt(prevIndex);
    if (prevIndex >= log.first && known !== prevTerm) {
      const hint = known === undefined ? log.lastIndex + 1 : log.runStart(prevIndex);
      return this.#answer(from, false, Math.max(hint, this.#commit + 1), round, now);
    }
    const numbered = entries.map(({ term, entry }, at) => ({ index: prevIndex + 1 + at, term, entry }));
    const fresh = numbered.findIndex(({ index, term }) => index > log.first && log.termAt(index) !== term);
    if (fresh >= 0) {
      const first = numbered[fresh]!.index;
      invariant(first > this.#commit, "what is held isn't replaced");
      this.#stable = Math.min(this.#stable, first - 1);
      this.#writes.push(log.append(numbered.slice(fresh)));
    }
    const matched = Math.max(prevIndex + entries.length, log.first);
    this.#commit = Math.max(this.#commit, Math.min(commit, matched));
    this.#answer(from, true, matched, round, now);
  }

  #install(from: number, body: Body<"install">, now: Now): void {
    const { index, indexTerm: term, image, round } = body;
    if (this.#log.snapshot === undefined || index > this.#commit) {
      this.#writes.push(this.#log.install({ index, term, image }));
      this.#installed = true;
      this.#stable = Math.min(this.#stable, this.#log.lastIndex);
      this.#commit = index;
    }
    this.#answer(from, true, index, round, now);
  }

  #answer(to: number, ok: boolean, index: number, round: number, now: Now): void {
    const wallMs = Math.max(0, Math.round(now.wallMs));
    this.#send(to, { name: "appended", body: { term: this.#term, ok, index, round, wallMs } });
  }

  /** A leader counts what is durable; one that isn't in the roster any more goes when that is held. */
  #advance(now: Now): void {
    if (!this.#leading) return;
    this.#commit = Math.max(this.#commit, this.#leading.held());
    if (!this.isChanging && !this.roster!.voters.includes(this.self)) this.#follow(this.#term, now);
  }
}
