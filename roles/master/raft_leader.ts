/**
 * What a leader does in its term: it brings the other masters' logs to the state of its own, counts what is durable on a
 * majority, asks the majority whether it is the leader still, and notes their clocks.
 *
 * Of each master it knows how far the logs are the same (`match`) and what goes next. After a connection was made, or a
 * refusal, one message goes at a time (`probing`) until the logs meet. Every message carries the number of the newest round; a
 * majority that has answered a round confirms that nobody else was elected before it began.
 */
import { ELECTION_MS, HEARTBEAT_MS } from "../../core/limits.ts";
import type { Now } from "../../core/machine.ts";
import type { Body } from "../../core/messages.ts";
import type { RaftLog, Voters } from "./raft_log.ts";

/** What a leader says. */
export type LeaderMessage =
  | { readonly name: "append"; readonly body: Body<"append"> }
  | { readonly name: "install"; readonly body: Body<"install"> };

interface Follower {
  /** -1: not even a snapshot, as far as is known. */
  match: number;
  next: number;
  probing: boolean;
  round: number;
  heardMs: number;
  /** Its wall clock, less our monotonic one at that moment. */
  clockMs: number | undefined;
}

/** A leader's view of the others. */
export class Leading<R extends Voters> {
  readonly term: number;
  #self: number;
  #log: RaftLog<R>;
  #send: (to: number, message: LeaderMessage) => void;
  #followers = new Map<number, Follower>();
  #connected: ReadonlySet<number>;
  #stable: number;
  #beatMs: number;
  #sinceMs: number;
  #round = 0;
  #confirmed = 0;
  #wanted = 0;
  /** The index of the first entry of this term. */
  readonly opening: number;

  constructor(start: {
    term: number;
    self: number;
    log: RaftLog<R>;
    /** The masters that are connected, kept by the owner. */
    connected: ReadonlySet<number>;
    /** Entries up to here are durable here. */
    stable: number;
    send: (to: number, message: LeaderMessage) => void;
    now: Now;
  }) {
    this.term = start.term;
    this.#self = start.self;
    this.#log = start.log;
    this.#connected = start.connected;
    this.#stable = start.stable;
    this.#send = start.send;
    this.#sinceMs = start.now.monoMs;
    this.#beatMs = start.now.monoMs + HEARTBEAT_MS;
    this.opening = start.log.lastIndex + 1;
  }

  /** The newest round that a majority has answered. */
  get confirmed(): number {
    return this.#isAlone ? this.#round : this.#confirmed;
  }

  /** When `due` wants to be called; undefined: nobody is there to hear or to miss. */
  get dueMs(): number | undefined {
    if (this.#isAlone) return this.#connected.size > 0 ? this.#beatMs : undefined;
    return Math.min(this.#beatMs, this.#quorumMs() + ELECTION_MS);
  }

  /** How far a master's log is known to be the same as ours. */
  matchOf(peer: number): number {
    return peer === this.#self ? this.#stable : this.#followers.get(peer)?.match ?? -1;
  }

  /** A connection to a master was made. */
  connected(peer: number, commit: number, now: Now): void {
    const known = this.#followers.get(peer) ?? this.#fresh(now.monoMs);
    known.probing = true;
    if (known.match >= 0) known.next = known.match + 1;
    this.#followers.set(peer, known);
    this.#say(peer, commit);
  }

  /** Our own log is durable up to there. */
  stable(index: number): void {
    this.#stable = index;
  }

  /** Sends what the others lack. */
  replicate(commit: number): void {
    for (const peer of this.#connected) this.#feed(peer, commit);
  }

  /** An answer of this term. */
  answered(peer: number, body: Body<"appended">, commit: number, now: Now): void {
    const follower = this.#followers.get(peer);
    if (!follower) return;
    follower.heardMs = now.monoMs;
    follower.clockMs = body.wallMs - now.monoMs;
    follower.round = Math.max(follower.round, body.round);
    if (body.ok) {
      follower.match = Math.max(follower.match, body.index);
      follower.next = Math.max(follower.next, follower.match + 1);
      follower.probing = false;
      this.#feed(peer, commit);
    } else {
      follower.next = Math.max(follower.match + 1, Math.min(body.index, follower.next - 1));
      follower.probing = true;
      this.#say(peer, commit);
    }
    this.#confirm(commit);
  }

  /** The newest entry that is durable on a majority and of this term: it is held, and all before it. */
  held(): number {
    const index = this.#majority((peer) => this.matchOf(peer));
    return this.#log.termAt(index) === this.term ? index : 0;
  }

  /** Begins a round behind all that was asked so far; gives its number, which `confirmed` will reach. */
  ask(commit: number): number {
    if (this.#isAlone) return this.#round;
    if (this.#round === this.#confirmed) this.#begin(commit);
    else if (this.#wanted <= this.#round) this.#wanted = this.#round + 1;
    return Math.max(this.#round, this.#wanted);
  }

  /** Time has passed. False: no majority has been heard of for too long. */
  due(commit: number, now: Now): boolean {
    if (now.monoMs > this.#beatMs + ELECTION_MS / 2) {
      // it was us who slept: the others are listened to before they are judged
      for (const follower of this.#followers.values()) follower.heardMs = now.monoMs;
      this.#sinceMs = now.monoMs;
    }
    if (!this.#isAlone && now.monoMs >= this.#quorumMs() + ELECTION_MS) return false;
    if (now.monoMs >= this.#beatMs) {
      this.#beatMs = now.monoMs + HEARTBEAT_MS;
      for (const peer of this.#connected) this.#say(peer, commit);
    }
    return true;
  }

  /** Wall time by the median of the masters' clocks; of two that differ the earlier. */
  medianMs(now: Now): number {
    const clocks = [now.wallMs];
    for (const peer of this.#voters) {
      const clockMs = this.#followers.get(peer)?.clockMs;
      if (peer !== this.#self && clockMs !== undefined) clocks.push(clockMs + now.monoMs);
    }
    clocks.sort((a, b) => a - b);
    return clocks[(clocks.length - 1) >> 1]!;
  }

  get #voters(): readonly number[] {
    return this.#log.roster!.voters;
  }

  get #isAlone(): boolean {
    const [only, ...others] = this.#voters;
    return only === this.#self && others.length === 0;
  }

  #fresh(nowMs: number): Follower {
    return { match: -1, next: this.opening, probing: true, round: 0, heardMs: nowMs, clockMs: undefined };
  }

  /** The best value that a majority of the voters reaches. */
  #majority(valueOf: (peer: number) => number): number {
    const values = this.#voters.map(valueOf).sort((a, b) => b - a);
    return values[values.length >> 1]!;
  }

  /** When a majority was last heard of. */
  #quorumMs(): number {
    return this.#majority((peer) => {
      if (peer === this.#self) return Infinity;
      return this.#followers.get(peer)?.heardMs ?? this.#sinceMs;
    });
  }

  #begin(commit: number): void {
    this.#round += 1;
    for (const peer of this.#connected) this.#say(peer, commit);
  }

  #confirm(commit: number): void {
    const confirmed = this.#majority((peer) => {
      return peer === this.#self ? this.#round : this.#followers.get(peer)?.round ?? 0;
    });
    this.#confirmed = Math.max(this.#confirmed, confirmed);
    if (this.#confirmed === this.#round && this.#wanted > this.#round) this.#begin(commit);
  }

  /** Sends all that a master lacks, unless it must be heard first. */
  #feed(peer: number, commit: number): void {
    const follower = this.#followers.get(peer);
    while (follower && !follower.probing && follower.next <= this.#log.lastIndex) this.#say(peer, commit);
  }

  /** The next message to a master: entries that it lacks, or only that we are there. */
  #say(peer: number, commit: number): void {
    const follower = this.#followers.get(peer);
    if (!follower) return;
    const { term } = this;
    const round = this.#round;
    const prevTerm = this.#log.termAt(follower.next - 1);
    if (prevTerm === undefined) {
      const { index, term: indexTerm, image } = this.#log.snapshot!;
      this.#send(peer, { name: "install", body: { term, index, indexTerm, image, round } });
      follower.next = index + 1;
      follower.probing = true;
      return;
    }
    const prevIndex = follower.next - 1;
    const entries = this.#log.batch(follower.next);
    this.#send(peer, { name: "append", body: { term, prevIndex, prevTerm, entries, commit, round } });
    if (!follower.probing) follower.next += entries.length;
  }
}
